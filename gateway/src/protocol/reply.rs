//! What the server says to one connection, in any protocol.

use std::borrow::Cow;
use std::sync::Arc;

use super::{ErrorCode, Fault, RequestId};
use crate::broker::{GapReason, Member};
use crate::message::{Message, Payload};
use crate::names::{ConnectionId, Epoch, Offset, RoomName, SessionSecret, UserId};

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
    /// The channel's handler has put the connection in a room.
    Subscribed {
        /// The room.
        room: &'a RoomName,
        /// Where the subscription begins, in a room with history.
        position: Option<(&'a Epoch, Offset)>,
    },
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
    /// The token's time is nearly over: refresh it.
    TokenExpiring {
        /// Time left, in milliseconds.
        within_ms: u64,
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

impl Reply<'_> {
    /// The room that is in it.
    pub fn room(&self) -> Option<&RoomName> {
        match self {
            Self::Subscribed { room, .. }
            | Self::Presence { room, .. }
            | Self::Gap { room, .. }
            | Self::Unsubscribed { room, .. } => Some(room),
            _ => None,
        }
    }
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
    /// What the channel's handler says to the client.
    pub data: Option<Payload>,
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
        /// Milliseconds since the Unix epoch, where the broker tells it.
        timestamp: Option<u64>,
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
    /// Of `request`: what the handler answered, if anything.
    Answered(Option<&'a Payload>),
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
    /// JSON Pointer to what a room's schema refuses, from the frame on.
    pub pointer: Option<Box<str>>,
    /// The handler's own code for its refusal.
    pub reason: Option<Box<str>>,
}

impl Refusal {
    /// A refusal in the code's own words.
    pub fn new(id: Option<RequestId>, code: ErrorCode) -> Self {
        Self {
            id,
            code,
            message: Cow::Borrowed(code.advice()),
            retry_after_ms: None,
            pointer: None,
            reason: None,
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
            pointer: None,
            reason: None,
        }
    }
}
