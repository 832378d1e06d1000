//! What a request for a stream, or one that publishes, asks for.

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName};

use super::cursor::Cursor;
use super::problem::Problem;
use crate::names::RoomName;
use crate::protocol::json::MAX_NAME;
use crate::transport::http::{Policy, fetch};
use crate::transport::websocket::handshake::Refused;
use crate::transport::websocket::query::{decode, is_name};

/// Most rooms of a stream, whatever `limits.roomsPerConnection` says: the cursor of more would not fit a request's headers.
const MOST_ROOMS: usize = 512;

/// What stands in the query. `token` is a secret, so this type has no `Debug`.
#[derive(Default)]
pub(super) struct Asked {
    /// Each once, in order.
    pub(super) rooms: Vec<RoomName>,
    /// Whether presence events are wanted.
    pub(super) presence: bool,
    /// What the client calls itself.
    pub(super) name: Option<String>,
    /// The publisher's name for the kind of message.
    pub(super) event: Option<String>,
    /// Makes a repeat the same message.
    pub(super) message_id: Option<String>,
    token: Option<String>,
    last_event_id: Option<String>,
}

impl Asked {
    /// Reads a query as browsers write it. What it does not know is passed over.
    pub(super) fn parse(query: &str) -> Result<Self, Problem> {
        let mut asked = Self::default();
        let mut presence = None;
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(key) = decode(key) else { continue };
            let slot = match key.as_str() {
                "room" => None,
                "presence" => Some(&mut presence),
                "name" => Some(&mut asked.name),
                "event" => Some(&mut asked.event),
                "message_id" => Some(&mut asked.message_id),
                "token" => Some(&mut asked.token),
                "last_event_id" => Some(&mut asked.last_event_id),
                _ => continue,
            };
            let Some(value) = decode(value) else {
                let detail = format!("the query parameter {key} must be percent-encoded UTF-8");
                return Err(Problem::bad_request(detail));
            };
            match slot {
                Some(slot) => {
                    if slot.replace(value).is_some() {
                        let detail = format!("the query parameter {key} may be given once only");
                        return Err(Problem::bad_request(detail));
                    }
                }
                None => asked.add_room(&value)?,
            }
        }
        asked.presence = match presence.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                let detail = "the query parameter presence must be true or false";
                return Err(Problem::bad_request(detail));
            }
        };
        if !asked.name.as_deref().is_none_or(is_name) {
            let detail = "the query parameter name must not be empty, have control characters or be over about 1000 bytes";
            return Err(Problem::bad_request(detail));
        }
        for (name, value) in [("event", &asked.event), ("message_id", &asked.message_id)] {
            if value.as_ref().is_some_and(|value| value.len() > MAX_NAME) {
                let detail = format!("the query parameter {name} has at most {MAX_NAME} bytes");
                return Err(Problem::bad_request(detail));
            }
        }
        Ok(asked)
    }

    fn add_room(&mut self, name: &str) -> Result<(), Problem> {
        let room = RoomName::parse(name)
            .map_err(|error| Problem::of_code("bad_room", error.to_string()))?;
        if !self.rooms.contains(&room) {
            self.rooms.push(room);
        }
        match self.rooms.len() <= MOST_ROOMS {
            true => Ok(()),
            false => {
                let detail = format!("a stream has at most {MOST_ROOMS} rooms");
                Err(Problem::of_code("too_many_rooms", detail))
            }
        }
    }

    /// The last event that the client has had. What an `EventSource` sends by itself is newer than what stands in its
    /// address.
    pub(super) fn cursor(&self, headers: &HeaderMap) -> Result<Option<Cursor>, Problem> {
        const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
        let given = headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty());
        let text = match given {
            Some(id) => id.to_str().unwrap_or("not ASCII"),
            None => self.last_event_id.as_deref().unwrap_or(""),
        };
        if text.is_empty() {
            return Ok(None);
        }
        let read = Cursor::read(text).map(Some);
        read.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "bad_cursor", error.to_string()))
    }

    /// Judges which page this comes from, and finds the token.
    pub(super) fn token(
        &self,
        headers: &HeaderMap,
        policy: &Policy,
    ) -> Result<Option<String>, Refused> {
        fetch::token(headers, self.token.clone(), policy)
    }
}

/// Whether an `EventSource`, or what acts like one, has sent this: it can't come back after any other status than 200.
pub(super) fn wants_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let accepted = accepted.filter_map(|value| value.to_str().ok());
    let mut types = accepted.flat_map(|value| value.split(','));
    types.any(|kind| {
        let kind = kind.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case("text/event-stream")
    })
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;

    fn refused(query: &str) -> u16 {
        let problem = Asked::parse(query).err().unwrap();
        problem.into_response().status().as_u16()
    }

    #[test]
    fn rooms_are_told_apart_and_each_counts_once() {
        let asked = Asked::parse("room=a&room=b+%C3%A4&x=1&room=a&presence=true&name=Ann").ok();
        let asked = asked.unwrap();
        let rooms: Vec<_> = asked.rooms.iter().map(RoomName::as_str).collect();
        assert_eq!(rooms, ["a", "b ä"]);
        assert!(asked.presence);
        assert_eq!(asked.name.as_deref(), Some("Ann"));
    }

    #[test]
    fn what_can_not_be_used_is_refused() {
        for query in [
            "room=",
            "room=%0A",
            "room=%ff",
            "presence=1",
            "name=",
            "token=a&token=b",
            &format!("event={}", "x".repeat(65)),
        ] {
            assert_eq!(refused(query), 400, "{query}");
        }
        let many: Vec<_> = (0..=MOST_ROOMS).map(|n| format!("room={n}")).collect();
        assert_eq!(refused(&many.join("&")), 400);
    }

    #[test]
    fn the_header_is_newer_than_the_query() {
        let asked = Asked::parse("last_event_id=not-a-cursor").ok().unwrap();
        let mut headers = HeaderMap::new();
        assert!(asked.cursor(&headers).is_err());
        let end = super::super::cursor::end(4004);
        headers.insert("last-event-id", HeaderValue::from_str(&end).unwrap());
        assert_eq!(asked.cursor(&headers).ok(), Some(Some(Cursor::End(4004))));
        headers.insert("last-event-id", HeaderValue::from_static(""));
        assert!(asked.cursor(&headers).is_err());
        let none = Asked::default().cursor(&headers).ok();
        assert_eq!(none, Some(None));
    }

    #[test]
    fn an_event_source_is_known_by_what_it_accepts() {
        for (accept, wants) in [
            ("text/event-stream", true),
            ("*/*", false),
            ("text/html, Text/Event-Stream;q=0.5", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(wants_events(&headers), wants, "{accept}");
        }
    }
}
