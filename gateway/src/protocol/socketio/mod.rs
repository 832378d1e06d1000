//! Socket.IO 5, the protocol of its clients from version 3 on, over Engine.IO 4. `docs/socketio.md` says what becomes of
//! its events; rooms, rules, limits, presence and history are those of everyone.
//!
//! - `packet` reads and begins packets; `assembly` waits for the bytes that belong to one.
//! - `dialogue` is what is kept of one connection: its namespaces, a packet that is not whole.
//! - `events` turns a client's events into requests, `encode` messages and answers into events.

mod assembly;
mod dialogue;
mod encode;
mod events;
mod packet;

#[cfg(test)]
mod tests;

pub use dialogue::Dialogue;

use super::{
    ErrorCode, Fault, Frame, FrameSink, Greeting, Handshake, Heard, Memory, Protocol, Reply,
    Request, Verdict,
};
use crate::message::Message;

/// The Socket.IO protocol.
pub struct SocketIo;

impl Protocol for SocketIo {
    fn subprotocol(&self) -> &'static str {
        "socket.io.v5"
    }

    fn short_name(&self) -> &'static str {
        "socketio"
    }

    fn pings(&self) -> bool {
        true
    }

    fn begin(
        &self,
        greeting: &Greeting,
        largest: usize,
        out: &mut dyn FrameSink,
    ) -> Option<Dialogue> {
        out.text(encode::open(greeting).as_bytes());
        Some(Dialogue::new(greeting.connection_id, largest))
    }

    fn decode(&self, frame: Frame<'_>, memory: &mut Memory) -> Result<Heard, Fault> {
        match &mut memory.dialogue {
            Some(dialogue) => dialogue.hear(frame),
            None => Err(dialogue::broken("the session was not opened")),
        }
    }

    fn first_request(&self, _handshake: &Handshake) -> Option<Request> {
        None
    }

    fn encode_message(&self, message: &Message, prefix: u8, out: &mut dyn FrameSink) {
        encode::message(message, usize::from(prefix), out);
    }

    fn encode_reply(
        &self,
        reply: &Reply<'_>,
        memory: &mut Memory,
        prefix: u8,
        out: &mut dyn FrameSink,
    ) -> Verdict {
        if let Some(dialogue) = &mut memory.dialogue {
            encode::reply(reply, dialogue, usize::from(prefix), out);
        }
        Verdict::Continue
    }

    fn encode_farewell(&self, code: ErrorCode, memory: &Memory, out: &mut dyn FrameSink) {
        if let Some(dialogue) = &memory.dialogue {
            encode::farewell(code, dialogue, out);
        }
    }
}
