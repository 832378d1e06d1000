//! Gaps: what makes messages missing, and how subscribers learn of it.

use super::delivery::{Delivery, Outlet};
use super::ring::Ring;
use super::state::Hub;
use super::stores::Store;
use crate::broker::{Broker, GapReason, Partition, Scope};
use crate::names::{Epoch, Offset, RoomName};

impl<B: Broker, O: Outlet> Hub<B, O> {
    /// A store's life: a new one makes all positions in it void.
    pub(super) fn position(
        &mut self,
        partition: Partition,
        epoch: Epoch,
        last: Offset,
        whole: bool,
    ) {
        let store = self.stores.of_mut(partition);
        let again = store.epoch != epoch;
        *store = Store {
            epoch,
            position: last,
            floor: last,
            whole,
        };
        if !again {
            return;
        }
        for room in self.rooms.values_mut() {
            if room.partition == partition {
                let new = Ring::new(last, whole);
                self.rings.change(room, |ring| *ring = new);
            }
        }
        for name in self.kept_in(partition) {
            self.tell_gap(&name, GapReason::EpochChanged);
            self.forget_if_idle(&name);
        }
    }

    /// Rooms with as many messages as the store keeps prove nothing before those.
    pub(super) fn trimmed(&mut self, partition: Partition, kept: usize) {
        for room in self.rooms.values_mut() {
            if room.partition == partition {
                room.ring.trimmed(kept);
            }
        }
    }

    /// The rooms in memory that keep messages in a partition.
    fn kept_in(&self, partition: Partition) -> Vec<RoomName> {
        self.rooms
            .values()
            .filter(|room| room.stored && room.partition == partition)
            .map(|room| room.name.clone())
            .collect()
    }

    /// Messages were missed: what is kept proves nothing up to here, and subscribers are told.
    pub(super) fn lost(&mut self, scope: Scope, reason: GapReason) {
        match &scope {
            Scope::Room(name) if self.rooms.contains_key(name) => {}
            Scope::Room(name) => self.stores.of_mut(self.broker.partition(name)).forget(),
            Scope::Partition(partition) => self.stores.of_mut(*partition).forget(),
            Scope::Everything => self.stores.iter_mut().for_each(Store::forget),
        }
        let names: Vec<RoomName> = match scope {
            Scope::Room(name) => vec![name],
            Scope::Partition(partition) => self.kept_in(partition),
            Scope::Everything => self.rooms.keys().cloned().collect(),
        };
        for name in names {
            if let Some(room) = self.rooms.get_mut(&name) {
                let position = self.stores.of(room.partition).position;
                self.rings.change(room, |ring| ring.clear(position));
                self.tell_gap(&name, reason);
                self.forget_if_idle(&name);
            }
        }
    }

    pub(super) fn tell_gap(&mut self, name: &RoomName, reason: GapReason) {
        self.hand_over(name); // what came before stands before the gap
        let Some(room) = self.rooms.get(name) else {
            return;
        };
        let position = room.stored.then(|| self.stores.of(room.partition).end());
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
