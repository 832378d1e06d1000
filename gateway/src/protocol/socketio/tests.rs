//! Conversations of one client, frame by frame.

mod assemblies;
mod events;
mod messages;
mod namespaces;
mod packets;
mod replies;

use std::sync::Arc;

use serde_json::Value;

use super::SocketIo;
use crate::message::{Message, Payload};
use crate::names::{ConnectionId, Offset, RoomName, SessionSecret, UserId};
use crate::protocol::{
    AckBody, Command, ErrorCode, Fault, Frame, FrameSink, Greeting, Heard, Memory, PacketAnswer,
    PacketId, Protocol, Reply, Request, RequestId,
};

/// Largest packet of these conversations, in bytes.
const LARGEST: usize = 1000;

#[derive(Debug, PartialEq)]
enum Written {
    Text(String),
    Binary(Vec<u8>),
}

#[derive(Default)]
struct Sink(Vec<Written>);

impl FrameSink for Sink {
    fn text(&mut self, payload: &[u8]) {
        let text = String::from_utf8(payload.to_vec()).unwrap();
        self.0.push(Written::Text(text));
    }

    fn binary(&mut self, payload: &[u8]) {
        self.0.push(Written::Binary(payload.to_vec()));
    }
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn greeting() -> Greeting {
    Greeting {
        connection_id: ConnectionId::from_bytes([7; 16]),
        session: SessionSecret::random(),
        user_id: UserId::from_token("ann"),
        gateway: "g-0".into(),
        ping: 25,
        timeout: 20,
        message_size: 65_536,
        messages_per_second: 50,
        message_burst: 100,
        rooms_per_connection: 10,
        data: None,
    }
}

/// The gateway's side of one connection, without the gateway.
struct Conversation {
    memory: Memory,
    greeting: Greeting,
    opened: Vec<Written>,
}

impl Conversation {
    /// One whose client has said nothing yet.
    fn new() -> Self {
        let (greeting, mut sink) = (greeting(), Sink::default());
        let dialogue = SocketIo.begin(&greeting, LARGEST, &mut sink);
        let memory = Memory {
            dialogue,
            ..Memory::default()
        };
        Self {
            memory,
            greeting,
            opened: sink.0,
        }
    }

    /// One in these namespaces.
    fn within(namespaces: &[&str]) -> Self {
        let mut conversation = Self::new();
        for name in namespaces {
            let frame = match *name {
                "/" => "40".into(),
                name => format!("40{name},"),
            };
            conversation.enter(&frame);
        }
        conversation
    }

    fn hear(&mut self, frame: Frame<'_>) -> Result<Heard, Fault> {
        SocketIo.decode(frame, &mut self.memory)
    }

    fn text(&mut self, text: &str) -> Result<Heard, Fault> {
        self.hear(Frame::Text(text))
    }

    /// Lets a client in, as the session would.
    fn enter(&mut self, frame: &str) -> Vec<Written> {
        let heard = self.text(frame);
        let Ok(Heard::Enter { request, .. }) = heard else {
            panic!("{heard:?}");
        };
        let mut sink = Sink::default();
        let body = match request.command {
            Command::Connect { .. } => AckBody::Connected(&self.greeting),
            _ => AckBody::Done,
        };
        let id = request.id.as_ref();
        SocketIo.encode_reply(&Reply::Ack { id, body }, &mut self.memory, 0, &mut sink);
        sink.0
    }

    fn request(&mut self, frame: &str) -> Request {
        match self.text(frame) {
            Ok(Heard::Request(request)) => request,
            other => panic!("{frame}: {other:?}"),
        }
    }

    /// What is wrong with a frame after which the connection goes on.
    fn fault(&mut self, frame: &str) -> Fault {
        match self.text(frame) {
            Err(fault) if !fault.fatal => fault,
            other => panic!("{frame}: {other:?}"),
        }
    }

    /// Whether a frame ends the connection.
    #[track_caller]
    fn breaks(&mut self, frame: Frame<'_>) {
        match self.hear(frame) {
            Err(fault) if fault.fatal => {
                assert!(fault.message.len() <= 123, "it becomes a close reason");
            }
            other => panic!("{frame:?}: {other:?}"),
        }
    }

    /// The one frame that is written for a reply.
    fn written(&mut self, reply: &Reply<'_>, prefix: u8) -> String {
        match <[Written; 1]>::try_from(self.all(reply, prefix)) {
            Ok([Written::Text(text)]) => text,
            other => panic!("{other:?}"),
        }
    }

    fn all(&mut self, reply: &Reply<'_>, prefix: u8) -> Vec<Written> {
        let mut sink = Sink::default();
        SocketIo.encode_reply(reply, &mut self.memory, prefix, &mut sink);
        sink.0
    }
}

/// An id as a packet of the first namespace, `/`, has it.
fn answered(answer: PacketAnswer) -> RequestId {
    RequestId::Packet(PacketId {
        namespace: 0,
        prefix: 0,
        answer,
    })
}

/// The JSON of a packet that begins so.
#[track_caller]
fn json(packet: &str, begin: &str) -> Value {
    let json = packet
        .strip_prefix(begin)
        .unwrap_or_else(|| panic!("{packet} does not begin with {begin}"));
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{packet}: {error}"))
}

fn message(data: Payload) -> Message {
    Message {
        room: room("chat/lobby"),
        offset: Some(Offset(9)),
        timestamp: 5,
        from: UserId::from_token("ann"),
        event: Some("greet".into()),
        data,
        info: Some(Arc::from(r#"{"name":"Ann"}"#)),
        skip: None,
        trace: None,
    }
}
