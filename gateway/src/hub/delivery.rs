//! What the hub says to shards.

use std::sync::Arc;
use std::time::Instant;

use super::Address;
use crate::broker::{Close, GapReason};
use crate::message::Message;
use crate::names::{ConnectionId, Epoch, Offset, RoomName};
use crate::protocol::{
    ErrorCode, HistoryPage, PresenceChange, PresencePage, RequestId, Subscribed,
};

/// How the hub reaches the shards.
pub trait Outlet {
    /// Hands a room's messages of one turn to the shards that `shards` marks with a number above zero.
    fn messages(
        &mut self,
        room: &RoomName,
        messages: Vec<Arc<Message>>,
        received: Instant,
        shards: &[u32],
    );

    /// Hands something else to one shard; what a shard gets arrives in order.
    fn send(&mut self, shard: u16, delivery: Delivery);

    /// Whether a shard's queue is over its bound.
    fn is_full(&self, shard: u16) -> bool;

    /// Ends a turn: makes the shards look.
    fn flush(&mut self);
}

/// Something for one shard.
#[derive(Debug)]
pub enum Delivery {
    /// The answer to a request.
    Answer {
        /// Whose request.
        to: Address,
        /// Its id.
        id: Option<RequestId>,
        /// The answer.
        answer: Answer,
    },
    /// A subscription begins, goes on or catches up.
    Subscribed {
        /// Whose.
        to: Address,
        /// The request's id.
        id: Option<RequestId>,
        /// The room.
        room: RoomName,
        /// Whether presence frames are wanted.
        presence: bool,
        /// What the ack says; live unless `more`.
        outcome: Box<Subscribed>,
    },
    /// A subscription ended as asked.
    Unsubscribed {
        /// Whose.
        to: Address,
        /// The request's id.
        id: Option<RequestId>,
        /// The room.
        room: RoomName,
    },
    /// Who came and went, for subscribers who asked for it.
    Presence {
        /// The room.
        room: RoomName,
        /// The change.
        change: Arc<PresenceChange>,
    },
    /// The room tells of members from now on: [`super::CommandKind::Join`] is wanted of those who are in it.
    Enlist {
        /// The room.
        room: RoomName,
        /// Who is in it.
        to: Vec<Address>,
    },
    /// Messages were missed, for all subscribers.
    Gap {
        /// The room.
        room: RoomName,
        /// Why.
        reason: GapReason,
        /// Where the subscription goes on, in a room with history.
        position: Option<(Epoch, Offset)>,
    },
    /// A message to a user.
    Direct {
        /// One of the user's connections.
        to: Address,
        /// The message.
        message: Arc<Message>,
    },
    /// Everything that the connection had asked for before it disconnected was sent.
    Detached {
        /// Whose.
        to: Address,
    },
    /// The connection must close, as a service wants it.
    Expel {
        /// Whose.
        to: Address,
        /// How.
        close: Arc<Close>,
    },
    /// The connection must close.
    Close {
        /// Whose.
        to: Address,
        /// Why.
        code: ErrorCode,
    },
}

/// The answer to a request.
#[derive(Debug)]
pub enum Answer {
    /// A message was published.
    Published {
        /// Where it stands, in a room with history.
        position: Option<(Epoch, Offset)>,
        /// Milliseconds since the Unix epoch, where the broker tells it.
        timestamp: Option<u64>,
        /// A repeat.
        duplicate: bool,
        /// A `message_id` was given where nothing is deduplicated.
        not_deduplicated: bool,
    },
    /// A message was sent to a user, or connections were closed.
    Sent {
        /// Connections that it went to, or that were closed.
        connections: usize,
    },
    /// The connections of a user, and whether each is on this gateway.
    Whereabouts(Vec<(ConnectionId, bool)>),
    /// A page of messages.
    History(HistoryPage),
    /// A page of members.
    Presence(PresencePage),
    /// It was refused.
    Refused(ErrorCode),
}

impl Delivery {
    /// Bytes that wait with it.
    pub fn weight(&self) -> usize {
        let page = |messages: &[Arc<Message>]| {
            messages
                .iter()
                .map(|message| message.data.len())
                .sum::<usize>()
        };
        match self {
            Self::Subscribed { outcome, .. } => 256 + page(&outcome.messages),
            Self::Answer {
                answer: Answer::History(history),
                ..
            } => 256 + page(&history.messages),
            Self::Direct { message, .. } => message.data.len(),
            Self::Enlist { to, .. } => 256 + size_of_val(to.as_slice()),
            _ => 256,
        }
    }
}
