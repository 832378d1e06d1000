//! What stays in memory: which rooms are there, and which messages they keep.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::delivery::Outlet;
use super::presence::MERGE;
use super::ring::Ring;
use super::room::Room;
use super::state::Hub;
use crate::broker::{Broker, GapReason};
use crate::config::{Channel, History};
use crate::message::Message;
use crate::names::{Offset, RoomName};

impl<B: Broker, O: Outlet> Hub<B, O> {
    /// The room in memory, made if it is not there.
    pub(super) fn room(&mut self, name: &RoomName) -> &mut Room {
        let (channel, shards, floor) = (&self.channel, self.shards, self.floor);
        self.rooms
            .entry(name.clone())
            .or_insert_with(|| Room::new(name.clone(), &channel.rules, shards, floor))
    }

    pub(super) fn keep(
        &mut self,
        name: &RoomName,
        message: Arc<Message>,
        stamp: u64,
        history: History,
    ) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        let before = room.ring.footprint();
        room.ring.expire(message.timestamp, history.max_age);
        room.ring.push(message, history.max_messages_per_room);
        self.ring_bytes = self.ring_bytes + room.ring.footprint() - before;
        if !room.queued {
            room.queued = true;
            self.lru.add(stamp, name.clone());
        }
        self.bound_rings();
    }

    /// Lets go messages that are too old, of the rooms used least recently. Rooms in use do so with each message.
    pub fn expire(&mut self) {
        let Some(history) = self.channel.history else {
            return;
        };
        let old = unix_milliseconds().saturating_sub(history.max_age.as_millis() as u64);
        // Bounded per call, so that a turn stays short.
        for _ in 0..1000 {
            let rooms = &mut self.rooms;
            let Some(name) = self.lru.take(|name| last_use(rooms, name)) else {
                return;
            };
            let Some(room) = self.rooms.get(&name) else {
                continue;
            };
            if room.ring.newest().is_some_and(|newest| newest >= old) {
                self.lru.put_back(room.used, name);
                return;
            }
            self.drop_ring(&name);
        }
    }

    /// Lets go what is too old of a room that is about to be read.
    pub(super) fn expire_room(&mut self, name: &RoomName) {
        let (Some(history), Some(room)) = (self.channel.history, self.rooms.get_mut(name)) else {
            return;
        };
        let before = room.ring.footprint();
        room.ring.expire(unix_milliseconds(), history.max_age);
        self.ring_bytes = self.ring_bytes + room.ring.footprint() - before;
    }

    /// Drops the rings that were used least recently until all fit `historyMemory`.
    pub(super) fn bound_rings(&mut self) {
        while self.ring_bytes > self.channel.limits.history_memory {
            let rooms = &mut self.rooms;
            let Some(name) = self.lru.take(|name| last_use(rooms, name)) else {
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
        self.ring_bytes -= room.ring.footprint();
        room.ring.clear(Offset(0));
        room.queued = false;
        self.forget_if_idle(name);
    }

    /// Applies a new configuration to rooms in memory.
    pub fn configure(&mut self, channel: Arc<Channel>, now: Instant) {
        self.broker.configure(&channel);
        if !self.channel.rules.keep_alike(&channel.rules) {
            // A room that is not in memory may have begun to keep messages just now: nothing before is proven.
            self.floor = self.floor.max(self.position);
        }
        self.channel = channel;
        let max = self
            .channel
            .history
            .map_or(0, |history| history.max_messages_per_room);
        let mut begun = Vec::new();
        for room in self.rooms.values_mut() {
            let was_stored = room.stored;
            room.apply(&self.channel.rules);
            let before = room.ring.footprint();
            match (was_stored, room.stored) {
                (false, true) => {
                    room.ring = Ring::new(self.position);
                    begun.push(room.name.clone());
                }
                (true, false) => room.ring.clear(self.position),
                _ => room.ring.truncate(max),
            }
            self.ring_bytes = self.ring_bytes - before + room.ring.footprint();
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
    }

    pub(super) fn forget_idle(&mut self) {
        let floor = &mut self.floor;
        self.rooms.retain(|_, room| {
            let idle = room.is_idle();
            if idle {
                *floor = (*floor).max(room.ring.floor());
            }
            !idle
        });
    }

    pub(super) fn forget_if_idle(&mut self, name: &RoomName) {
        if self.rooms.get(name).is_some_and(Room::is_idle)
            && let Some(room) = self.rooms.remove(name)
        {
            self.floor = self.floor.max(room.ring.floor());
        }
    }
}

fn last_use(rooms: &mut HashMap<RoomName, Room>, name: &RoomName) -> Option<u64> {
    let room = rooms.get_mut(name).filter(|room| room.queued)?;
    room.queued = !room.ring.is_empty(); // an empty one is queued again with its next message
    room.queued.then_some(room.used)
}

pub(super) fn unix_milliseconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis() as u64
}
