//! What the caller of the state machine has to do, and what it is told of the topics that are watched.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;

use super::entry::{Attendee, Entries, Incarnation, Key, ProcessId, Topic};
use crate::names::ConnectionId;

/// What the caller must do, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send to all gateways.
    Broadcast(Bytes),
    /// Send to one gateway.
    Send {
        /// Which.
        to: ProcessId,
        /// What.
        bytes: Bytes,
    },
    /// Create this incarnation's lease, or renew it where that was done before, on the condition that nobody changed
    /// it since. [`lease_lost`](super::state::State::lease_lost) if somebody did, [`renewal_failed`](super::state::State::renewal_failed) if that is not known.
    Renew(Incarnation),
    /// Delete the lease.
    Release(Incarnation),
    /// Tell the gateway's own side.
    Tell(News),
}

/// What happened in a topic that is watched, on any gateway, this one included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The topic is watched from now on: what was told of it before is void, and who is there comes next.
    Watching(Topic),
    /// A connection came, or is told anew because something about it is different.
    Joined {
        /// To what.
        topic: Topic,
        /// Who.
        attendee: Attendee,
        /// Whether its gateway drains, in topics of users; never in rooms.
        draining: bool,
    },
    /// It is no longer there.
    Left {
        /// Where.
        topic: Topic,
        /// Which connection.
        connection: ConnectionId,
    },
}

/// Effects that wait for the caller.
#[derive(Debug, Default)]
pub(super) struct Telling {
    pub watched: HashSet<Topic>,
    pub effects: VecDeque<Effect>,
}

impl Telling {
    pub fn joined(&mut self, topic: &Topic, attendee: &Attendee, draining: bool) {
        if self.watched.contains(topic) {
            self.effects.push_back(Effect::Tell(News::Joined {
                topic: topic.clone(),
                attendee: attendee.clone(),
                draining: draining && matches!(topic, Topic::User(_)),
            }));
        }
    }

    pub fn left(&mut self, key: &Key) {
        if self.watched.contains(&key.topic) {
            self.effects.push_back(Effect::Tell(News::Left {
                topic: key.topic.clone(),
                connection: key.connection(),
            }));
        }
    }

    /// The gateway of these entries drains, which matters to the connections of users.
    pub fn drains(&mut self, entries: &Entries) {
        for (key, attendee) in entries.iter() {
            if matches!(key.topic, Topic::User(_)) {
                self.joined(&key.topic, attendee, true);
            }
        }
    }
}
