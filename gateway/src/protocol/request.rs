//! What clients ask, in any protocol.

use std::borrow::Cow;
use std::sync::Arc;

use linnet_telemetry::Context;

use super::ErrorCode;
use crate::message::Payload;
use crate::names::{ConnectionId, Epoch, Offset, RoomName, SessionSecret};

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
    /// In Socket.IO, where each request has one: what its answer is.
    Packet(PacketId),
}

impl RequestId {
    /// How many bytes of a room's name the client leaves out: those that its namespace stands for.
    pub fn prefix(&self) -> u8 {
        match self {
            Self::Packet(id) => id.prefix,
            Self::Number(_) | Self::Text(_) => 0,
        }
    }
}

/// The answer that a Socket.IO packet asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketId {
    /// Its namespace's place in the connection's dialogue.
    pub namespace: u8,
    /// Bytes that the namespace's rooms begin with.
    pub prefix: u8,
    /// What is answered.
    pub answer: PacketAnswer,
}

/// What answers a Socket.IO packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketAnswer {
    /// The namespace is open, or refused.
    Connect,
    /// An acknowledgement with this id.
    Ack(u64),
    /// Nothing, unless it is refused.
    None,
}

/// What a client asks for, in any protocol.
#[derive(Clone, PartialEq)]
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
    /// Opens a further namespace of a session that is connected.
    Enter {
        /// A newer token of the session's user.
        token: Option<Box<str>>,
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
    Request(Question),
    /// Shows a new token.
    Refresh {
        /// The token.
        token: Box<str>,
    },
    /// Asks for a `pong`.
    Ping,
}

impl Command {
    /// Whether there is a token in it.
    #[must_use]
    pub fn shows_token(&self) -> bool {
        matches!(
            self,
            Self::Connect { token: Some(_), .. }
                | Self::Enter { token: Some(_) }
                | Self::Refresh { .. }
        )
    }
}

/// Tokens and secrets are left out, and so is what people say.
impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, room) = match self {
            Self::Connect { .. } => ("Connect", None),
            Self::Enter { .. } => ("Enter", None),
            Self::Subscribe { room, .. } => ("Subscribe", Some(room)),
            Self::Unsubscribe { room } => ("Unsubscribe", Some(room)),
            Self::Publish { room, .. } => ("Publish", Some(room)),
            Self::Send { .. } => ("Send", None),
            Self::History { room, .. } => ("History", Some(room)),
            Self::Presence { room, .. } => ("Presence", Some(room)),
            Self::Request(_) => ("Request", None),
            Self::Refresh { .. } => ("Refresh", None),
            Self::Ping => ("Ping", None),
        };
        let mut out = f.debug_struct(name);
        if let Some(room) = room {
            out.field("room", room);
        }
        out.finish_non_exhaustive()
    }
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
    /// The publisher's own trace, as its `traceparent` says.
    pub caller: Option<Box<Context>>,
}

/// What is asked of the channel's handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The application's name for the kind of question.
    pub event: Box<str>,
    /// The question itself.
    pub data: Payload,
    /// The asker's own trace, as its `traceparent` says.
    pub caller: Option<Box<Context>>,
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

/// What a frame amounts to.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// A request.
    Request(Request),
    /// A namespace is to be opened, if there may be rooms whose names begin with `prefix`.
    Enter {
        /// What its rooms begin with.
        prefix: Box<str>,
        /// Who asks.
        request: Request,
    },
    /// The rooms that were joined by what is left of their names behind this are left.
    Leave {
        /// What they begin with.
        prefix: Box<str>,
    },
    /// A part of something whose rest is to come.
    Part,
    /// Nothing but a sign of life.
    Pulse,
    /// The client is done.
    End,
}

impl Heard {
    /// The id of the request that it is.
    pub fn id(&self) -> Option<&RequestId> {
        match self {
            Self::Request(request) | Self::Enter { request, .. } => request.id.as_ref(),
            _ => None,
        }
    }
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
