//! What a handler may say. It is read strictly: a field that is misspelt could let somebody in who was to be refused.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::message::Payload;
use crate::names::{BadRoomName, RoomName};
use crate::protocol::json::{MAX_DEPTH, MAX_NAME, depth};

/// Most rooms of one list.
const MOST_ROOMS: usize = 1000;
/// Most messages to the connection.
const MOST_EMITS: usize = 16;
/// Longest message of a refusal, in bytes.
const LONGEST_MESSAGE: usize = 1024;

/// An answer.
#[derive(Debug, Default, PartialEq)]
pub struct Answer {
    /// What the client gets.
    pub data: Option<Payload>,
    /// It is refused; then there is nothing else.
    pub reject: Option<Reject>,
    /// Rooms that the connection is put in.
    pub join: Vec<RoomName>,
    /// Rooms that it is taken out of.
    pub leave: Vec<RoomName>,
    /// Messages to the connection, before the answer.
    pub emit: Vec<Emit>,
}

/// A refusal.
#[derive(Debug, PartialEq)]
pub struct Reject {
    /// The handler's own code.
    pub code: Option<Box<str>>,
    /// For people.
    pub message: Option<Box<str>>,
}

/// A message to the connection.
#[derive(Debug, PartialEq)]
pub struct Emit {
    /// The handler's name for the kind of message.
    pub event: Option<Box<str>>,
    /// The message.
    pub data: Payload,
}

/// What is wrong with an answer. It never shows what is in it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AnswerError {
    /// Answer with an object of these fields.
    #[error(
        "it is no JSON object of data, encoding, reject, join, leave and emit ({0:?} at line {1}, column {2})"
    )]
    Shape(Category, usize, usize),
    /// Send less.
    #[error("{0} is over limits.messageSize")]
    Large(&'static str),
    /// Nest less.
    #[error("{0} is nested deeper than 64")]
    Deep(&'static str),
    /// Write base64, padded, in a string.
    #[error("{0} is not base64 in a string, as its encoding says")]
    Base64(&'static str),
    /// Write `base64` or nothing.
    #[error("an encoding is \"base64\" or absent, and stands beside data")]
    Encoding,
    /// Write another one.
    #[error("a room of {0} has a bad name: {1}")]
    Room(&'static str, BadRoomName),
    /// Name fewer.
    #[error("{0} has over {1} entries")]
    Many(&'static str, usize),
    /// Write a shorter one.
    #[error("{0} has over {1} bytes")]
    Long(&'static str, usize),
    /// Refuse, or don't.
    #[error("reject stands beside other fields")]
    Both,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    encoding: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reject: Option<WireReject<'a>>,
    #[serde(borrow, default)]
    join: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    leave: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    emit: Vec<WireEmit<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireReject<'a> {
    #[serde(borrow, default)]
    code: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    message: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireEmit<'a> {
    #[serde(borrow, default)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow, default)]
    encoding: Option<Cow<'a, str>>,
}

/// `null` is a value, not an absent field.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

impl Answer {
    /// Reads one. Nothing at all is an answer too: yes, and no more.
    ///
    /// # Errors
    /// Whatever is wrong with it; then nothing of it holds.
    pub fn parse(body: &[u8], message_size: usize) -> Result<Self, AnswerError> {
        let body = body.trim_ascii();
        if body.is_empty() {
            return Ok(Self::default());
        }
        if body[0] != b'{' {
            // Serde would take an array for the struct as well.
            return Err(AnswerError::Shape(Category::Data, 1, 1));
        }
        let wire: Wire<'_> = serde_json::from_slice(body)
            .map_err(|error| AnswerError::Shape(error.classify(), error.line(), error.column()))?;
        let payload = |field, data, encoding: Option<Cow<'_, str>>| {
            payload(field, data, encoding.as_deref(), message_size)
        };
        if wire.data.is_none() && wire.encoding.is_some() {
            return Err(AnswerError::Encoding);
        }
        let data = wire.data.map(|data| payload("data", data, wire.encoding));
        if wire.emit.len() > MOST_EMITS {
            return Err(AnswerError::Many("emit", MOST_EMITS));
        }
        let emit = wire.emit.into_iter().map(|emit| {
            Ok::<_, AnswerError>(Emit {
                event: short("event", emit.event, MAX_NAME)?,
                data: payload("data of emit", emit.data, emit.encoding)?,
            })
        });
        let reject = wire.reject.map(|reject| {
            Ok::<_, AnswerError>(Reject {
                code: short("code", reject.code, MAX_NAME)?,
                message: short("message", reject.message, LONGEST_MESSAGE)?,
            })
        });
        let answer = Self {
            data: data.transpose()?,
            reject: reject.transpose()?,
            join: rooms("join", &wire.join)?,
            leave: rooms("leave", &wire.leave)?,
            emit: emit.collect::<Result<_, AnswerError>>()?,
        };
        let more = answer.data.is_some()
            || !answer.join.is_empty()
            || !answer.leave.is_empty()
            || !answer.emit.is_empty();
        match answer.reject.is_some() && more {
            true => Err(AnswerError::Both),
            false => Ok(answer),
        }
    }

    /// Bytes that wait with it.
    #[must_use]
    pub fn weight(&self) -> usize {
        let data = self.data.as_ref().map_or(0, Payload::len);
        let emit = self.emit.iter().map(|emit| emit.data.len());
        let rooms = self.join.iter().chain(&self.leave);
        let rooms: usize = rooms.map(|room| room.as_str().len() + 32).sum();
        256 + data + emit.sum::<usize>() + rooms
    }
}

/// The largest answer that can be right, in bytes: its data, what is sent besides, and rooms.
#[must_use]
pub fn most_bytes(message_size: usize) -> usize {
    message_size + message_size / 2 + 256 * 1024
}

fn payload(
    field: &'static str,
    data: &RawValue,
    encoding: Option<&str>,
    message_size: usize,
) -> Result<Payload, AnswerError> {
    let text = data.get();
    let payload = match encoding {
        None if depth(text) > MAX_DEPTH => return Err(AnswerError::Deep(field)),
        None => Payload::Json(text.into()),
        Some("base64") => {
            let bytes: Option<Cow<'_, str>> = serde_json::from_str(text).ok();
            let bytes = bytes.and_then(|text| STANDARD.decode(text.as_bytes()).ok());
            Payload::Binary(bytes.ok_or(AnswerError::Base64(field))?.into())
        }
        Some(_) => return Err(AnswerError::Encoding),
    };
    match payload.len() <= message_size {
        true => Ok(payload),
        false => Err(AnswerError::Large(field)),
    }
}

fn rooms(field: &'static str, names: &[Cow<'_, str>]) -> Result<Vec<RoomName>, AnswerError> {
    if names.len() > MOST_ROOMS {
        return Err(AnswerError::Many(field, MOST_ROOMS));
    }
    let parse = |name: &Cow<'_, str>| RoomName::parse(name);
    let rooms: Result<_, _> = names.iter().map(parse).collect();
    rooms.map_err(|error| AnswerError::Room(field, error))
}

fn short(
    field: &'static str,
    text: Option<Cow<'_, str>>,
    most: usize,
) -> Result<Option<Box<str>>, AnswerError> {
    match text {
        Some(text) if text.len() > most => Err(AnswerError::Long(field, most)),
        text => Ok(text.map(|text| text.as_ref().into())),
    }
}
