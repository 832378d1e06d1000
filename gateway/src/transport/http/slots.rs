//! A bound on connections that speak HTTP, so that clients that never get to the point can't take
//! the files of those that did.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::admission::RESERVED_FILES;
use crate::transport::address::addresses::Seat;

/// HTTP connections at once, where there are files enough.
const MOST: usize = 4096;

/// HTTP connections that there are files for in any case: of the reserved ones, less what the
/// process itself needs.
const ALWAYS: usize = RESERVED_FILES - 128;

/// HTTP connections of one address at once. Who sends its handshake without delay hardly ever holds one.
pub(super) const OF_ONE_ADDRESS: u32 = MOST as u32 / 4;

/// Slots for HTTP connections.
pub(super) struct Slots {
    open: Arc<Open>,
    files: usize,
}

#[derive(Default)]
struct Open {
    count: AtomicUsize,
    /// Whether somebody found no slot since the last one was freed.
    wanted: AtomicBool,
    freed: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// The slot of one connection; free when dropped.
pub(super) struct Slot {
    open: Arc<Open>,
    /// The connection's place among those of its address.
    #[allow(dead_code, reason = "it is held to be dropped")]
    seat: Seat,
}

impl Slots {
    /// Slots of a process that may open `file_limit` files.
    pub(super) fn new(file_limit: usize) -> Self {
        Self {
            open: Arc::default(),
            files: file_limit.saturating_sub(RESERVED_FILES),
        }
    }

    /// Sets what is done when a slot is free after somebody found none. Only the first call counts.
    pub(super) fn on_freed(&self, tell: impl Fn() + Send + Sync + 'static) {
        let _ = self.open.freed.set(Box::new(tell));
    }

    /// Takes a slot, beside so many `upgraded` connections.
    ///
    /// Where none is free newcomers wait in the kernel's queue until [`Self::on_freed`] tells: a
    /// connection that was accepted only to be closed would come again at once. HTTP connections
    /// are short, so one ends soon; that an upgraded one ends is not waited for.
    pub(super) fn take(&self, upgraded: usize) -> Option<Slot> {
        self.try_take(upgraded).or_else(|| {
            self.open.wanted.store(true, Ordering::SeqCst);
            self.try_take(upgraded) // one may have been freed just before
        })
    }

    fn try_take(&self, upgraded: usize) -> Option<Slot> {
        let next = |open| {
            let free = open < ALWAYS || (open < MOST && open + upgraded < self.files);
            free.then_some(open + 1)
        };
        let (set, fetch) = (Ordering::SeqCst, Ordering::SeqCst);
        self.open.count.fetch_update(set, fetch, next).ok()?;
        Some(Slot {
            open: Arc::clone(&self.open),
            seat: Seat::default(),
        })
    }
}

impl Slot {
    /// The same slot, which ends with a seat.
    pub(super) fn taken_by(mut self, seat: Seat) -> Self {
        self.seat = seat;
        self
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.open.count.fetch_sub(1, Ordering::SeqCst);
        if self.open.wanted.load(Ordering::SeqCst)
            && self.open.wanted.swap(false, Ordering::SeqCst)
            && let Some(tell) = self.open.freed.get()
        {
            tell();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(slots: &Slots, upgraded: usize) -> Vec<Slot> {
        std::iter::from_fn(|| slots.take(upgraded)).collect()
    }

    #[test]
    fn http_connections_are_bounded_also_where_files_are_many() {
        assert_eq!(fill(&Slots::new(1_000_000), 0).len(), MOST);
    }

    #[test]
    fn some_slots_are_left_when_every_file_is_a_connection() {
        let slots = Slots::new(2000);
        assert_eq!(fill(&slots, 2000 - RESERVED_FILES).len(), ALWAYS);
        assert_eq!(fill(&slots, 0).len(), 2000 - RESERVED_FILES);
    }

    #[test]
    fn who_found_no_slot_is_told_once_when_there_is_one() {
        let slots = Slots::new(0);
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        slots.on_freed(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let mut taken = fill(&slots, 0); // until none is left, which is when one is wanted
        taken.pop();
        taken.pop();
        assert_eq!(told.load(Ordering::Relaxed), 1);
        assert!(slots.take(0).is_some());
    }
}
