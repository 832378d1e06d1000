//! What shards ask of the hub.

use std::sync::Arc;

use crate::broker::{Close, DeduplicationKey, Member};
use crate::message::Message;
use crate::names::{ConnectionId, RoomName, UserId};
use crate::protocol::{HistoryRange, RequestId, Since};

/// Where a connection lives. A slot is used again; the generation tells its users apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address {
    /// The shard's number.
    pub shard: u16,
    /// The connection's place in the shard.
    pub slot: u32,
    /// Which user of that place.
    pub generation: u32,
}

/// A request of one connection.
#[derive(Debug)]
pub struct Command {
    /// Whose.
    pub from: Address,
    /// The client's id of the request, for the answer.
    pub id: Option<RequestId>,
    /// What.
    pub kind: CommandKind,
}

/// What a connection asks of the hub.
#[derive(Debug)]
pub enum CommandKind {
    /// The connection has an identity now.
    Connect {
        /// Its id.
        connection: ConnectionId,
        /// The user of its token.
        user: Option<UserId>,
    },
    /// The connection is gone, or will be once everything before has reached it.
    Disconnect {
        /// Its id.
        connection: ConnectionId,
        /// The user of its token.
        user: Option<UserId>,
        /// The rooms that it may be in.
        rooms: Vec<RoomName>,
        /// Whether [`super::Delivery::Detached`] is wanted.
        notify: bool,
    },
    /// Join a room, or go on in it.
    Subscribe {
        /// The room.
        room: RoomName,
        /// Where to go on.
        since: Option<Since>,
        /// Whether presence frames are wanted.
        presence: bool,
        /// The entry in the room's presence.
        member: Member,
    },
    /// The entry in the presence of a room that the connection is in, as [`super::Delivery::Enlist`] asks for it.
    Join {
        /// The room.
        room: RoomName,
        /// The entry.
        member: Member,
    },
    /// Leave a room.
    Unsubscribe {
        /// The room.
        room: RoomName,
        /// The connection's id.
        connection: ConnectionId,
    },
    /// Send to a room.
    Publish {
        /// The message, without offset and time.
        message: Box<Message>,
        /// Makes a repeat the same message.
        key: Option<DeduplicationKey>,
    },
    /// Send to a user.
    Send {
        /// The user, or an anonymous connection's id.
        to: Box<str>,
        /// The message, without time.
        message: Box<Message>,
    },
    /// Close every connection of a user, or one.
    Expel {
        /// The user, or a connection.
        to: UserId,
        /// How.
        close: Arc<Close>,
    },
    /// Tell the connections of a user.
    Whereabouts {
        /// The user, or an anonymous connection.
        user: UserId,
    },
    /// Read a room's messages.
    History {
        /// The room.
        room: RoomName,
        /// From where.
        range: HistoryRange,
        /// Most messages wanted.
        limit: usize,
    },
    /// Who is in a room.
    Presence {
        /// The room.
        room: RoomName,
        /// The last connection of the page before.
        after: Option<ConnectionId>,
    },
}

impl CommandKind {
    /// Bytes of payload that wait with this command.
    pub fn weight(&self) -> usize {
        match self {
            Self::Publish { message, .. } | Self::Send { message, .. } => message.footprint(),
            _ => 256,
        }
    }
}
