//! What connects the gateways of a channel: the hub hands over [`Request`]s and takes [`Event`]s, and never waits.
//!
//! An implementation numbers and stores messages of rooms with history, passes those of rooms without, remembers
//! `message_id`s, and carries presence and direct messages. [`embedded`] does so inside one process.

pub mod embedded;
pub mod nats;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::config::Channel;
use crate::message::Message;
use crate::names::{ConnectionId, Epoch, Offset, RoomName, UserId};

/// Ties an answer to its request; chosen by the hub.
pub type Token = u64;

/// A part of the rooms with history that shares a store: its epoch, its offsets. Counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(pub u16);

/// What a broker does for the hub.
pub trait Broker: Send {
    /// How many partitions there are; constant, and at least 1.
    fn partitions(&self) -> u16;

    /// Which of them a room belongs to; constant.
    fn partition(&self, room: &RoomName) -> Partition;

    /// Takes a request over at once. Its answer, where it has one, comes as an event with its token.
    fn submit(&mut self, request: Request);

    /// Appends what happened since the last call; pending only if that was nothing. Not calling it is how the hub says
    /// that its queues are full: an implementation then keeps events back within bounds of its own.
    fn poll_events(&mut self, context: &mut Context<'_>, events: &mut VecDeque<Event>) -> Poll<()>;

    /// While `held`, messages of rooms with history are kept back at their source: queues to the shards are full.
    /// Nothing is lost by it. A broker that has no source to keep them at ignores it.
    fn hold(&mut self, _held: bool) {}

    /// Applies what changed in the channel's configuration.
    fn configure(&mut self, channel: &Arc<Channel>);
}

/// What the hub asks of a broker.
#[derive(Debug)]
pub enum Request {
    /// Sends a message to its room; answered by [`Event::Published`] and, on every gateway that watches the room, by
    /// [`Event::Message`]. `stored` rooms number and keep it.
    Publish {
        /// Names the answer.
        token: Token,
        /// The message, without offset and time.
        message: Box<Message>,
        /// Whether the room has history.
        stored: bool,
        /// Makes a repeat within the window the same message.
        key: Option<DeduplicationKey>,
    },
    /// This gateway has subscribers of the room from now on; answered by [`Event::Watched`], soon whatever happens.
    Watch {
        /// Names the answer.
        token: Token,
        /// The room.
        room: RoomName,
    },
    /// It has none any more.
    Unwatch(RoomName),
    /// Reads stored messages beyond what the hub's ring holds; answered by [`Event::Read`].
    Read {
        /// Names the answer.
        token: Token,
        /// The room to read.
        room: RoomName,
        /// Which messages.
        range: Range,
        /// Most messages wanted.
        limit: usize,
    },
    /// A connection of this gateway is in the room.
    Join {
        /// The room.
        room: RoomName,
        /// Who it is.
        member: Member,
    },
    /// It is not any more.
    Leave {
        /// The room.
        room: RoomName,
        /// Which connection left.
        connection: ConnectionId,
    },
    /// Asks who is in a room that this gateway does not watch; answered by [`Event::Members`].
    Members {
        /// Names the answer.
        token: Token,
        /// The room.
        room: RoomName,
        /// Only those whose connection comes after this one, in the order of [`ConnectionId`].
        after: Option<ConnectionId>,
        /// Most members wanted.
        limit: usize,
    },
    /// A connection of this gateway has a user, who may have others on other gateways; [`Event::Replaced`] tells which
    /// of this gateway's are too many. Only a token names a user, and this version takes none yet: until then no client
    /// makes the hub ask this.
    Connect {
        /// The user.
        user: UserId,
        /// The connection.
        connection: ConnectionId,
    },
    /// It is gone.
    Disconnect {
        /// The user.
        user: UserId,
        /// The connection.
        connection: ConnectionId,
    },
    /// Sends to every connection of a user: [`Event::Direct`] on all gateways; answered by [`Event::DirectSent`].
    Direct {
        /// Names the answer.
        token: Token,
        /// The receiver.
        to: UserId,
        /// The message; its room is of no meaning.
        message: Arc<Message>,
    },
    /// Closes every connection of a user, or one of that name, whoever's it is: [`Event::Expel`] on all gateways; answered
    /// by [`Event::DirectSent`].
    Expel {
        /// Names the answer.
        token: Token,
        /// The user, or a connection.
        to: UserId,
        /// How.
        close: Arc<Close>,
    },
    /// Asks for the connections of a user on all gateways; answered by [`Event::Connections`].
    Connections {
        /// Names the answer.
        token: Token,
        /// The user.
        user: UserId,
    },
    /// How many connections of this gateway took a direct message, or were closed.
    DirectTaken {
        /// The event's.
        token: Token,
        /// Connections of the user here; `None`: none took it, because queues to them are full.
        connections: Option<usize>,
    },
}

/// A run of a room's stored messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// The first ones after a position.
    After(Offset),
    /// The last ones before a position.
    Before(Offset),
}

/// What a broker tells the hub.
#[derive(Debug)]
pub enum Event {
    /// A publish has come to its end.
    Published {
        /// The request's.
        token: Token,
        /// Where it stands, or why it does not.
        result: Result<Receipt, PublishError>,
    },
    /// The answer to [`Request::Watch`]: whatever is published to the room from now on, on any gateway, is told, or that
    /// it may have been lost.
    Watched {
        /// The request's.
        token: Token,
    },
    /// A message of a room that this gateway watches, in the order of offsets.
    Message(Arc<Message>),
    /// Messages of a room were missed, at or below the last position told: nothing kept of it is complete any more.
    Lost {
        /// Of which rooms.
        scope: Scope,
        /// What happened.
        reason: GapReason,
    },
    /// A store's life and the last position in it; sent first of all, again when the store was re-created, and before
    /// [`Event::Lost`] where stored messages up to that position will not come.
    Position {
        /// Whose store.
        partition: Partition,
        /// The current epoch.
        epoch: Epoch,
        /// The last position.
        last: Offset,
        /// Whether nothing at or below that position is stored.
        whole: bool,
    },
    /// Reading a partition began in the midst of it: a room of which `kept` messages have come, the most that the store
    /// keeps, may have lost some before them.
    Trimmed {
        /// Which.
        partition: Partition,
        /// Messages that the store keeps of a room.
        kept: usize,
    },
    /// The answer to [`Request::Read`].
    Read {
        /// The request's.
        token: Token,
        /// The messages, ascending, if nothing between can be missing.
        complete: Option<Vec<Arc<Message>>>,
    },
    /// Somebody came to a room, on any gateway.
    Joined {
        /// The room.
        room: RoomName,
        /// Who.
        member: Member,
    },
    /// Somebody left a room.
    Left {
        /// The room.
        room: RoomName,
        /// Which connection.
        connection: ConnectionId,
    },
    /// The answer to [`Request::Members`].
    Members {
        /// The request's.
        token: Token,
        /// How many are in the room, on all gateways.
        count: usize,
        /// Those asked for, in the order of their connections.
        members: Vec<Member>,
    },
    /// A user has more connections than `limits.connectionsPerUser` on all gateways together, and this one, which is here,
    /// is among the oldest. Those of gateways that drain or are lost do not count.
    Replaced {
        /// The user.
        user: UserId,
        /// The connection.
        connection: ConnectionId,
    },
    /// A direct message for a user who may have connections here.
    Direct {
        /// The receiver.
        to: UserId,
        /// The message.
        message: Arc<Message>,
        /// Names the hub's [`Request::DirectTaken`].
        token: Token,
    },
    /// Connections are to be closed that may be here.
    Expel {
        /// The user, or a connection.
        to: UserId,
        /// How.
        close: Arc<Close>,
        /// Names the hub's [`Request::DirectTaken`].
        token: Token,
    },
    /// The answer to [`Request::Connections`].
    Connections {
        /// The request's.
        token: Token,
        /// Those that the broker knows of, this gateway's among them or not.
        connections: Vec<ConnectionId>,
    },
    /// The answer to [`Request::Direct`] and [`Request::Expel`].
    DirectSent {
        /// The request's.
        token: Token,
        /// Connections of the user on all gateways; 0: offline. It is overloaded if queues were full and nobody took it.
        result: Result<usize, PublishError>,
    },
}

/// One connection's entry in a room's presence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Which connection.
    pub connection: ConnectionId,
    /// Its user; `None` for an anonymous one.
    pub user: Option<UserId>,
    /// JSON text of what the client says of itself.
    pub info: Option<Arc<str>>,
}

/// How a connection is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The close code.
    pub code: u16,
    /// The reason, at most 123 bytes.
    pub reason: Box<str>,
}

/// Which rooms an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// One.
    Room(RoomName),
    /// All of a partition that keep messages.
    Partition(Partition),
    /// Any.
    Everything,
}

/// Where a published message stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its position, in the store that took it; `None` in a room without history, and where a worker gets it first.
    pub position: Option<(Epoch, Offset)>,
    /// Milliseconds since the Unix epoch; `None` where only the message itself, when it comes, has its time.
    pub timestamp: Option<u64>,
    /// Whether it is a repeat of the message at `position`.
    pub duplicate: bool,
    /// Whether a repeat would be known as one.
    pub deduplicated: bool,
}

/// Why a publish did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Certainly not published.
    #[error("the broker cannot be reached: not published, try again")]
    Unavailable,
    /// Sent, but not confirmed.
    #[error("sent, but not confirmed: send it again with the same message_id")]
    OutcomeUnknown,
    /// The store has no room for it; not published.
    #[error("the broker's storage is full: not published, try again once it has room")]
    StorageFull,
    /// The account may not store more; not published.
    #[error("the broker's account may not store more: not published, raise its limit")]
    StorageLimit,
    /// The broker stores nothing; not published.
    #[error("the broker stores nothing: not published, enable JetStream")]
    NoStorage,
    /// The broker does not let the gateway in; not published.
    #[error("the broker refuses the gateway's credentials: not published, put them right")]
    Unauthorized,
    /// The broker does not let the gateway publish this; not published.
    #[error(
        "the broker does not let the gateway publish this: not published, widen its permissions"
    )]
    Denied,
    /// Queues are full; not published.
    #[error("the gateway's queues are full: not published, try again later")]
    Overloaded,
}

/// Why messages were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapReason {
    /// The gateway fell behind what the store keeps.
    Lagged,
    /// The connection to the broker was lost.
    BrokerReset,
    /// The store was re-created.
    EpochChanged,
    /// Queues inside the gateway were full.
    Overload,
}

impl GapReason {
    /// The protocol's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lagged => "lagged",
            Self::BrokerReset => "broker_reset",
            Self::EpochChanged => "epoch_changed",
            Self::Overload => "overload",
        }
    }
}

/// Names one publish of one publisher into one room: SHA-256 of (room, scope, `message_id`), length-prefixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeduplicationKey([u8; 32]);

impl DeduplicationKey {
    /// `scope` is the publisher: its user, else `~` and its session secret; of services what
    /// [`crate::auth::api_access::Caller::scope`] says.
    pub fn new(room: &RoomName, scope: &[u8], message_id: &str) -> Self {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        for part in [room.as_str().as_bytes(), scope, message_id.as_bytes()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// A key of a publish that nobody repeats but the gateway itself.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

/// As base64url.
impl std::fmt::Display for DeduplicationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deduplication_key_tells_room_scope_and_id_apart() {
        let room = |name| RoomName::parse(name).unwrap();
        let key = DeduplicationKey::new(&room("ab"), b"c", "d");
        assert_eq!(key, DeduplicationKey::new(&room("ab"), b"c", "d"));
        assert_ne!(key, DeduplicationKey::new(&room("a"), b"bc", "d"));
        assert_ne!(key, DeduplicationKey::new(&room("ab"), b"cd", ""));
    }
}
