//! The client protocols: bytes to [`Request`]s, and what the server says ([`Reply`], messages) to bytes. A protocol
//! is one implementation of [`Protocol`] in a file of its own, listed in [`PROTOCOLS`].

pub mod codes;
pub mod json;
pub mod plain;
mod reply;
mod request;

pub use codes::ErrorCode;
pub use reply::{
    AckBody, Greeting, HistoryPage, PresenceChange, PresenceChangeKind, PresenceMembers,
    PresencePage, Refusal, Reply, Subscribed,
};
pub use request::{Command, Content, Fault, HistoryRange, Request, RequestId, Since};

use crate::message::Message;
use crate::names::RoomName;

/// All protocols; a connection holds an index into this table.
pub static PROTOCOLS: [&dyn Protocol; 2] = [&json::Json, &plain::Plain];

/// The place of `linnet.v1.json` in [`PROTOCOLS`].
pub const JSON: ProtocolIndex = 0;

/// The index of a protocol in [`PROTOCOLS`].
pub type ProtocolIndex = u8;

/// Finds a protocol by its WebSocket subprotocol name or by the short name of the `protocol` query parameter.
pub fn find(name: &str) -> Option<ProtocolIndex> {
    let found =
        |protocol: &&dyn Protocol| protocol.subprotocol() == name || protocol.short_name() == name;
    PROTOCOLS
        .iter()
        .position(found)
        .map(|index| index as ProtocolIndex)
}

/// One client protocol over WebSocket.
pub trait Protocol: Send + Sync {
    /// The name in `Sec-WebSocket-Protocol`.
    fn subprotocol(&self) -> &'static str;

    /// The name in `?protocol=`.
    fn short_name(&self) -> &'static str;

    /// Turns a frame's payload into a request, or says what is wrong with it. `handshake` is what the opening
    /// handshake said.
    fn decode(&self, frame: Frame<'_>, handshake: &Handshake) -> Result<Request, Fault>;

    /// The request that the handshake itself amounts to, made right after the greeting.
    fn first_request(&self, handshake: &Handshake) -> Option<Request>;

    /// Appends the frames that carry a message live.
    fn encode_message(&self, message: &Message, out: &mut dyn FrameSink);

    /// Appends the frames that carry a reply, or asks to close the connection, where the protocol has no other way to
    /// say it.
    fn encode_reply(&self, reply: &Reply<'_>, out: &mut dyn FrameSink) -> Verdict;
}

/// Whether the connection goes on after a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Continue,
    /// It closes with this code.
    Close(ErrorCode),
}

/// Takes the frames that a protocol writes; adds frame headers and compression.
pub trait FrameSink {
    /// One text frame.
    fn text(&mut self, payload: &[u8]);
    /// One binary frame.
    fn binary(&mut self, payload: &[u8]);
}

/// A complete WebSocket message from a client.
#[derive(Debug, Clone, Copy)]
pub enum Frame<'a> {
    /// Valid UTF-8.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

/// What the opening handshake said that later frames refer to. Shared by nobody, so boxed where it is kept.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// `?room=`.
    pub room: Option<RoomName>,
    /// `?echo=`; `true` where absent.
    pub echo: bool,
}

impl Default for Handshake {
    /// One that says nothing.
    fn default() -> Self {
        Self {
            room: None,
            echo: true,
        }
    }
}
