//! A frame's object to its fields, whose values stay JSON text; and what is wrong with a frame before its `id` is known.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::protocol::{ErrorCode, Fault, RequestId};

/// Longest message of a JSON reader that is passed on, in bytes: it may repeat what was sent.
const MAX_MESSAGE: usize = 200;

/// A fault whose request's id is not known yet.
pub struct Problem {
    pub code: ErrorCode,
    pub message: Cow<'static, str>,
}

impl Problem {
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: ErrorCode::BadRequest,
            message: message.into(),
        }
    }

    pub fn with(self, id: Option<RequestId>) -> Fault {
        Fault {
            id,
            code: self.code,
            message: self.message,
            fatal: false,
        }
    }
}

pub type Parsed<T> = Result<T, Problem>;

/// The fields that any request may have, as JSON text.
#[derive(Default)]
pub struct Fields<'a> {
    pub id: Option<&'a RawValue>,
    pub kind: Option<&'a RawValue>,
    pub token: Option<&'a RawValue>,
    pub session: Option<&'a RawValue>,
    pub info: Option<&'a RawValue>,
    pub room: Option<&'a RawValue>,
    pub since: Option<&'a RawValue>,
    pub presence: Option<&'a RawValue>,
    pub event: Option<&'a RawValue>,
    pub data: Option<&'a RawValue>,
    pub encoding: Option<&'a RawValue>,
    pub message_id: Option<&'a RawValue>,
    pub echo: Option<&'a RawValue>,
    pub to: Option<&'a RawValue>,
    pub after: Option<&'a RawValue>,
    pub before: Option<&'a RawValue>,
    pub limit: Option<&'a RawValue>,
    pub traceparent: Option<&'a RawValue>,
}

/// Fields by their names.
pub trait Slots<'a> {
    /// Where the value of a field goes; `None`: it is of no meaning.
    fn slot(&mut self, name: &str) -> Option<&mut Option<&'a RawValue>>;
}

impl<'a> Slots<'a> for Fields<'a> {
    fn slot(&mut self, name: &str) -> Option<&mut Option<&'a RawValue>> {
        Some(match name {
            "id" => &mut self.id,
            "type" => &mut self.kind,
            "token" => &mut self.token,
            "session" => &mut self.session,
            "info" => &mut self.info,
            "room" => &mut self.room,
            "since" => &mut self.since,
            "presence" => &mut self.presence,
            "event" => &mut self.event,
            "data" => &mut self.data,
            "encoding" => &mut self.encoding,
            "message_id" => &mut self.message_id,
            "echo" => &mut self.echo,
            "to" => &mut self.to,
            "after" => &mut self.after,
            "before" => &mut self.before,
            "limit" => &mut self.limit,
            "traceparent" => &mut self.traceparent,
            _ => return None,
        })
    }
}

/// Fills the fields. An error leaves those that were read before it, so that it can carry the `id`.
pub fn parse<'a>(text: &'a str, fields: &mut impl Slots<'a>) -> Parsed<()> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let repeated = FieldsSeed(fields)
        .deserialize(&mut reader)
        .and_then(|repeated| reader.end().map(|()| repeated));
    match repeated {
        Ok(None) => Ok(()),
        Ok(Some(name)) => Err(Problem::new(format!(
            "the field {:?} stands there twice",
            shortened(&name)
        ))),
        Err(error) => {
            let mut message = error.to_string();
            message.truncate(message.floor_char_boundary(MAX_MESSAGE));
            Err(Problem::new(message))
        }
    }
}

/// Fills the fields, and gives a name that stands there twice. All is read even then: the `id` may come last.
struct FieldsSeed<'f, S>(&'f mut S);

impl<'a, S: Slots<'a>> DeserializeSeed<'a> for FieldsSeed<'_, S> {
    type Value = Option<Cow<'a, str>>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a, S: Slots<'a>> Visitor<'a> for FieldsSeed<'_, S> {
    type Value = Option<Cow<'a, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut unknown: HashSet<Cow<'a, str>> = HashSet::new();
        let mut twice = None;
        while let Some(Key(name)) = map.next_key::<Key<'a>>()? {
            let value = map.next_value::<&'a RawValue>()?;
            let repeated = match self.0.slot(&name) {
                Some(slot) => slot.replace(value).is_some(),
                None => !unknown.insert(name.clone()),
            };
            if repeated {
                twice = Some(name);
            }
        }
        Ok(twice)
    }
}

/// An object's key, borrowed where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(name)))
            }
            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// The beginning of what a client sent, for an error message.
pub fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(32)]
}
