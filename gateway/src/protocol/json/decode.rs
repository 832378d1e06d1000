//! Frames to requests. Field values stay JSON text until the request's type says what they must be, so that `data` is
//! passed on without reparsing and an error can carry the `id` whatever else is wrong.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use linnet_telemetry::Context;
use serde_json::value::RawValue;

use super::fields::{Fields, Parsed, Problem, parse, shortened};
use crate::message::Payload;
use crate::names::{ConnectionId, Epoch, Offset, RoomName, SessionSecret};
use crate::protocol::{
    Command, Content, ErrorCode, Fault, HistoryRange, Question, Request, RequestId, Since,
};

/// Deepest nesting of `data` and `info` (PROTOCOL, Data).
pub const MAX_DEPTH: usize = 64;
/// Longest `id`, `message_id` and `event`, in bytes.
pub const MAX_NAME: usize = 64;
/// Longest `info`, in bytes of JSON text.
const MAX_INFO: usize = 1024;
/// Largest integer that every JSON reader keeps exactly.
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;
/// Most messages that one `history` answers.
pub const MAX_LIMIT: u64 = 100;

/// Reads one request.
pub fn request(text: &str) -> Result<Request, Fault> {
    let mut fields = Fields::default();
    let parsed = parse(text, &mut fields);
    let id = match fields.id.map(request_id).transpose() {
        Ok(id) => id,
        Err(problem) => return Err(problem.with(None)),
    };
    if let Err(problem) = parsed {
        return Err(problem.with(id));
    }
    match command(&fields) {
        Ok(command) => Ok(Request { id, command }),
        Err(problem) => Err(problem.with(id)),
    }
}

fn command(fields: &Fields<'_>) -> Parsed<Command> {
    command_of(&string(required(fields.kind, "type")?, "type")?, fields)
}

/// The request of this type with these fields.
pub fn command_of(kind: &str, fields: &Fields<'_>) -> Parsed<Command> {
    match kind {
        "connect" => Ok(Command::Connect {
            token: optional_string(fields.token, "token")?.map(|token| token.as_ref().into()),
            session: optional_string(fields.session, "session")?
                .map(|text| session(&text))
                .transpose()?,
            info: fields.info.map(info).transpose()?,
        }),
        "subscribe" => Ok(Command::Subscribe {
            room: room(fields)?,
            since: fields.since.map(since).transpose()?,
            presence: fields
                .presence
                .map_or(Ok(false), |value| boolean(value, "presence"))?,
        }),
        "unsubscribe" => Ok(Command::Unsubscribe {
            room: room(fields)?,
        }),
        "publish" => Ok(Command::Publish {
            room: room(fields)?,
            content: content(fields)?,
            echo: fields
                .echo
                .map_or(Ok(true), |value| boolean(value, "echo"))?,
        }),
        "send" => Ok(Command::Send {
            to: string(required(fields.to, "to")?, "to")?.as_ref().into(),
            content: content(fields)?,
        }),
        "history" => Ok(Command::History {
            room: room(fields)?,
            range: range(fields)?,
            limit: limit(fields)?,
        }),
        "presence" => Ok(Command::Presence {
            room: room(fields)?,
            after: optional_string(fields.after, "after")?
                .map(|id| {
                    ConnectionId::parse(&id).ok_or(Problem::new("`after` must be a connection_id"))
                })
                .transpose()?,
        }),
        "request" => Ok(Command::Request(question(fields)?)),
        "refresh" => Ok(Command::Refresh {
            token: string(required(fields.token, "token")?, "token")?
                .as_ref()
                .into(),
        }),
        "ping" => Ok(Command::Ping),
        other => Err(Problem {
            code: ErrorCode::UnknownType,
            message: format!("unknown type {:?}", shortened(other)).into(),
        }),
    }
}

pub(super) fn content(fields: &Fields<'_>) -> Parsed<Content> {
    Ok(Content {
        event: name(fields.event, "event")?,
        data: payload(fields)?,
        message_id: name(fields.message_id, "message_id")?,
        caller: caller(fields.traceparent),
    })
}

fn question(fields: &Fields<'_>) -> Parsed<Question> {
    let event = required(fields.event, "event")?;
    Ok(Question {
        event: name(Some(event), "event")?.unwrap_or_default(),
        data: payload(fields)?,
        caller: caller(fields.traceparent),
    })
}

fn payload(fields: &Fields<'_>) -> Parsed<Payload> {
    let data = required(fields.data, "data")?.get();
    if depth(data) > MAX_DEPTH {
        return Err(Problem::new("`data` is nested deeper than 64"));
    }
    match optional_string(fields.encoding, "encoding")?.as_deref() {
        None => Ok(Payload::Json(data.into())),
        Some("base64") => {
            let text: Cow<'_, str> = serde_json::from_str::<BorrowedText<'_>>(data)
                .map_err(|_| Problem::new("with \"encoding\":\"base64\", `data` must be a string"))?
                .0;
            let bytes = STANDARD.decode(text.as_bytes());
            let bytes = bytes.map_err(|_| Problem::new("`data` is not valid base64"))?;
            Ok(Payload::Binary(bytes.into()))
        }
        Some(_) => Err(Problem::new("`encoding` must be \"base64\" or absent")),
    }
}

/// One that is not valid is as good as none (W3C Trace Context §4.3), and must not cost the message.
fn caller(value: Option<&RawValue>) -> Option<Box<Context>> {
    let text = string(value?, "traceparent").ok()?;
    Context::parse(&text).map(Box::new)
}

pub(super) fn room(fields: &Fields<'_>) -> Parsed<RoomName> {
    room_name(required(fields.room, "room")?)
}

pub(super) fn room_name(value: &RawValue) -> Parsed<RoomName> {
    let name = string(value, "room")?;
    RoomName::parse(&name).map_err(|error| Problem {
        code: ErrorCode::BadRoom,
        message: error.to_string().into(),
    })
}

fn since(value: &RawValue) -> Parsed<Since> {
    #[derive(serde::Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        epoch: Cow<'a, str>,
        offset: u64,
    }
    // Serde would take `["epoch", 1]` for the struct as well.
    let wire: Option<Wire<'_>> = value
        .get()
        .starts_with('{')
        .then(|| serde_json::from_str(value.get()).ok())
        .flatten();
    let wire = wire.ok_or(Problem::new(
        "`since` must be {\"epoch\": string, \"offset\": integer from 0}",
    ))?;
    if wire.epoch.len() > 128 || wire.offset > MAX_SAFE_INTEGER {
        return Err(Problem::new(
            "`since` must be a position that the server gave",
        ));
    }
    Ok(Since {
        epoch: Epoch::from_client(&wire.epoch),
        offset: Offset(wire.offset),
    })
}

fn range(fields: &Fields<'_>) -> Parsed<HistoryRange> {
    match (fields.after, fields.before) {
        (None, None) => Ok(HistoryRange::Newest),
        (Some(after), None) => Ok(HistoryRange::After(Offset(integer(after, "after")?))),
        (None, Some(before)) => Ok(HistoryRange::Before(Offset(integer(before, "before")?))),
        (Some(_), Some(_)) => Err(Problem::new("give `after` or `before`, not both")),
    }
}

fn limit(fields: &Fields<'_>) -> Parsed<usize> {
    match fields
        .limit
        .map_or(Ok(MAX_LIMIT), |value| integer(value, "limit"))?
    {
        limit @ 1..=MAX_LIMIT => Ok(limit as usize),
        _ => Err(Problem::new("`limit` must be 1 to 100")),
    }
}

fn session(text: &str) -> Parsed<SessionSecret> {
    SessionSecret::parse(text).ok_or(Problem::new(
        "`session` must be the secret of an earlier `connected`",
    ))
}

fn info(value: &RawValue) -> Parsed<Arc<str>> {
    match value.get() {
        text if text.len() > MAX_INFO => Err(Problem::new("`info` has at most 1024 bytes")),
        text if depth(text) > MAX_DEPTH => Err(Problem::new("`info` is nested deeper than 64")),
        text => Ok(text.into()),
    }
}

fn request_id(value: &RawValue) -> Parsed<RequestId> {
    const WANTED: &str = "`id` must be an integer from 0 to 2^53-1 or a string of at most 64 bytes";
    if value.get().starts_with('"') {
        let text = string(value, "id")?;
        return if text.len() <= MAX_NAME {
            Ok(RequestId::Text(text.as_ref().into()))
        } else {
            Err(Problem::new(WANTED))
        };
    }
    integer(value, "id")
        .map(RequestId::Number)
        .map_err(|_| Problem::new(WANTED))
}

fn name(value: Option<&RawValue>, field: &str) -> Parsed<Option<Box<str>>> {
    match optional_string(value, field)? {
        Some(text) if text.len() > MAX_NAME => {
            Err(Problem::new(format!("`{field}` has at most 64 bytes")))
        }
        text => Ok(text.map(|text| text.as_ref().into())),
    }
}

pub(super) fn required<'a>(value: Option<&'a RawValue>, field: &str) -> Parsed<&'a RawValue> {
    value.ok_or_else(|| Problem::new(format!("the field `{field}` is missing")))
}

pub(super) fn optional_string<'a>(
    value: Option<&'a RawValue>,
    field: &str,
) -> Parsed<Option<Cow<'a, str>>> {
    value.map(|value| string(value, field)).transpose()
}

/// A string, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

pub(super) fn string<'a>(value: &'a RawValue, field: &str) -> Parsed<Cow<'a, str>> {
    serde_json::from_str::<BorrowedText<'a>>(value.get())
        .map(|text| text.0)
        .map_err(|_| Problem::new(format!("`{field}` must be a string")))
}

fn boolean(value: &RawValue, field: &str) -> Parsed<bool> {
    serde_json::from_str(value.get())
        .map_err(|_| Problem::new(format!("`{field}` must be true or false")))
}

pub(super) fn integer(value: &RawValue, field: &str) -> Parsed<u64> {
    match value.get().parse() {
        Ok(number) if number <= MAX_SAFE_INTEGER => Ok(number),
        _ => Err(Problem::new(format!(
            "`{field}` must be an integer from 0 to 2^53-1"
        ))),
    }
}

/// How deep a valid JSON text nests.
pub fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
    }
    deepest
}
