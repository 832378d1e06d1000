//! What stays in memory: which rooms are there, and which messages they keep.

use std::sync::Arc;
use std::time::Instant;

use super::delivery::{Delivery, Outlet};
use super::presence::MERGE;
use super::ring::Ring;
use super::room::Room;
use super::state::Hub;
use super::stores::Store;
use crate::broker::{Broker, GapReason};
use crate::config::{Channel, History, PresenceMode};
use crate::message::{Message, unix_milliseconds};
use crate::names::{Offset, RoomName};

/// Rooms and messages that one call of [`Hub::expire`] looks at and lets go, so that a turn stays short.
const EXPIRY_SLICE: usize = 1000;

impl<B: Broker, O: Outlet> Hub<B, O> {
    /// The room in memory, made if it is not there.
    pub(super) fn room(&mut self, name: &RoomName) -> &mut Room {
        self.rooms.entry(name.clone()).or_insert_with(|| {
            let partition = self.broker.partition(name);
            let store = self.stores.of(partition);
            let (floor, whole) = (store.floor, store.whole);
            let rules = &self.channel.rules;
            let ring = Ring::new(floor, whole);
            Room::new(name.clone(), rules, self.shards, partition, ring)
        })
    }

    pub(super) fn keep(&mut self, name: &RoomName, message: Arc<Message>, history: History) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        self.rings.change(room, |ring| {
            ring.expire(message.timestamp, history.max_age);
            ring.push(message, history.max_messages_per_room);
        });
        self.bound_rings();
    }

    /// Lets go a slice of the messages that are too old. Gives whether there are more.
    pub fn expire(&mut self) -> bool {
        let Some(history) = self.channel.history else {
            return false;
        };
        let now = unix_milliseconds();
        let old = now.saturating_sub(history.max_age.as_millis() as u64);
        let mut left = EXPIRY_SLICE;
        while left > 0 {
            let Some(name) = self.rings.older_than(old) else {
                return false;
            };
            let Some(room) = self.rooms.get_mut(&name) else {
                return false;
            };
            let gone = self.rings.expire(room, now, history.max_age);
            left = left.saturating_sub(1 + gone);
            self.forget_if_idle(&name);
        }
        true
    }

    /// Lets go what is too old of a room that is about to be read.
    pub(super) fn expire_room(&mut self, name: &RoomName) {
        let (Some(history), Some(room)) = (self.channel.history, self.rooms.get_mut(name)) else {
            return;
        };
        self.rings
            .expire(room, unix_milliseconds(), history.max_age);
    }

    /// Drops the rings that were used least recently until all fit `historyMemory`.
    pub(super) fn bound_rings(&mut self) {
        while self.rings.bytes() > self.channel.limits.history_memory {
            let Some(name) = self.rings.least_recently_used(&mut self.rooms) else {
                return;
            };
            self.drop_ring(&name);
            self.metrics.rings_evicted.add(1);
        }
    }

    pub(super) fn drop_ring(&mut self, name: &RoomName) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        self.rings.change(room, |ring| ring.clear(Offset(0)));
        self.forget_if_idle(name);
    }

    /// Applies a new configuration to rooms in memory.
    pub fn configure(&mut self, channel: Arc<Channel>, now: Instant) {
        self.broker.configure(&channel);
        if !self.channel.rules.keep_alike(&channel.rules) {
            // A room that is not in memory may have begun to keep messages just now: nothing before is proven.
            self.stores.iter_mut().for_each(Store::forget);
        }
        self.channel = channel;
        let max = self
            .channel
            .history
            .map_or(0, |history| history.max_messages_per_room);
        let (mut begun, mut enlisting) = (Vec::new(), Vec::new());
        for room in self.rooms.values_mut() {
            let (was_stored, told) = (room.stored, room.presence_mode != PresenceMode::Off);
            room.apply(&self.channel.rules);
            let (stored, position) = (room.stored, self.stores.of(room.partition).position);
            self.rings.change(room, |ring| match (was_stored, stored) {
                (false, true) => *ring = Ring::new(position, false),
                (true, false) => ring.clear(position),
                _ => ring.truncate(max),
            });
            if stored && !was_stored {
                begun.push(room.name.clone());
            }
            if !told && room.presence_mode != PresenceMode::Off {
                enlisting.push(room.name.clone());
            }
            if room.presence.is_some() {
                self.presence_due
                    .push_back((now + MERGE, room.name.clone()));
            }
        }
        self.bound_rings();
        self.forget_idle();
        for name in begun {
            self.tell_gap(&name, GapReason::EpochChanged); // its subscribers know no position yet
        }
        for name in enlisting {
            self.enlist(name);
        }
    }

    /// Asks for the presence entries of all who are in a room already.
    fn enlist(&mut self, room: RoomName) {
        let Some(addresses) = self.rooms.get(&room).map(Room::addresses) else {
            return;
        };
        for (shard, to) in addresses {
            let room = room.clone();
            self.outlet.send(shard, Delivery::Enlist { room, to });
        }
    }

    pub(super) fn forget_idle(&mut self) {
        let stores = &mut self.stores;
        self.rooms.retain(|_, room| {
            let idle = room.is_idle();
            if idle {
                let store = stores.of_mut(room.partition);
                store.left(&room.ring);
            }
            !idle
        });
    }

    pub(super) fn forget_if_idle(&mut self, name: &RoomName) {
        if self.rooms.get(name).is_some_and(Room::is_idle)
            && let Some(room) = self.rooms.remove(name)
        {
            let store = self.stores.of_mut(room.partition);
            store.left(&room.ring);
        }
    }
}
