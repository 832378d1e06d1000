//! Gaps: what makes messages missing, and how subscribers learn of it.

use super::delivery::{Delivery, Outlet};
use super::ring::Ring;
use super::state::Hub;
use crate::broker::{Broker, GapReason};
use crate::names::{Epoch, Offset, RoomName};

impl<B: Broker, O: Outlet> Hub<B, O> {
    /// The store's life: a new one makes all positions void.
    pub(super) fn position(&mut self, epoch: Epoch, last: Offset) {
        let again = self.epoch != epoch;
        self.epoch = epoch;
        self.position = last;
        self.floor = last;
        if again {
            for room in self.rooms.values_mut() {
                self.rings.change(room, |ring| *ring = Ring::new(last));
            }
            self.lost(None, GapReason::EpochChanged);
        }
    }

    /// Messages were missed: what is kept proves nothing up to here, and subscribers are told.
    pub(super) fn lost(&mut self, room: Option<RoomName>, reason: GapReason) {
        if room
            .as_ref()
            .is_none_or(|name| !self.rooms.contains_key(name))
        {
            self.floor = self.floor.max(self.position);
        }
        let names = room.map_or_else(|| self.rooms.keys().cloned().collect(), |name| vec![name]);
        for name in names {
            if let Some(room) = self.rooms.get_mut(&name) {
                self.rings.change(room, |ring| ring.clear(self.position));
                self.tell_gap(&name, reason);
                self.forget_if_idle(&name);
            }
        }
    }

    pub(super) fn tell_gap(&mut self, name: &RoomName, reason: GapReason) {
        let Some(room) = self.rooms.get(name) else {
            return;
        };
        let position = room.stored.then(|| (self.epoch.clone(), self.position));
        for shard in room.shards() {
            let gap = Delivery::Gap {
                room: name.clone(),
                reason,
                position: position.clone(),
            };
            self.outlet.send(shard, gap);
            self.metrics.gaps.add(1);
        }
    }

    /// Tells subscribers that they missed something, once their shard's queue has room again.
    pub(super) fn tell_missed(&mut self) {
        for (shard, room) in std::mem::take(&mut self.missed) {
            if self.outlet.is_full(shard) {
                self.missed.push((shard, room));
            } else {
                self.metrics.gaps.add(1);
                self.outlet.send(
                    shard,
                    Delivery::Gap {
                        room,
                        reason: GapReason::Overload,
                        position: None,
                    },
                );
            }
        }
    }
}
