//! The client protocols: bytes to [`Request`]s, and what the server says ([`Reply`], messages) to bytes. A protocol
//! is one implementation of [`Protocol`] in a file of its own, listed in [`PROTOCOLS`].

pub mod codes;
pub mod engineio;
pub mod json;
pub mod plain;
pub mod protobuf;
mod reply;
mod request;
pub mod socketio;

pub use codes::ErrorCode;
pub use reply::{
    AckBody, Greeting, HistoryPage, PresenceChange, PresenceChangeKind, PresenceMembers,
    PresencePage, Refusal, Reply, Subscribed,
};
pub use request::{
    Command, Content, Fault, Heard, HistoryRange, PacketAnswer, PacketId, Question, Request,
    RequestId, Since,
};

use socketio::Dialogue;

use crate::message::Message;
use crate::names::RoomName;

/// All protocols; a connection holds an index into this table.
pub static PROTOCOLS: [&dyn Protocol; 5] = [
    &json::Json,
    &plain::Plain,
    &socketio::SocketIo,
    &engineio::EngineIo,
    &protobuf::Protobuf,
];

/// The place of `linnet.v1.json` in [`PROTOCOLS`].
pub const JSON: ProtocolIndex = 0;

/// The index of a protocol in [`PROTOCOLS`].
pub type ProtocolIndex = u8;

/// The index of Socket.IO, which has an address of its own; those before it share one.
pub const SOCKET_IO: ProtocolIndex = 2;

/// The index of the plain protocol in Engine.IO, which has one too.
pub const ENGINE_IO: ProtocolIndex = 3;

/// The index of what streams of the server API speak, for which no handshake can ask.
pub const PROTOBUF: ProtocolIndex = 4;

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

    /// The room of a handshake that names none, where the protocol lives in one and does without a name.
    fn default_room(&self) -> Option<&'static str> {
        None
    }

    /// Whether its clients are pinged in frames, and answer in frames.
    fn pings(&self) -> bool {
        false
    }

    /// Appends the frames that come before all others, and gives what the protocol keeps of the connection, if it keeps
    /// something: then its clients connect in a frame, whatever the handshake said.
    /// `largest` is what a message may have in bytes, with all that belongs to it.
    fn begin(
        &self,
        _greeting: &Greeting,
        _largest: usize,
        _out: &mut dyn FrameSink,
    ) -> Option<Dialogue> {
        None
    }

    /// Says what a frame's payload amounts to, or what is wrong with it.
    fn decode(&self, frame: Frame<'_>, memory: &mut Memory) -> Result<Heard, Fault>;

    /// The request that the handshake itself amounts to, made right after the greeting.
    fn first_request(&self, handshake: &Handshake) -> Option<Request>;

    /// Appends the frames that carry a message live. The receiver leaves out the first `prefix` bytes of the room's name.
    fn encode_message(&self, message: &Message, prefix: u8, out: &mut dyn FrameSink);

    /// Appends the frames that carry a reply, or asks to close the connection, where the protocol has no other way to
    /// say it. The receiver leaves out the first `prefix` bytes of the name of a room that is in it.
    fn encode_reply(
        &self,
        reply: &Reply<'_>,
        memory: &mut Memory,
        prefix: u8,
        out: &mut dyn FrameSink,
    ) -> Verdict;

    /// Appends what comes before the close of a connection for this error.
    fn encode_farewell(&self, _code: ErrorCode, _memory: &Memory, _out: &mut dyn FrameSink) {}
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

/// What is kept of one connection for its protocol: nothing at all, for most.
#[derive(Debug, Default)]
pub struct Memory {
    /// What the opening handshake said.
    pub handshake: Handshake,
    /// How far the conversation has come.
    pub dialogue: Option<Dialogue>,
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
