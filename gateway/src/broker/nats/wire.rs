//! A message as it travels through NATS: the room in the subject, the payload as it is, the rest in headers. So any
//! NATS client can read one and write one.
//!
//! | header | value |
//! |---|---|
//! | `Linnet-Room` | the room's name as a JSON string, where the subject holds only its hash |
//! | `Linnet-From` | the publisher as a JSON string; absent: a service |
//! | `Linnet-Event` | the publisher's name for the kind of message, as a JSON string |
//! | `Linnet-Info` | JSON of what the publisher says of itself |
//! | `Linnet-Type` | `text` or `binary`; absent: the payload is JSON |
//! | `Linnet-Skip` | the connection that wants no echo |
//! | `Linnet-Time` | milliseconds since the Unix epoch, in rooms without history |
//! | `Linnet-To` | the receiver of a direct message as a JSON string |
//! | `Linnet-Close` | instead of a message: the close code of the receiver's connections; the payload is the reason |
//! | `traceparent` | its place in a trace (W3C Trace Context), where the trace is recorded |
//! | `Linnet-Output` | on the way to a worker: the subject that takes messages for the same room |
//!
//! Strings are JSON, because NATS trims header values and ends them at a line break. Headers that are not in this table
//! never come from a client.

use async_nats::HeaderMap;
use bytes::Bytes;
use serde::de::IgnoredAny;

use super::subjects;
use crate::broker::Close;
use crate::message::{Message, Payload};
use crate::names::{ConnectionId, Offset, RoomName, UserId};
use crate::traces::Trace;

const ROOM: &str = "Linnet-Room";
const FROM: &str = "Linnet-From";
const EVENT: &str = "Linnet-Event";
const INFO: &str = "Linnet-Info";
const TYPE: &str = "Linnet-Type";
const SKIP: &str = "Linnet-Skip";
const TIME: &str = "Linnet-Time";
const TO: &str = "Linnet-To";
const CLOSE: &str = "Linnet-Close";
const OUTPUT: &str = "Linnet-Output";
const TRACE: &str = "traceparent";

/// Why what came through NATS is no message of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The subject names no room.
    #[error("its subject names no room")]
    Room,
    /// The payload is not what its type says.
    #[error("its payload is not what Linnet-Type says (JSON where there is none)")]
    Payload,
    /// A header can't be read.
    #[error("its header {0} can't be read")]
    Header(&'static str),
}

/// The headers and the payload of a message, without where it goes.
#[must_use]
pub fn encode(message: Message) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    if subjects::is_hashed(&message.room) {
        headers.insert(ROOM, quoted(message.room.as_str()));
    }
    if let Some(from) = &message.from {
        headers.insert(FROM, quoted(from.as_str()));
    }
    if let Some(event) = &message.event {
        headers.insert(EVENT, quoted(event));
    }
    if let Some(info) = &message.info {
        // Line breaks stand between tokens only: in JSON strings they are escaped (RFC 8259 §7).
        headers.insert(INFO, info.replace(['\r', '\n'], " "));
    }
    if let Some(skip) = &message.skip {
        headers.insert(SKIP, skip.to_string());
    }
    if message.timestamp != 0 {
        headers.insert(TIME, message.timestamp.to_string());
    }
    if let Some(trace) = &message.trace {
        headers.insert(TRACE, trace.context.to_string());
    }
    let payload = match message.data {
        Payload::Json(text) => Bytes::from(text.into_string()),
        Payload::Text(text) => {
            headers.insert(TYPE, "text");
            Bytes::from(text.into_string())
        }
        Payload::Binary(bytes) => {
            headers.insert(TYPE, "binary");
            Bytes::from(bytes)
        }
    };
    (headers, payload)
}

/// [`encode`] for a direct message.
#[must_use]
pub fn encode_direct(to: &UserId, message: Message) -> (HeaderMap, Bytes) {
    let (mut headers, payload) = encode(message);
    headers.insert(TO, quoted(to.as_str()));
    (headers, payload)
}

/// The headers and the payload of what closes connections.
#[must_use]
pub fn encode_close(to: &UserId, close: &Close) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    headers.insert(TO, quoted(to.as_str()));
    headers.insert(CLOSE, close.code.to_string());
    (headers, Bytes::from(close.reason.to_string()))
}

/// Reads what closes connections; `None` where it is something else.
///
/// # Errors
/// When it is none of ours.
pub fn decode_close(
    headers: Option<&HeaderMap>,
    payload: &[u8],
) -> Result<Option<(UserId, Close)>, Malformed> {
    let Some(code) = parsed(headers, CLOSE, |code| code.parse().ok())? else {
        return Ok(None);
    };
    let to = text(headers, TO)?.and_then(|to| user(&to));
    let reason = std::str::from_utf8(payload).ok();
    let reason = reason.filter(|reason| reason.len() <= 123); // RFC 6455 §5.5, less the code
    let close = Close {
        code,
        reason: reason.ok_or(Malformed::Payload)?.into(),
    };
    Ok(Some((to.ok_or(Malformed::Header(TO))?, close)))
}

/// [`encode`] for a message to a worker; `output` is the subject of the room's store.
#[must_use]
pub fn encode_work(message: Message, output: &str) -> (HeaderMap, Bytes) {
    let (mut headers, payload) = encode(message);
    headers.insert(OUTPUT, output);
    (headers, payload)
}

/// The room of a message.
///
/// # Errors
/// When subject and headers name none.
pub fn room(subject: &str, headers: Option<&HeaderMap>) -> Result<RoomName, Malformed> {
    let named = text(headers, ROOM)?;
    subjects::room(subject, named.as_deref()).ok_or(Malformed::Room)
}

/// Reads a message of `room`. `stored` is its offset and its time where it comes from a store.
///
/// # Errors
/// When it is none.
pub fn decode(
    room: RoomName,
    headers: Option<&HeaderMap>,
    payload: &[u8],
    stored: Option<(Offset, u64)>,
) -> Result<Message, Malformed> {
    let timestamp = match stored {
        Some((_, time)) => time,
        None => parsed(headers, TIME, |time| time.parse().ok())?.unwrap_or_default(),
    };
    Ok(Message {
        room,
        offset: stored.map(|(offset, _)| offset),
        timestamp,
        from: text(headers, FROM)?
            .map(|from| user(&from).ok_or(Malformed::Header(FROM)))
            .transpose()?,
        event: text(headers, EVENT)?.map(String::into_boxed_str),
        data: data(header(headers, TYPE), payload)?,
        info: parsed(headers, INFO, |info| is_json(info).then(|| info.into()))?,
        skip: parsed(headers, SKIP, ConnectionId::parse)?,
        trace: header(headers, TRACE).and_then(Trace::received),
    })
}

/// Reads a direct message and its receiver.
///
/// # Errors
/// When it is none.
pub fn decode_direct(
    headers: Option<&HeaderMap>,
    payload: &[u8],
) -> Result<(UserId, Message), Malformed> {
    let to = text(headers, TO)?.and_then(|to| user(&to));
    let message = decode(RoomName::direct(), headers, payload, None)?;
    Ok((to.ok_or(Malformed::Header(TO))?, message))
}

fn data(kind: Option<&str>, payload: &[u8]) -> Result<Payload, Malformed> {
    let text = || std::str::from_utf8(payload).map_err(|_| Malformed::Payload);
    match kind {
        None => match text()? {
            // What is passed on as it is must not break the frames that it is put into.
            text if is_json(text) => Ok(Payload::Json(text.into())),
            _ => Err(Malformed::Payload),
        },
        Some("text") => Ok(Payload::Text(text()?.into())),
        Some("binary") => Ok(Payload::Binary(payload.into())),
        Some(_) => Err(Malformed::Header(TYPE)),
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// A user of a token, or an anonymous connection.
fn user(name: &str) -> Option<UserId> {
    match ConnectionId::parse(name) {
        Some(connection) => Some(UserId::anonymous(connection)),
        None => UserId::from_token(name),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn header<'a>(headers: Option<&'a HeaderMap>, name: &'static str) -> Option<&'a str> {
    headers?.get(name).map(|value| value.as_str())
}

fn parsed<T>(
    headers: Option<&HeaderMap>,
    name: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Malformed> {
    header(headers, name)
        .map(|value| parse(value).ok_or(Malformed::Header(name)))
        .transpose()
}

fn text(headers: Option<&HeaderMap>, name: &'static str) -> Result<Option<String>, Malformed> {
    parsed(headers, name, |value| serde_json::from_str(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(data: Payload) -> Message {
        Message {
            room: RoomName::parse("lobby").unwrap(),
            offset: None,
            timestamp: 5,
            from: UserId::from_token(" ann "),
            event: Some("two\nlines, \"quoted\" ✓ ".into()),
            data,
            info: Some("{\"name\":\r\n \"Bob\"}".into()),
            skip: Some(ConnectionId::random()),
            trace: None,
        }
    }

    fn again(message: Message) -> Result<Message, Malformed> {
        let room = message.room.clone();
        let (headers, payload) = encode(message);
        decode(room, Some(&headers), &payload, None)
    }

    #[test]
    fn what_closes_connections_is_read_back_and_is_no_message() {
        let ann = UserId::from_token("ann").unwrap();
        let close = Close {
            code: 4321,
            reason: "see you ✓".into(),
        };
        let (headers, payload) = encode_close(&ann, &close);
        let read = decode_close(Some(&headers), &payload);
        assert_eq!(read, Ok(Some((ann.clone(), close.clone()))));
        let (direct, text) = encode_direct(&ann, message(Payload::Json("1".into())));
        assert_eq!(decode_close(Some(&direct), &text), Ok(None));
        assert_eq!(decode_close(None, b"1"), Ok(None));
        assert!(decode_close(Some(&headers), &[b'x'; 124]).is_err());
        assert!(decode_close(Some(&headers), &[0xff]).is_err());
        let mut nobody = HeaderMap::new();
        nobody.insert(CLOSE, "4321");
        assert!(decode_close(Some(&nobody), b"why").is_err());
    }

    #[test]
    fn a_message_is_read_back_as_it_was() {
        for data in [
            Payload::Json("{\"n\": 12345678901234567890123,  \"x\":null}".into()),
            Payload::Text("no \"JSON\"\n".into()),
            Payload::Binary([0, 255, 10].into()),
        ] {
            let sent = message(data);
            let got = again(sent.clone()).unwrap();
            assert_eq!(got.data, sent.data);
            assert_eq!((got.from, got.event), (sent.from, sent.event));
            assert_eq!((got.skip, got.timestamp), (sent.skip, 5));
            let info: serde_json::Value = serde_json::from_str(&got.info.unwrap()).unwrap();
            assert_eq!(info["name"], "Bob");
        }
    }

    #[test]
    fn a_store_says_offset_and_time() {
        let (headers, payload) = encode(message(Payload::Json("1".into())));
        let room = RoomName::parse("lobby").unwrap();
        let got = decode(room, Some(&headers), &payload, Some((Offset(9), 7))).unwrap();
        assert_eq!((got.offset, got.timestamp), (Some(Offset(9)), 7));
    }

    #[test]
    fn a_message_of_a_service_needs_no_headers() {
        let got = decode(RoomName::parse("r").unwrap(), None, b"[1]", None).unwrap();
        assert_eq!((got.from, got.event), (None, None));
    }

    #[test]
    fn what_would_break_a_frame_is_refused() {
        let read = |name, value: &str, payload: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value);
            decode(RoomName::parse("r").unwrap(), Some(&headers), payload, None)
        };
        assert_eq!(read("X", "", b"{").unwrap_err(), Malformed::Payload);
        assert_eq!(read("X", "", b"\xff").unwrap_err(), Malformed::Payload);
        assert_eq!(read(TYPE, "text", b"\xff").unwrap_err(), Malformed::Payload);
        for (name, value) in [
            (TYPE, "xml"),
            (FROM, "ann"),
            (FROM, "\"~x\""),
            (EVENT, "chat"),
            (INFO, "{"),
            (SKIP, "me"),
            (TIME, "now"),
        ] {
            assert_eq!(
                read(name, value, b"1").unwrap_err(),
                Malformed::Header(name)
            );
        }
    }

    #[test]
    fn a_direct_message_names_its_receiver() {
        let to = UserId::anonymous(ConnectionId::random());
        let (headers, payload) = encode_direct(&to, message(Payload::Json("1".into())));
        let (read, got) = decode_direct(Some(&headers), &payload).unwrap();
        assert_eq!((read, got.room), (to, RoomName::direct()));
        assert!(decode_direct(None, b"1").is_err());
    }
}
