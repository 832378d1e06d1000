//! What services ask and are told, over HTTP: the fields of the client protocol in bodies without `type` and `id`. Who
//! writes a service sees its answers, so a field that is not known is refused instead of ignored.

use serde_json::value::RawValue;

use super::decode::{content, required, room, room_name, string};
use super::encode::ack_fields;
use super::fields::{Fields, Parsed, Problem, Slots, parse, shortened};
use super::object::Object;
use crate::names::RoomName;
use crate::protocol::{AckBody, Content, Fault, HistoryPage, PresencePage};

/// Most messages, or rooms, of one call.
pub const MOST: usize = 100;

/// The fields of a message, beside where it goes.
const CONTENT: [&str; 5] = ["event", "data", "encoding", "message_id", "traceparent"];

/// What one call publishes.
#[derive(Debug, PartialEq)]
pub enum Publish {
    /// One message.
    One(RoomName, Content),
    /// Several, each good or not.
    Messages(Vec<Result<(RoomName, Content), Fault>>),
    /// One message to several rooms, each of which has a name or not.
    Rooms(Vec<Result<RoomName, Fault>>, Content),
}

/// Reads the body of a call that publishes.
///
/// # Errors
/// What is wrong with the body as a whole.
pub fn publish(text: &str) -> Result<Publish, Fault> {
    let read = || {
        let body = Body::read(text, &["room", "rooms", "messages"], &CONTENT)?;
        match (body.fields.room, body.rooms, body.messages) {
            (None, None, Some(messages)) => {
                let lone = CONTENT.iter().find(|name| body.has(name));
                if let Some(lone) = lone {
                    return Err(Problem::new(format!(
                        "`{lone}` stands in each of `messages`, not beside them"
                    )));
                }
                let messages = list(messages, "messages")?;
                Ok(Publish::Messages(messages.map(message).collect()))
            }
            (None, Some(rooms), None) => {
                let rooms = list(rooms, "rooms")?;
                let rooms = rooms.map(|room| room_name(room).map_err(fault));
                Ok(Publish::Rooms(rooms.collect(), content(&body.fields)?))
            }
            (Some(_), None, None) => Ok(Publish::One(room(&body.fields)?, content(&body.fields)?)),
            _ => Err(Problem::new("give one of `room`, `rooms` and `messages`")),
        }
    };
    read().map_err(fault)
}

fn message(text: &RawValue) -> Result<(RoomName, Content), Fault> {
    let read = || {
        let body = Body::read(text.get(), &["room"], &CONTENT)?;
        Ok((room(&body.fields)?, content(&body.fields)?))
    };
    read().map_err(fault)
}

fn list<'a>(value: &'a RawValue, field: &str) -> Parsed<impl Iterator<Item = &'a RawValue>> {
    let list: Vec<&RawValue> = serde_json::from_str(value.get())
        .map_err(|_| Problem::new(format!("`{field}` must be a list")))?;
    match list.len() {
        1..=MOST => Ok(list.into_iter()),
        _ => Err(Problem::new(format!("`{field}` has 1 to {MOST} entries"))),
    }
}

/// Reads the body of a call that sends to a user: whom to, and what.
///
/// # Errors
/// What is wrong with it.
pub fn send(text: &str) -> Result<(Box<str>, Content), Fault> {
    let read = || {
        let body = Body::read(text, &["to"], &CONTENT)?;
        let to = string(required(body.fields.to, "to")?, "to")?;
        Ok((to.as_ref().into(), content(&body.fields)?))
    };
    read().map_err(fault)
}

fn fault(problem: Problem) -> Fault {
    problem.with(None)
}

/// A page of messages.
#[must_use]
pub fn history(page: &HistoryPage) -> Vec<u8> {
    said(&AckBody::History(page))
}

/// A page of members, or how many there are.
#[must_use]
pub fn presence(page: &PresencePage) -> Vec<u8> {
    said(&AckBody::Presence(page))
}

/// What an ack says beside its type and id.
fn said(body: &AckBody<'_>) -> Vec<u8> {
    let mut object = Object::behind(String::with_capacity(256));
    ack_fields(&mut object, body);
    object.finish().into_bytes()
}

/// The fields of a body, of which only some are allowed.
struct Body<'a> {
    fields: Fields<'a>,
    rooms: Option<&'a RawValue>,
    messages: Option<&'a RawValue>,
    allowed: [&'static [&'static str]; 2],
    /// One that is not.
    strange: Option<String>,
}

impl<'a> Body<'a> {
    fn read(
        text: &'a str,
        own: &'static [&'static str],
        more: &'static [&'static str],
    ) -> Parsed<Self> {
        let mut body = Self {
            fields: Fields::default(),
            rooms: None,
            messages: None,
            allowed: [own, more],
            strange: None,
        };
        parse(text, &mut body)?;
        match &body.strange {
            None => Ok(body),
            Some(name) => Err(Problem::new(format!(
                "the field {:?} is not known here",
                shortened(name)
            ))),
        }
    }

    fn has(&self, name: &str) -> bool {
        let Fields {
            event,
            data,
            encoding,
            message_id,
            traceparent,
            ..
        } = &self.fields;
        let of = [event, data, encoding, message_id, traceparent];
        let found = CONTENT.iter().zip(of).find(|(known, _)| **known == name);
        found.is_some_and(|(_, value)| value.is_some())
    }
}

impl<'a> Slots<'a> for Body<'a> {
    fn slot(&mut self, name: &str) -> Option<&mut Option<&'a RawValue>> {
        if !self.allowed.iter().any(|names| names.contains(&name)) {
            self.strange.get_or_insert_with(|| name.to_owned());
            return None;
        }
        match name {
            "rooms" => Some(&mut self.rooms),
            "messages" => Some(&mut self.messages),
            _ => self.fields.slot(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Payload;
    use crate::protocol::ErrorCode;

    fn told(text: &str) -> String {
        publish(text).unwrap_err().message.into_owned()
    }

    #[test]
    fn a_message_keeps_the_text_of_its_data() {
        let text = r#"{"room": "a", "event": "e", "data": {"n": 9007199254740993, "x":1.0}}"#;
        let Publish::One(room, content) = publish(text).unwrap() else {
            panic!("one message");
        };
        let data = Payload::Json(r#"{"n": 9007199254740993, "x":1.0}"#.into());
        assert_eq!((room.as_str(), content.data), ("a", data));
        assert_eq!(content.event.as_deref(), Some("e"));
    }

    #[test]
    fn each_of_several_messages_is_good_or_not() {
        let text = r#"{"messages": [{"room": "a", "data": 1}, {"room": "", "data": 1}, {"room": "b"}, 7]}"#;
        let Publish::Messages(messages) = publish(text).unwrap() else {
            panic!("several messages");
        };
        let codes = messages
            .iter()
            .map(|of| of.as_ref().err().map(|fault| fault.code));
        let bad = Some(ErrorCode::BadRequest);
        assert!(codes.eq([None, Some(ErrorCode::BadRoom), bad, bad]));
        let Publish::Rooms(rooms, _) = publish(r#"{"rooms": ["a", 5], "data": null}"#).unwrap()
        else {
            panic!("several rooms");
        };
        assert!(rooms[0].is_ok() && rooms[1].is_err());
    }

    #[test]
    fn what_a_body_may_not_hold_is_told() {
        assert!(told(r#"{"room": "a", "data": 1, "mesage_id": "x"}"#).contains("mesage_id"));
        assert!(told(r#"{"room": "a", "data": 1, "echo": false}"#).contains("echo"));
        assert!(told(r#"{"room": "a", "rooms": ["b"], "data": 1}"#).contains("one of"));
        assert!(told(r#"{"data": 1}"#).contains("one of"));
        assert!(
            told(r#"{"messages": [{"room": "a", "data": 1}], "event": "x"}"#).contains("event")
        );
        assert!(told(r#"{"messages": []}"#).contains("1 to 100"));
        assert!(told(r#"{"rooms": "a", "data": 1}"#).contains("list"));
        assert!(told(r#"{"room": "a", "room": "b", "data": 1}"#).contains("twice"));
        let many = vec![r#""a""#; MOST + 1].join(",");
        assert!(told(&format!(r#"{{"rooms": [{many}], "data": 1}}"#)).contains("1 to 100"));
        assert!(publish("[]").is_err() && publish("").is_err() && publish("{").is_err());
    }

    #[test]
    fn a_message_to_a_user_names_the_user() {
        let (to, content) = send(r#"{"to": "ann", "data": "x"}"#).unwrap();
        assert_eq!((&*to, content.data), ("ann", Payload::Json("\"x\"".into())));
        assert!(send(r#"{"data": 1}"#).is_err() && send(r#"{"to": 1, "data": 1}"#).is_err());
        assert!(send(r#"{"to": "ann", "room": "a", "data": 1}"#).is_err());
    }
}
