//! What the hub knows of the broker's stores: one a partition of the rooms with history.

use super::ring::Ring;
use crate::broker::Partition;
use crate::names::{Epoch, Offset};

/// One store, as far as the broker has told.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) epoch: Epoch,
    /// The last position that the broker told.
    pub(super) position: Offset,
    /// Nothing above this offset is missing of any of its rooms that is not in memory.
    pub(super) floor: Offset,
    /// Whether the store holds nothing of rooms that are not in memory.
    pub(super) whole: bool,
}

impl Store {
    /// Where it stands.
    pub(super) fn end(&self) -> (Epoch, Offset) {
        (self.epoch.clone(), self.position)
    }

    /// Nothing is proven up to here of rooms that are not in memory.
    pub(super) fn forget(&mut self) {
        self.whole = false;
        self.raise_floor(self.position);
    }

    /// A room leaves memory with this ring.
    pub(super) fn left(&mut self, ring: &Ring) {
        self.whole &= ring.is_whole();
        self.raise_floor(ring.floor());
    }

    /// Nothing up to `offset` is proven of rooms that are not in memory.
    fn raise_floor(&mut self, offset: Offset) {
        self.floor = self.floor.max(offset);
    }
}

/// All stores, by partition.
#[derive(Debug)]
pub(super) struct Stores(Box<[Store]>);

impl Stores {
    /// So many empty stores; their epochs hold until the broker tells its own.
    pub(super) fn new(partitions: u16) -> Self {
        let store = |_| Store {
            epoch: Epoch::random(),
            position: Offset(0),
            floor: Offset(0),
            whole: false,
        };
        Self((0..partitions.max(1)).map(store).collect())
    }

    /// A partition's store. The broker tells of those only that it has said it has.
    pub(super) fn of(&self, partition: Partition) -> &Store {
        &self.0[usize::from(partition.0)]
    }

    /// A partition's store, to be changed.
    pub(super) fn of_mut(&mut self, partition: Partition) -> &mut Store {
        &mut self.0[usize::from(partition.0)]
    }

    /// All of them.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Store> {
        self.0.iter_mut()
    }
}
