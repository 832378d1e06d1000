//! The keys of the server APIs: entries `api.<name>` of a Secret. Only their hashes are kept.
//!
//! An entry's first line is the key. A second line `scopes: publish history` limits what it may be used for; without one
//! it is good for everything.

use std::path::Path;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// Shortest key, in bytes: one of 16 random bytes in base64 has 22 and more.
pub const SHORTEST_KEY: usize = 22;
/// Longest key, in bytes.
const LONGEST_KEY: usize = 1024;
/// Keys of one Secret that are looked at: each is compared at each request.
const MOST_KEYS: usize = 64;

/// Something that a key may be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Scope {
    /// Send to rooms.
    Publish,
    /// Receive what is sent to rooms.
    Subscribe,
    /// Read what rooms keep.
    History,
    /// See who is in rooms.
    Presence,
    /// See which rooms and users there are.
    Inspect,
    /// Send to users.
    Send,
    /// Close connections.
    Disconnect,
    /// Revoke users.
    Revoke,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Publish,
        Self::Subscribe,
        Self::History,
        Self::Presence,
        Self::Inspect,
        Self::Send,
        Self::Disconnect,
        Self::Revoke,
    ];

    /// As it is written in a Secret.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::History => "history",
            Self::Presence => "presence",
            Self::Inspect => "inspect",
            Self::Send => "send",
            Self::Disconnect => "disconnect",
            Self::Revoke => "revoke",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// What scopes in tokens begin with: an issuer's tokens may be for other services too.
pub const PREFIX: &str = "linnet:";

/// Which scopes a key or a token has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// All of them.
    pub const ALL: Self = Self(u8::MAX);
    /// None of them.
    pub const NONE: Self = Self(0);

    /// Those of the claim `scope` of a token: words with blanks between them (RFC 8693 §4.2), of which those count that
    /// begin with [`PREFIX`]. Others are for others.
    #[must_use]
    pub fn of_claim(claim: &str) -> Self {
        let words = claim
            .split(' ')
            .filter_map(|word| word.strip_prefix(PREFIX));
        let scopes = words.filter_map(Scope::parse);
        Self(scopes.fold(0, |scopes, scope| scopes | scope.bit()))
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }
}

/// The keys of the moment.
#[derive(Clone, Default)]
pub struct ApiKeys(Vec<ApiKey>);

#[derive(Clone)]
struct ApiKey {
    name: Box<str>,
    hash: [u8; 32],
    scopes: Scopes,
}

/// Whose key it is that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The key's name.
    pub name: Box<str>,
    /// What it is good for.
    pub scopes: Scopes,
}

/// An entry that can't be used. It never says what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// Write a longer one, such as `openssl rand -base64 32` gives.
    #[error("{0}: a key is 22 to 1024 visible ASCII characters in one line")]
    Key(String),
    /// Write a scope that there is.
    #[error(
        "{0}: after the key comes nothing, or the line `scopes:` with publish, subscribe, history, presence, inspect, \
         send, disconnect or revoke"
    )]
    Scopes(String),
    /// Make it readable.
    #[error("{0} can't be read: {1}")]
    Read(String, std::io::ErrorKind),
}

impl ApiKeys {
    /// Reads a Secret's folder: the keys that can be used, and what is wrong with the others.
    #[must_use]
    pub fn read(folder: &Path) -> (Self, Vec<ApiKeyError>) {
        let mut entries = Vec::new();
        let mut errors = Vec::new();
        let shown = |path: &Path| path.display().to_string();
        let files = match std::fs::read_dir(folder) {
            Ok(files) => files,
            Err(error) => {
                errors.push(ApiKeyError::Read(shown(folder), error.kind()));
                return (Self::default(), errors);
            }
        };
        for file in files.filter_map(Result::ok) {
            let name = file.file_name();
            let Some(name) = name.to_str().and_then(|name| name.strip_prefix("api.")) else {
                continue;
            };
            match std::fs::read(file.path()) {
                Ok(content) => entries.push((name.to_owned(), content)),
                Err(error) => errors.push(ApiKeyError::Read(shown(&file.path()), error.kind())),
            }
        }
        entries.sort();
        let (keys, bad) = Self::parse(entries.iter().map(|(name, key)| (name.as_str(), &**key)));
        errors.extend(bad);
        (keys, errors)
    }

    /// Reads entries: the part of their names after `api.`, and what they hold.
    #[must_use]
    pub fn parse<'a>(
        entries: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> (Self, Vec<ApiKeyError>) {
        let mut keys = Vec::new();
        let mut errors = Vec::new();
        for (name, content) in entries.into_iter().take(MOST_KEYS) {
            match ApiKey::parse(name, content) {
                Ok(key) => keys.push(key),
                Err(error) => errors.push(error),
            }
        }
        (Self(keys), errors)
    }

    /// Says whose key this is. How long it takes tells nothing of the keys there are: every one is compared, by hash, and
    /// to the end.
    #[must_use]
    pub fn identify(&self, key: &str) -> Option<Holder> {
        let hash: [u8; 32] = Sha256::digest(key).into();
        let (mut found, mut at) = (Choice::from(0), 0u8);
        for (index, known) in self.0.iter().enumerate() {
            let same = known.hash.ct_eq(&hash);
            at = u8::conditional_select(&at, &(index as u8), same); // fewer than 256: MOST_KEYS
            found |= same;
        }
        let found = bool::from(found).then(|| self.0.get(usize::from(at)));
        found.flatten().map(|key| Holder {
            name: key.name.clone(),
            scopes: key.scopes,
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none, so that nobody may call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl ApiKey {
    fn parse(name: &str, content: &[u8]) -> Result<Self, ApiKeyError> {
        let bad_key = || ApiKeyError::Key(format!("api.{name}"));
        let text = std::str::from_utf8(content).map_err(|_| bad_key())?;
        let mut lines = text.trim_end_matches(['\r', '\n']).lines();
        let key = lines.next().unwrap_or_default();
        let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
        if name.is_empty() || !visible || !(SHORTEST_KEY..=LONGEST_KEY).contains(&key.len()) {
            return Err(bad_key());
        }
        let bad_scopes = || ApiKeyError::Scopes(format!("api.{name}"));
        let scopes = match (lines.next(), lines.next()) {
            (None, _) => Scopes::ALL,
            (Some(line), None) => {
                let words = line.strip_prefix("scopes:").ok_or_else(bad_scopes)?;
                let mut scopes = Scopes(0);
                for word in words.split([' ', ',']).filter(|word| !word.is_empty()) {
                    scopes.0 |= Scope::parse(word).ok_or_else(bad_scopes)?.bit();
                }
                scopes
            }
            (Some(_), Some(_)) => return Err(bad_scopes()),
        };
        Ok(Self {
            name: name.into(),
            hash: Sha256::digest(key).into(),
            scopes,
        })
    }
}

/// Shows names only.
impl std::fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.0.iter().map(|key| &key.name);
        f.debug_list().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "one-0123456789abcdef0123456789abcdef";
    const TWO: &str = "two-0123456789abcdef0123456789abcdef";

    fn keys(entries: &[(&str, &str)]) -> (ApiKeys, Vec<ApiKeyError>) {
        ApiKeys::parse(entries.iter().map(|(name, key)| (*name, key.as_bytes())))
    }

    #[test]
    fn a_key_names_its_caller_and_no_other_text_does() {
        let (keys, errors) = keys(&[("shop", ONE), ("jobs", &format!("{TWO}\n"))]);
        assert_eq!(errors, []);
        assert_eq!(&*keys.identify(ONE).unwrap().name, "shop");
        assert_eq!(&*keys.identify(TWO).unwrap().name, "jobs");
        let near = [
            &ONE[1..],
            &format!("{ONE} "),
            &format!("{ONE}\n"),
            "",
            "shop",
        ];
        for other in near {
            assert_eq!(keys.identify(other), None, "{other:?}");
        }
        assert_eq!(ApiKeys::default().identify(""), None);
    }

    #[test]
    fn scopes_limit_a_key_and_without_them_it_is_good_for_everything() {
        let limited = format!("{ONE}\nscopes: publish, history\n");
        let none = format!("{TWO}\nscopes:\n");
        let (keys, errors) = keys(&[("a", &limited), ("b", &none)]);
        assert_eq!(errors, []);
        let scopes = keys.identify(ONE).unwrap().scopes;
        for scope in Scope::ALL {
            let expected = matches!(scope, Scope::Publish | Scope::History);
            assert_eq!(scopes.has(scope), expected, "{scope:?}");
            assert!(Scopes::ALL.has(scope));
            assert!(!keys.identify(TWO).unwrap().scopes.has(scope));
        }
    }

    #[test]
    fn a_token_has_the_scopes_that_are_meant_for_a_channel() {
        let scopes = Scopes::of_claim("openid linnet:publish history linnet:history  linnet:all");
        for scope in Scope::ALL {
            let expected = matches!(scope, Scope::Publish | Scope::History);
            assert_eq!(scopes.has(scope), expected, "{scope:?}");
        }
        assert_eq!(Scopes::of_claim("publish send linnet"), Scopes::NONE);
    }

    #[test]
    fn entries_that_cannot_be_used_are_named_and_the_others_are_taken() {
        let scoped = |line: &str| format!("{ONE}\n{line}");
        let (keys, errors) = keys(&[
            ("empty", ""),
            ("short", "123456789012345678901"),
            ("space", "0123456789 0123456789 0123456789"),
            ("umlaut", "0123456789ü0123456789ü0123456789"),
            ("scope", &scoped("scopes: publish everything")),
            ("line", &scoped("publish")),
            ("lines", &scoped("scopes: publish\nscopes: send")),
            ("", ONE),
            ("good", ONE),
        ]);
        assert_eq!(keys.len(), 1);
        assert_eq!(errors.len(), 8);
        for error in errors {
            let text = error.to_string();
            assert!(text.starts_with("api.") && !text.contains(ONE), "{text}");
        }
        assert!(!format!("{keys:?}").contains(&ONE[4..]));
    }

    #[test]
    fn a_secrets_folder_is_read_by_the_names_of_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
        };
        write("api.shop", ONE);
        write("api.bad", "x");
        write("jwt.secret", TWO);
        let (keys, errors) = ApiKeys::read(folder.path());
        assert!(keys.identify(ONE).is_some() && keys.identify(TWO).is_none());
        assert_eq!(errors.len(), 1);
        let (keys, errors) = ApiKeys::read(&folder.path().join("none"));
        assert!(keys.is_empty() && errors.len() == 1);
    }
}
