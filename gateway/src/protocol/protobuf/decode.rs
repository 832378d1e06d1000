//! Messages of the API to what the gateway works with: each field is what it must be, or is named.

use std::borrow::Cow;

use linnet_proto::v1::publish_request::Data;
use linnet_proto::v1::{HistoryRequest, PresenceRequest, PublishRequest, history_request};
use linnet_telemetry::Context;
use serde_json::value::RawValue;

use crate::message::Payload;
use crate::names::{ConnectionId, Offset, RoomName};
use crate::protocol::json::decode::{MAX_DEPTH, MAX_LIMIT, MAX_NAME, MAX_SAFE_INTEGER, depth};
use crate::protocol::{Content, ErrorCode, HistoryRange};

/// A field that is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Its name.
    pub field: &'static str,
    /// The code.
    pub code: ErrorCode,
    /// What to do about it.
    pub message: Cow<'static, str>,
}

impl Wrong {
    /// Something that the field cannot be.
    pub fn new(field: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            field,
            code: ErrorCode::BadRequest,
            message: message.into(),
        }
    }

    /// The same of a field of another name.
    #[must_use]
    pub fn of(self, field: &'static str) -> Self {
        Self { field, ..self }
    }
}

/// What is to be published, and where.
///
/// # Errors
/// The first field that is wrong.
pub fn publish(request: PublishRequest) -> Result<(RoomName, Content), Wrong> {
    let room = room(&request.room)?;
    Ok((room, content(request)?))
}

/// What is said, wherever it goes.
pub(super) fn content(request: PublishRequest) -> Result<Content, Wrong> {
    let data = match request.data {
        None => return Err(Wrong::new("data", "give one of `json` and `binary`")),
        Some(Data::Json(text)) => Payload::Json(json(&text)?),
        Some(Data::Binary(bytes)) => Payload::Binary(bytes.into()),
    };
    Ok(Content {
        event: name("event", request.event)?,
        data,
        message_id: name("message_id", request.message_id)?,
        // One that is not valid is as good as none (W3C Trace Context §4.3), and must not cost the message.
        caller: request
            .traceparent
            .and_then(|text| Context::parse(&text))
            .map(Box::new),
    })
}

/// A part of a room's messages, and how many at most.
///
/// # Errors
/// The first field that is wrong.
pub fn history(request: &HistoryRequest) -> Result<(RoomName, HistoryRange, usize), Wrong> {
    let room = room(&request.room)?;
    let offset = |field, offset| match offset {
        0..=MAX_SAFE_INTEGER => Ok(Offset(offset)),
        _ => Err(Wrong::new(field, "an offset is from 0 to 2^53-1")),
    };
    let range = match request.range {
        None => HistoryRange::Newest,
        Some(history_request::Range::After(after)) => HistoryRange::After(offset("after", after)?),
        Some(history_request::Range::Before(before)) => {
            HistoryRange::Before(offset("before", before)?)
        }
    };
    match request.limit.map_or(MAX_LIMIT, u64::from) {
        limit @ 1..=MAX_LIMIT => Ok((room, range, limit as usize)),
        _ => Err(Wrong::new("limit", "`limit` must be 1 to 100")),
    }
}

/// A room whose members are asked for, and the last one of the page before.
///
/// # Errors
/// The first field that is wrong.
pub fn presence(request: &PresenceRequest) -> Result<(RoomName, Option<ConnectionId>), Wrong> {
    let room = room(&request.room)?;
    let after = request.after.as_deref().map(|id| {
        ConnectionId::parse(id).ok_or(Wrong::new("after", "`after` must be a connection_id"))
    });
    Ok((room, after.transpose()?))
}

/// A room.
///
/// # Errors
/// When it is none.
pub fn room(name: &str) -> Result<RoomName, Wrong> {
    RoomName::parse(name).map_err(|error| Wrong {
        code: ErrorCode::BadRoom,
        ..Wrong::new("room", error.to_string())
    })
}

/// One JSON text, without what stands around it.
fn json(text: &str) -> Result<Box<str>, Wrong> {
    let value: &RawValue = serde_json::from_str(text)
        .map_err(|error| Wrong::new("json", format!("`json` is not JSON: {error}")))?;
    match depth(value.get()) {
        0..=MAX_DEPTH => Ok(value.get().into()),
        _ => Err(Wrong::new("json", "`json` is nested deeper than 64")),
    }
}

fn name(field: &'static str, text: Option<String>) -> Result<Option<Box<str>>, Wrong> {
    match text {
        Some(text) if text.len() > MAX_NAME => Err(Wrong::new(
            field,
            format!("`{field}` has at most {MAX_NAME} bytes"),
        )),
        text => Ok(text.map(Into::into)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(data: Option<Data>) -> PublishRequest {
        PublishRequest {
            room: "a".into(),
            data,
            ..PublishRequest::default()
        }
    }

    fn json_of(text: &str) -> PublishRequest {
        message(Some(Data::Json(text.into())))
    }

    #[test]
    fn a_message_keeps_the_text_of_its_data() {
        let text = r#" {"n": 9007199254740993, "x":1.0} "#;
        let (room, content) = publish(json_of(text)).unwrap();
        let data = Payload::Json(text.trim().into());
        assert_eq!((room.as_str(), content.data), ("a", data));
        let (_, content) = publish(message(Some(Data::Binary(vec![0, 255])))).unwrap();
        assert_eq!(content.data, Payload::Binary([0, 255].into()));
    }

    #[test]
    fn a_message_that_is_wrong_says_where() {
        let deep = "[".repeat(65) + &"]".repeat(65);
        let long = || Some("x".repeat(65));
        let request = || json_of("1");
        for (request, field) in [
            (message(None), "data"),
            (json_of(""), "json"),
            (json_of("{"), "json"),
            (json_of("1 2"), "json"),
            (json_of("nul"), "json"),
            (json_of(&deep), "json"),
            (
                PublishRequest {
                    room: String::new(),
                    ..request()
                },
                "room",
            ),
            (
                PublishRequest {
                    room: "a\nb".into(),
                    ..request()
                },
                "room",
            ),
            (
                PublishRequest {
                    event: long(),
                    ..request()
                },
                "event",
            ),
            (
                PublishRequest {
                    message_id: long(),
                    ..request()
                },
                "message_id",
            ),
        ] {
            let wrong = publish(request.clone()).unwrap_err();
            assert_eq!(wrong.field, field, "{request:?}");
            let bad_room = wrong.code == ErrorCode::BadRoom;
            assert_eq!(bad_room, field == "room");
        }
    }

    #[test]
    fn a_trace_that_is_not_valid_is_as_good_as_none() {
        let of = |traceparent: &str| {
            let traceparent = Some(traceparent.to_owned());
            let request = PublishRequest {
                traceparent,
                ..json_of("1")
            };
            publish(request).unwrap().1.caller
        };
        assert!(of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").is_some());
        assert!(of("mine").is_none());
    }

    #[test]
    fn a_page_is_asked_for_within_bounds() {
        let asked = |range, limit| {
            let room = "a".to_owned();
            history(&HistoryRequest { room, range, limit })
        };
        let after = |offset| Some(history_request::Range::After(offset));
        let (_, range, limit) = asked(after(7), None).unwrap();
        assert_eq!((range, limit), (HistoryRange::After(Offset(7)), 100));
        for (range, limit, field) in [
            (after(1 << 53), None, "after"),
            (
                Some(history_request::Range::Before(u64::MAX)),
                None,
                "before",
            ),
            (None, Some(0), "limit"),
            (None, Some(101), "limit"),
        ] {
            assert_eq!(asked(range, limit).unwrap_err().field, field);
        }
        let after = Some("~short".to_owned());
        let room = "a".to_owned();
        let wrong = presence(&PresenceRequest { room, after });
        assert_eq!(wrong.unwrap_err().field, "after");
    }
}
