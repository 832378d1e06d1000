//! How a back end knows that a gateway of its channel asks: signatures as Standard Webhooks has them. The signed text is
//! `<webhook-id>.<webhook-timestamp>.<body>`, the signature HMAC-SHA256, and while keys are rotated there is one of each.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// Names the event; the same as its `id`.
pub const ID: &str = "webhook-id";
/// When it was sent, in seconds since the Unix epoch.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// `v1,<base64>` for each key, with spaces between.
pub const SIGNATURE: &str = "webhook-signature";

/// What a key is written with where it is base64 of the bytes, as Standard Webhooks' libraries take it.
const ENCODED: &str = "whsec_";
/// Shortest key, in bytes, as Standard Webhooks asks for.
const SHORTEST: usize = 24;
/// Longest key, in bytes.
const LONGEST: usize = 1024;
/// Keys of one Secret that are used: each signs each event.
const MOST_KEYS: usize = 8;

/// The keys of the moment, in order of their names.
#[derive(Clone, Default)]
pub struct SigningKeys(Vec<hmac::Key>);

/// An entry that can't be used. It never says what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// Write a longer one, such as `openssl rand -base64 32` gives.
    #[error("{0}: a key is text of 24 to 1024 bytes, or whsec_ and as many bytes in base64")]
    Key(String),
    /// Make it readable.
    #[error("{0} can't be read: {1}")]
    Read(String, std::io::ErrorKind),
    /// Put one in.
    #[error("{0} holds no key: signing.<name>")]
    Nothing(String),
}

impl SigningKeys {
    /// Reads a Secret's folder: the keys that can be used, and what is wrong with the others.
    #[must_use]
    pub fn read(folder: &Path) -> (Self, Vec<SigningKeyError>) {
        let (mut entries, mut errors) = (Vec::new(), Vec::new());
        let shown = |path: &Path| path.display().to_string();
        let files = match std::fs::read_dir(folder) {
            Ok(files) => files,
            Err(error) => {
                errors.push(SigningKeyError::Read(shown(folder), error.kind()));
                return (Self::default(), errors);
            }
        };
        for file in files.filter_map(Result::ok) {
            let name = file.file_name();
            let Some(name) = name.to_str().filter(|name| is_key(name)) else {
                continue;
            };
            match std::fs::read(file.path()) {
                Ok(content) => entries.push((name.to_owned(), content)),
                Err(error) => errors.push(SigningKeyError::Read(shown(&file.path()), error.kind())),
            }
        }
        entries.sort();
        let mut keys = Vec::new();
        for (name, content) in entries.into_iter().take(MOST_KEYS) {
            match parse(&content) {
                Some(key) => keys.push(key),
                None => errors.push(SigningKeyError::Key(name)),
            }
        }
        if keys.is_empty() && errors.is_empty() {
            errors.push(SigningKeyError::Nothing(shown(folder)));
        }
        (Self(keys), errors)
    }

    /// Whether there is none, so that nothing can be signed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of [`SIGNATURE`].
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let head = format!("{id}.{timestamp}.");
        let signature = |key: &hmac::Key| {
            let mut signing = hmac::Context::with_key(key);
            signing.update(head.as_bytes());
            signing.update(body);
            format!("v1,{}", STANDARD.encode(signing.sign()))
        };
        self.0.iter().map(signature).collect::<Vec<_>>().join(" ")
    }
}

fn is_key(name: &str) -> bool {
    name.strip_prefix("signing.")
        .is_some_and(|name| !name.is_empty())
}

fn parse(content: &[u8]) -> Option<hmac::Key> {
    let text = std::str::from_utf8(content).ok()?;
    let text = text.trim_end_matches(['\r', '\n']);
    let bytes = match text.strip_prefix(ENCODED) {
        Some(encoded) => STANDARD.decode(encoded).ok()?,
        None => text.as_bytes().to_vec(),
    };
    let fits = (SHORTEST..=LONGEST).contains(&bytes.len());
    fits.then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// Shows how many there are.
impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SigningKeys").field(&self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(entries: &[(&str, &str)]) -> (SigningKeys, Vec<SigningKeyError>) {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in entries {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        SigningKeys::read(folder.path())
    }

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // The example of Standard Webhooks, symmetric signatures.
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n";
        let (keys, errors) = keys(&[("signing.a", secret), ("api.x", "other")]);
        assert_eq!(errors, []);
        let body = br#"{"test": 2432232314}"#;
        let signature = keys.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_key_signs_and_a_bad_one_is_named() {
        let (good, other) = ("0123456789abcdef01234567", "89abcdef0123456789abcdef");
        let entries = [
            ("signing.a", good),
            ("signing.b", other),
            ("signing.c", "short"),
        ];
        let (both, errors) = keys(&entries);
        assert_eq!(errors, [SigningKeyError::Key("signing.c".into())]);
        let (one, two) = (keys(&entries[..1]).0, keys(&entries[1..2]).0);
        let sign = |keys: &SigningKeys| keys.sign("id", 7, b"{}");
        assert_eq!(sign(&both), format!("{} {}", sign(&one), sign(&two)));
    }

    #[test]
    fn a_folder_without_a_key_is_told_of() {
        let (keys, errors) = keys(&[("signing.", "0123456789abcdef01234567")]);
        assert!(keys.is_empty());
        assert!(matches!(&errors[..], [SigningKeyError::Nothing(_)]));
        let (_, errors) = SigningKeys::read(Path::new("/nowhere"));
        assert!(matches!(&errors[..], [SigningKeyError::Read(..)]));
    }
}
