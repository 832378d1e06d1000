//! The client protocols: bytes to [`Request`]s, and what the server says ([`Reply`], messages) to bytes. A protocol
//! is one implementation of [`Protocol`] in a file of its own, listed in [`PROTOCOLS`].

pub mod codes;
pub mod json;
pub mod plain;

use std::borrow::Cow;
use std::sync::Arc;

pub use codes::ErrorCode;

use crate::broker::{GapReason, Member};
use crate::message::{Message, Payload};
use crate::names::{ConnectionId, Epoch, Offset, RoomName, SessionSecret, UserId};

/// All protocols; a connection holds an index into this table.
pub static PROTOCOLS: [&dyn Protocol; 2] = [&json::Json, &plain::Plain];

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

/// A request: what a client wants, and the id that the answer carries.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Echoed in exactly one `ack` or `error`; without it only errors are answered.
    pub id: Option<RequestId>,
    /// What is asked.
    pub command: Command,
}

/// A client's id of a request, echoed as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestId {
    /// An integer 0…2^53−1.
    Number(u64),
    /// A string of at most 64 bytes.
    Text(Box<str>),
}

/// What a client asks for, in any protocol.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Gives the session its user, secret or info.
    Connect {
        /// A bearer token.
        token: Option<Box<str>>,
        /// The secret of an earlier session.
        session: Option<SessionSecret>,
        /// JSON text of what the client says of itself.
        info: Option<Arc<str>>,
    },
    /// Joins a room.
    Subscribe {
        /// The room.
        room: RoomName,
        /// Where to go on.
        since: Option<Since>,
        /// Whether presence frames are wanted.
        presence: bool,
    },
    /// Leaves a room.
    Unsubscribe {
        /// The room.
        room: RoomName,
    },
    /// Sends to a room.
    Publish {
        /// The room.
        room: RoomName,
        /// What is sent.
        content: Content,
        /// Whether this connection gets its own message.
        echo: bool,
    },
    /// Sends to a user.
    Send {
        /// The user.
        to: Box<str>,
        /// What is sent.
        content: Content,
    },
    /// Reads a room's messages.
    History {
        /// The room.
        room: RoomName,
        /// From where.
        range: HistoryRange,
        /// Most messages wanted, 1…100.
        limit: usize,
    },
    /// Asks who is in a room.
    Presence {
        /// The room.
        room: RoomName,
        /// The last connection of the page before.
        after: Option<ConnectionId>,
    },
    /// Asks the channel's handler.
    Request,
    /// Shows a new token.
    Refresh,
    /// Asks for a `pong`.
    Ping,
}

/// What is published or sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The publisher's name for the kind of message.
    pub event: Option<Box<str>>,
    /// The content itself.
    pub data: Payload,
    /// Makes a repeat the same message.
    pub message_id: Option<Box<str>>,
}

/// The last position that a client has of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since {
    /// The epoch of `offset`.
    pub epoch: Epoch,
    /// The position.
    pub offset: Offset,
}

/// Which part of a room's messages is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryRange {
    /// The newest.
    Newest,
    /// The oldest above an offset.
    After(Offset),
    /// The newest below an offset.
    Before(Offset),
}

/// What is wrong with a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// The request's id, if it could be read.
    pub id: Option<RequestId>,
    /// The code.
    pub code: ErrorCode,
    /// What to do about it, for the client's developer.
    pub message: Cow<'static, str>,
    /// Whether the connection cannot go on (a binary frame on a JSON session).
    pub fatal: bool,
}

/// What the server says to one connection.
#[derive(Debug)]
pub enum Reply<'a> {
    /// The greeting.
    Connected(&'a Greeting),
    /// A request was done.
    Ack {
        /// Its id.
        id: Option<&'a RequestId>,
        /// What it brought.
        body: AckBody<'a>,
    },
    /// A request was refused.
    Error(&'a Refusal),
    /// A message to the user.
    Direct(&'a Message),
    /// Who came and went in a room.
    Presence {
        /// The room.
        room: &'a RoomName,
        /// The change.
        change: &'a PresenceChange,
    },
    /// Messages were missed.
    Gap {
        /// The room.
        room: &'a RoomName,
        /// Why.
        reason: GapReason,
        /// Where the subscription goes on, in a room with history.
        position: Option<(&'a Epoch, Offset)>,
    },
    /// The server ended a subscription.
    Unsubscribed {
        /// The room.
        room: &'a RoomName,
        /// Why.
        code: ErrorCode,
    },
    /// The gateway will close this connection: move.
    GoAway {
        /// Time left, in milliseconds.
        within_ms: u64,
    },
    /// The answer to `ping`.
    Pong {
        /// The request's id.
        id: Option<&'a RequestId>,
    },
}

/// What `connected` tells.
#[derive(Debug)]
pub struct Greeting {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The session's secret.
    pub session: SessionSecret,
    /// The user of the token.
    pub user_id: Option<UserId>,
    /// This gateway's name.
    pub gateway: Arc<str>,
    /// `heartbeat.intervalSeconds`.
    pub ping: u64,
    /// `heartbeat.timeoutSeconds`.
    pub timeout: u64,
    /// Largest payload, in bytes.
    pub message_size: usize,
    /// Rate of publishes.
    pub messages_per_second: u32,
    /// Burst of publishes.
    pub message_burst: u32,
    /// Most rooms.
    pub rooms_per_connection: usize,
}

/// What an ack carries beside its id.
#[derive(Debug)]
pub enum AckBody<'a> {
    /// Nothing more.
    Done,
    /// Of `connect`.
    Connected(&'a Greeting),
    /// Of `subscribe`.
    Subscribed(&'a Subscribed),
    /// Of `publish`.
    Published {
        /// Epoch and offset in a room with history.
        position: Option<(&'a Epoch, Offset)>,
        /// Milliseconds since the Unix epoch.
        timestamp: u64,
        /// A repeat.
        duplicate: bool,
        /// A `message_id` was given where nothing is deduplicated.
        not_deduplicated: bool,
    },
    /// Of `send`.
    Sent {
        /// Connections that the message went to.
        connections: usize,
    },
    /// Of `history`.
    History(&'a HistoryPage),
    /// Of `presence`.
    Presence(&'a PresencePage),
}

/// The outcome of a `subscribe`.
#[derive(Debug)]
pub struct Subscribed {
    /// Epoch and the last position that the ack covers; `None` in a room without history.
    pub position: Option<(Epoch, Offset)>,
    /// Whether everything after `since` is here or in later pages; `None` without `since`.
    pub recovered: Option<bool>,
    /// The page.
    pub messages: Vec<Arc<Message>>,
    /// Whether further pages follow; then the subscription is not live yet.
    pub more: bool,
}

/// A page of a room's messages, ascending.
#[derive(Debug)]
pub struct HistoryPage {
    /// The epoch of the offsets.
    pub epoch: Epoch,
    /// The page.
    pub messages: Vec<Arc<Message>>,
    /// Whether there are more in the same direction.
    pub more: bool,
}

/// Who is in a room.
#[derive(Debug)]
pub struct PresencePage {
    /// The number of the last presence frame.
    pub version: u64,
    /// Members, or only how many.
    pub members: PresenceMembers,
}

/// Members of a room, or only how many.
#[derive(Debug)]
pub enum PresenceMembers {
    /// One page, by connection id.
    Page {
        /// The members.
        members: Vec<Member>,
        /// Whether there are more.
        more: bool,
    },
    /// The number.
    Count(usize),
}

/// One presence frame.
#[derive(Debug)]
pub struct PresenceChange {
    /// Counts up by one per frame; a jump means ask again.
    pub version: u64,
    /// What changed.
    pub kind: PresenceChangeKind,
}

/// What a presence frame tells.
#[derive(Debug)]
pub enum PresenceChangeKind {
    /// Who came and who went.
    Members {
        /// Came.
        join: Vec<Member>,
        /// Went.
        leave: Vec<Member>,
    },
    /// How many there are now.
    Count(usize),
}

/// A refused request.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The request's id.
    pub id: Option<RequestId>,
    /// The code.
    pub code: ErrorCode,
    /// What to do about it.
    pub message: Cow<'static, str>,
    /// When it may work.
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// A refusal in the code's own words.
    pub fn new(id: Option<RequestId>, code: ErrorCode) -> Self {
        Self {
            id,
            code,
            message: Cow::Borrowed(code.advice()),
            retry_after_ms: None,
        }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self {
            id: fault.id,
            code: fault.code,
            message: fault.message,
            retry_after_ms: None,
        }
    }
}
