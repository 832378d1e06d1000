//! Requests of the API, as text.

use std::fmt::Write;

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::row::Row;

#[derive(Serialize)]
struct Publish<'a> {
    room: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    data: &'a RawValue,
    message_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
}

/// The body of a publish.
///
/// # Errors
/// When the row's data is no JSON.
pub fn publish(row: &Row) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Publish {
        room: &row.room,
        event: row.event.as_deref(),
        data: serde_json::from_str(&row.data)?,
        message_id: row.id,
        traceparent: row.traceparent.as_deref(),
    })
}

/// The path and query of the newest messages of a room, or of those before an offset.
#[must_use]
pub fn history(room: &str, before: Option<u64>) -> String {
    let mut path = "/v1/history?limit=100&room=".to_owned();
    for byte in room.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(byte.into())
            }
            // Writing to a text can't fail.
            _ => drop(write!(path, "%{byte:02X}")),
        }
    }
    if let Some(before) = before {
        let _ = write!(path, "&before={before}");
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::testing::row;

    #[test]
    fn data_goes_out_as_it_was_written() {
        let data = r#"{"price": 19.90,  "big":123456789012345678901234567890, "a":1,"a":2}"#;
        let row = Row {
            data: data.to_owned(),
            event: Some("E\"1".to_owned()),
            ..row("a", 7)
        };
        let body = String::from_utf8(publish(&row).unwrap()).unwrap();
        let expected = format!(
            r#"{{"room":"room","event":"E\"1","data":{data},"message_id":"00000000-0000-0000-0000-000000000007"}}"#
        );
        assert_eq!(body, expected);
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let row = Row {
            data: "{".to_owned(),
            ..row("a", 1)
        };
        assert!(publish(&row).is_err());
    }

    #[test]
    fn any_room_has_its_address() {
        assert_eq!(history("a.b-1", None), "/v1/history?limit=100&room=a.b-1");
        assert_eq!(
            history("ä &/", Some(12)),
            "/v1/history?limit=100&room=%C3%A4%20%26%2F&before=12"
        );
    }
}
