//! The keys of a channel at one moment, and which of them a token may have been signed with.

use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::Jwk;
use serde_json::value::RawValue;

use super::key::Key;

/// Keys that a token without `kid` is tried with at most: each try costs as much as a good token.
const TRIES: usize = 4;
/// Keys of a published set that are looked at.
pub const MOST_KEYS: usize = 100;

/// All keys of a channel.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    keys: Vec<Key>,
}

/// Keys for one token.
#[derive(Debug)]
pub enum Candidates<'a> {
    /// These may have signed it; not empty.
    Keys(Vec<&'a Key>),
    /// There is no key of that name.
    UnknownKid,
    /// No key is of a type that fits the algorithm.
    Unfit,
    /// There is no key at all.
    Empty,
}

/// Not a set of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// It may be an error page.
    #[error("it is not a JSON object with a list `keys` (RFC 7517 section 5)")]
    NoSet,
    /// All its keys are of other kinds, or broken.
    #[error("none of its keys can be used: RSA of 2048 bits or more, P-256, P-384 or Ed25519")]
    NoKey,
}

impl Keyring {
    /// A ring of these.
    #[must_use]
    pub fn new(keys: Vec<Key>) -> Self {
        Self { keys }
    }

    /// Reads a published set. Keys that can't be used are left out, as RFC 7517 §5 asks.
    ///
    /// # Errors
    /// When nothing is left.
    pub fn from_set(text: &str) -> Result<Self, SetError> {
        #[derive(serde::Deserialize)]
        struct Set<'a> {
            #[serde(borrow)]
            keys: Vec<&'a RawValue>,
        }
        let set: Set<'_> = serde_json::from_str(text).map_err(|_| SetError::NoSet)?;
        let keys = set.keys.into_iter().take(MOST_KEYS);
        let keys = keys.filter_map(|key| {
            let jwk: Jwk = serde_json::from_str(key.get()).ok()?;
            Key::jwk(&jwk).ok()
        });
        match keys.collect::<Vec<_>>() {
            keys if keys.is_empty() => Err(SetError::NoKey),
            keys => Ok(Self { keys }),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that a token with these header fields may have been signed with: those that its `kid` names, else those
    /// without a name; without `kid`, all that fit.
    #[must_use]
    pub fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> Candidates<'_> {
        if self.keys.is_empty() {
            return Candidates::Empty;
        }
        let named: Vec<&Key> = match kid {
            None => self.keys.iter().collect(),
            Some(_) => {
                let with = |kid: Option<&str>| {
                    let keys = self.keys.iter();
                    keys.filter(|key| key.kid.as_deref() == kid)
                        .collect::<Vec<_>>()
                };
                match with(kid) {
                    named if named.is_empty() => with(None),
                    named => named,
                }
            }
        };
        if named.is_empty() {
            return Candidates::UnknownKid;
        }
        let fitting = named
            .into_iter()
            .filter(|key| key.algorithms.contains(&algorithm));
        match fitting.take(TRIES).collect::<Vec<_>>() {
            keys if keys.is_empty() => Candidates::Unfit,
            keys => Candidates::Keys(keys),
        }
    }
}
