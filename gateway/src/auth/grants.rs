//! The rooms of a token: patterns, and what its user may do in the rooms that fit them.
//!
//! Three forms are taken, as a channel's issuer likes:
//! `["orders.*", {"match": "news", "allow": ["subscribe"]}]` or `{"orders.*": ["subscribe", "publish"]}`.

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use super::access::Verb;
use crate::config::pattern::Pattern;
use crate::names::ROOM_NAME_MAX;

/// Patterns of one token at most.
pub const MOST_PATTERNS: usize = 1000;

/// What a token lets its user do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants(Vec<Grant>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    pattern: Pattern,
    subscribe: bool,
    publish: bool,
}

/// A claim of rooms that can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GrantsError {
    /// Write one of the forms.
    #[error(
        "it must be a list of patterns or of {{\"match\": PATTERN, \"allow\": [\"subscribe\", \"publish\"]}}, or an object of patterns with lists of verbs"
    )]
    Form,
    /// Write fewer.
    #[error("it has over 1000 patterns")]
    TooMany,
    /// Write a shorter or a longer one.
    #[error("a pattern has 1 to 256 bytes")]
    Pattern,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    Pattern(String),
    Grant {
        #[serde(rename = "match")]
        pattern: String,
        allow: Vec<String>,
    },
}

/// The claim, whichever form it has.
enum Form {
    List(Vec<Item>),
    Object(Vec<(String, Vec<String>)>),
}

impl<'de> Deserialize<'de> for Form {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Form;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list or an object")
            }

            fn visit_seq<S: serde::de::SeqAccess<'de>>(
                self,
                mut list: S,
            ) -> Result<Form, S::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Form::List(items))
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Form, M::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Form::Object(entries))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Grants {
    /// Reads the claim's JSON text. `null` is the same as no claim.
    ///
    /// # Errors
    /// When it has none of the forms or is too large.
    pub fn parse(json: &str) -> Result<Self, GrantsError> {
        if json == "null" {
            return Ok(Self::default());
        }
        let form: Form = serde_json::from_str(json).map_err(|_| GrantsError::Form)?;
        let both = || vec!["subscribe".to_owned(), "publish".to_owned()];
        let grants: Vec<(String, Vec<String>)> = match form {
            Form::Object(entries) => entries,
            Form::List(items) => items
                .into_iter()
                .map(|item| match item {
                    Item::Pattern(pattern) => (pattern, both()),
                    Item::Grant { pattern, allow } => (pattern, allow),
                })
                .collect(),
        };
        if grants.len() > MOST_PATTERNS {
            return Err(GrantsError::TooMany);
        }
        let grants = grants.into_iter().map(|(pattern, verbs)| {
            if !(1..=ROOM_NAME_MAX).contains(&pattern.len()) {
                return Err(GrantsError::Pattern);
            }
            // A verb that is not known, of a later version, allows nothing.
            let allows = |verb: &str| verbs.iter().any(|allowed| allowed == verb);
            Ok(Grant {
                pattern: Pattern::parse(&pattern),
                subscribe: allows("subscribe"),
                publish: allows("publish"),
            })
        });
        grants.collect::<Result<Vec<_>, _>>().map(Self)
    }

    /// Whether the token lets `user` do this in `room`.
    #[must_use]
    pub fn allow(&self, verb: Verb, room: &str, user: &str) -> bool {
        let allows = |grant: &Grant| match verb {
            Verb::Subscribe => grant.subscribe,
            Verb::Publish => grant.publish,
        };
        let mut grants = self.0.iter();
        grants.any(|grant| allows(grant) && grant.pattern.matches(room, Some(user)))
    }

    /// How many patterns there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the token lists no room.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
