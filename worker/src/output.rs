//! A message on its way from a worker to a room.

use async_nats::HeaderMap;
use bytes::Bytes;

use crate::input::{Data, EVENT, FROM, INFO, Input, ROOM, TYPE};
use crate::names::{self, Channel};

/// Headers of the input that output keeps: who published, what they say of themselves, whom to spare the echo, the trace.
const KEPT: [&str; 6] = [
    FROM,
    INFO,
    EVENT,
    "Linnet-Skip",
    "traceparent",
    "tracestate",
];

/// What a room is to receive.
#[derive(Debug, Clone)]
pub struct Output {
    to: To,
    headers: HeaderMap,
    data: Data,
}

#[derive(Debug, Clone)]
enum To {
    /// A subject, and the name of its room where the subject has a hash of it.
    Subject(String, Option<String>),
    Room(String),
}

impl Output {
    /// For the input's room, in its publisher's name.
    pub(crate) fn of(input: &Input, data: Data) -> Self {
        let mut headers = HeaderMap::new();
        for name in KEPT {
            if let Some(value) = input.headers.get(name) {
                headers.insert(name, value.clone());
            }
        }
        let hashed = names::is_hashed(&input.room).then(|| input.room.clone());
        Self {
            to: To::Subject(input.output.clone(), hashed),
            headers,
            data,
        }
    }

    /// A message of the service itself to any room that has history.
    #[must_use]
    pub fn new(room: &str, data: Data) -> Self {
        Self {
            to: To::Room(room.to_owned()),
            headers: HeaderMap::new(),
            data,
        }
    }

    /// The same for another room, which must have history.
    #[must_use]
    pub fn to_room(self, room: &str) -> Self {
        Self {
            to: To::Room(room.to_owned()),
            ..self
        }
    }

    /// The same with another name for the kind of message.
    #[must_use]
    pub fn with_event(mut self, event: &str) -> Self {
        self.headers.insert(EVENT, quoted(event));
        self
    }

    /// The same as the service's own, not the publisher's.
    #[must_use]
    pub fn anonymous(mut self) -> Self {
        let publisher = [FROM, INFO, "Linnet-Skip"];
        let mut headers = HeaderMap::new();
        for (name, values) in self.headers.iter() {
            let name: &str = name.as_ref();
            if let Some(value) = values.first().filter(|_| !publisher.contains(&name)) {
                headers.insert(name, value.clone());
            }
        }
        self.headers = headers;
        self
    }

    /// Subject, headers and payload; `id` makes a repeat the same message, `partitions` are those of the history.
    pub(crate) fn encode(
        self,
        channel: &Channel,
        partitions: u16,
        id: &str,
    ) -> (String, HeaderMap, Bytes) {
        let mut headers = self.headers;
        headers.insert("Nats-Msg-Id", id);
        let (subject, hashed) = match self.to {
            To::Subject(subject, hashed) => (subject, hashed),
            To::Room(room) => {
                let subject = channel.output(&room, partitions);
                (subject, names::is_hashed(&room).then_some(room))
            }
        };
        if let Some(room) = hashed {
            headers.insert(ROOM, quoted(&room));
        }
        let payload = match self.data {
            Data::Json(text) => Bytes::from(text),
            Data::Text(text) => {
                headers.insert(TYPE, "text");
                Bytes::from(text)
            }
            Data::Binary(bytes) => {
                headers.insert(TYPE, "binary");
                bytes
            }
        };
        (subject, headers, payload)
    }
}

/// Strings travel as JSON, because NATS trims the values of headers and ends them at a line break.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(room: &str) -> Input {
        let channel = Channel::new("n", "c");
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("Linnet-From", "\"ann\""),
            ("Linnet-Output", &channel.output(room, 4)),
            ("Linnet-Room", &quoted(room)),
            ("Linnet-Type", "text"),
            ("Nats-Msg-Id", "in"),
            ("Nats-Pin-Id", "pin"),
            ("traceparent", "00-x"),
        ] {
            headers.insert(name, value);
        }
        let subject = format!("linnet.n.c.work.1.{}", names::token(room));
        Input::read(&subject, headers, &Bytes::from_static(b"hi"), 1).unwrap()
    }

    fn encode(output: Output) -> (String, HeaderMap, Bytes) {
        output.encode(&Channel::new("n", "c"), 4, "IN:e:7:0")
    }

    #[test]
    fn output_keeps_the_publisher_and_the_trace_and_nothing_of_nats() {
        let (subject, headers, payload) = encode(input("lobby").reply(&1).unwrap());
        assert_eq!(subject, Channel::new("n", "c").output("lobby", 4));
        let value = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
        assert_eq!(value("Linnet-From").as_deref(), Some("\"ann\""));
        assert_eq!(value("traceparent").as_deref(), Some("00-x"));
        assert_eq!(value("Nats-Msg-Id").as_deref(), Some("IN:e:7:0"));
        assert_eq!((value("Nats-Pin-Id"), value("Linnet-Output")), (None, None));
        assert_eq!((value("Linnet-Type"), &payload[..]), (None, &b"1"[..]));
    }

    #[test]
    fn a_long_name_travels_beside_its_hash_also_to_another_room() {
        let long = "ü".repeat(100);
        let room = |output| encode(output).1.get("Linnet-Room").map(ToString::to_string);
        assert_eq!(room(input(&long).pass()), Some(quoted(&long)));
        assert_eq!(
            room(input("lobby").pass().to_room(&long)),
            Some(quoted(&long))
        );
        assert_eq!(room(input("lobby").pass()), None);
    }

    #[test]
    fn a_service_may_speak_in_its_own_name() {
        let output = input("lobby").pass().anonymous().with_event("notice");
        let (_, headers, _) = encode(output);
        assert!(headers.get("Linnet-From").is_none());
        assert_eq!(headers.get(EVENT).unwrap().as_str(), "\"notice\"");
        assert_eq!(headers.get(TYPE).unwrap().as_str(), "text");
    }
}
