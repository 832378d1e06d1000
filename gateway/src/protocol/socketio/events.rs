//! A client's events to requests. Their options are the fields of `linnet.v1.json`, read by the same code: what holds for
//! a field there holds here.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::encode::is_reserved;
use crate::message::Payload;
use crate::names::RoomName;
use crate::protocol::json::decode::command_of;
use crate::protocol::json::fields::{Fields, Parsed, Problem, parse};
use crate::protocol::json::{MAX_DEPTH, MAX_NAME, depth};
use crate::protocol::{Command, ErrorCode, Question};

/// Arguments of one event at most.
const MOST_ARGUMENTS: usize = 16;

/// An event, its arguments as JSON text.
pub(super) struct Event<'a> {
    pub(super) name: Cow<'a, str>,
    arguments: Vec<&'a RawValue>,
    /// Whether there were more than are kept.
    too_many: bool,
}

/// The elements of an array, up to a bound: a long one of short elements would else take many times its size.
struct Elements<'a> {
    kept: Vec<&'a RawValue>,
    too_many: bool,
}

impl<'de: 'a, 'a> serde::Deserialize<'de> for Elements<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Few<'de>(std::marker::PhantomData<&'de ()>);
        impl<'de> Visitor<'de> for Few<'de> {
            type Value = Elements<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
                let (mut kept, mut too_many) = (Vec::new(), false);
                while let Some(element) = array.next_element::<&'de RawValue>()? {
                    match kept.len() <= MOST_ARGUMENTS {
                        true => kept.push(element),
                        false => too_many = true,
                    }
                }
                Ok(Elements { kept, too_many })
            }
        }
        deserializer.deserialize_seq(Few(std::marker::PhantomData))
    }
}

/// Whether a text is a JSON array.
pub(super) fn is_array(text: &str) -> bool {
    serde_json::from_str::<Elements<'_>>(text).is_ok()
}

impl<'a> Event<'a> {
    /// Reads the JSON of an event's packet; `None` where it is no array that begins with a name, or with one that only
    /// the protocol itself may use.
    pub(super) fn parse(json: &'a str) -> Option<Self> {
        let Elements { kept, too_many } = serde_json::from_str(json).ok()?;
        let (&name, arguments) = kept.split_first()?;
        let name = text(name)?;
        (!is_reserved(&name)).then(|| Self {
            name,
            arguments: arguments.to_vec(),
            too_many,
        })
    }
}

/// The request that an event is, in the namespace whose rooms begin with `prefix`.
pub(super) fn command(
    event: &Event<'_>,
    attachments: Vec<Box<[u8]>>,
    prefix: String,
) -> Parsed<Command> {
    if event.name.is_empty() || event.name.len() > MAX_NAME {
        return Err(Problem::new("an event's name has 1 to 64 bytes"));
    }
    if event.too_many || event.arguments.len() > MOST_ARGUMENTS {
        return Err(Problem::new("an event has at most 16 arguments"));
    }
    let (kind, lead) = match &*event.name {
        "join" => ("subscribe", Lead::Room),
        "leave" => ("unsubscribe", Lead::Room),
        "presence" => ("presence", Lead::Room),
        "history" => ("history", Lead::Room),
        "refresh" => ("refresh", Lead::Token),
        "message" => ("publish", Lead::None),
        "send" => ("send", Lead::None),
        _ => return handled(event, attachments),
    };
    let fields = options(&event.arguments, lead)?;
    let bytes = match attachments.is_empty() {
        true => None,
        false => Some(data_of(&fields, attachments)?),
    };
    let mut command = command_of(kind, &fields)?;
    if let Some(bytes) = bytes {
        match &mut command {
            Command::Publish { content, .. } | Command::Send { content, .. } => {
                content.data = Payload::Binary(bytes);
            }
            _ => return Err(Problem::new(NOT_DATA)),
        }
    }
    in_namespace(&mut command, prefix)?;
    Ok(command)
}

/// What an event's first argument may be instead of its options.
#[derive(Clone, Copy)]
enum Lead {
    None,
    Room,
    Token,
}

/// The fields that an event's arguments give: a room or a token as a string, then an object.
fn options<'a>(arguments: &[&'a RawValue], lead: Lead) -> Parsed<Fields<'a>> {
    let mut fields = Fields::default();
    let (first, rest) = match arguments {
        [first, rest @ ..] if first.get().starts_with('"') => (Some(*first), rest),
        rest => (None, rest),
    };
    match rest {
        [] => {}
        [none] if none.get() == "null" => {} // `undefined`, as JavaScript writes it
        [options] => parse(options.get(), &mut fields)?,
        _ => return Err(Problem::new("there are more arguments than this event has")),
    }
    let Some(first) = first else {
        return Ok(fields);
    };
    let slot = match lead {
        Lead::Room => &mut fields.room,
        Lead::Token => &mut fields.token,
        Lead::None => return Err(Problem::new("this event has one argument, an object")),
    };
    match slot.replace(first) {
        None => Ok(fields),
        Some(_) => Err(Problem::new(
            "the first argument stands in the object again",
        )),
    }
}

const NOT_DATA: &str =
    "bytes can only be the whole `data` of a message, or an event's only argument";

/// The bytes of a message, whose `data` stands for them. In other places, or as a part of `data`, they would have to
/// become something else for clients of other protocols.
fn data_of(fields: &Fields<'_>, attachments: Vec<Box<[u8]>>) -> Parsed<Box<[u8]>> {
    match (fields.data, fields.encoding) {
        (Some(data), None) => stood_for(data, attachments),
        _ => Err(Problem::new(NOT_DATA)),
    }
}

/// The only bytes of a packet, for which this value stands.
fn stood_for(value: &RawValue, attachments: Vec<Box<[u8]>>) -> Parsed<Box<[u8]>> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Placeholder {
        #[serde(rename = "_placeholder")]
        placeholder: bool,
        num: u64,
    }
    let placeholder = Some(value.get())
        .filter(|value| value.starts_with('{'))
        .and_then(|value| serde_json::from_str::<Placeholder>(value).ok());
    let stands =
        placeholder.is_some_and(|placeholder| placeholder.placeholder && placeholder.num == 0);
    let mut attachments = attachments.into_iter();
    match (attachments.next(), attachments.next()) {
        (Some(bytes), None) if stands => Ok(bytes),
        _ => Err(Problem::new(NOT_DATA)),
    }
}

/// An event that the channel's handler answers. Its data is the argument; `null` where there is none, and an array where
/// there are several.
fn handled(event: &Event<'_>, attachments: Vec<Box<[u8]>>) -> Parsed<Command> {
    let arguments = &event.arguments;
    if (arguments.iter()).any(|argument| depth(argument.get()) > MAX_DEPTH) {
        return Err(Problem::new("an argument is nested deeper than 64"));
    }
    let data = match (attachments.is_empty(), arguments.as_slice()) {
        (false, [argument]) => Payload::Binary(stood_for(argument, attachments)?),
        (false, _) => return Err(Problem::new(NOT_DATA)),
        (true, []) => Payload::Json("null".into()),
        (true, [argument]) => Payload::Json(argument.get().into()),
        (true, several) => {
            let several: Vec<&str> = several.iter().map(|argument| argument.get()).collect();
            Payload::Json(format!("[{}]", several.join(",")).into())
        }
    };
    Ok(Command::Request(Question {
        event: event.name.as_ref().into(),
        data,
        caller: None,
    }))
}

/// Gives the room of a request its full name.
fn in_namespace(command: &mut Command, prefix: String) -> Parsed<()> {
    let room = match command {
        Command::Subscribe { room, .. }
        | Command::Unsubscribe { room }
        | Command::Publish { room, .. }
        | Command::History { room, .. }
        | Command::Presence { room, .. } => room,
        _ => return Ok(()),
    };
    if !prefix.is_empty() {
        *room = RoomName::parse(&(prefix + room.as_str())).map_err(|error| Problem {
            code: ErrorCode::BadRoom,
            message: error.to_string().into(),
        })?;
    }
    Ok(())
}

fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(serde::Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    let text: Text<'_> = serde_json::from_str(value.get()).ok()?;
    Some(text.0)
}
