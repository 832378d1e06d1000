//! A bound on connections that speak HTTP, so that clients that never get to the point can't take
//! the files of those that did.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::admission::RESERVED_FILES;

/// HTTP connections at once, where there are files enough.
const MOST: usize = 4096;

/// HTTP connections that there are files for in any case: of the reserved ones, less what the
/// process itself needs.
const ALWAYS: usize = RESERVED_FILES - 128;

/// Slots for HTTP connections.
#[derive(Debug)]
pub(super) struct Slots {
    open: Arc<Open>,
    files: usize,
}

#[derive(Debug, Default)]
struct Open {
    count: AtomicUsize,
    freed: Notify,
}

/// The slot of one connection; free when dropped.
#[derive(Debug)]
pub(super) struct Slot(Arc<Open>);

impl Slots {
    /// Slots of a process that may open `file_limit` files.
    pub(super) fn new(file_limit: usize) -> Self {
        Self {
            open: Arc::default(),
            files: file_limit.saturating_sub(RESERVED_FILES),
        }
    }

    /// Waits for a free slot, beside so many `upgraded` connections.
    ///
    /// Until then newcomers wait in the kernel's queue: a connection that was accepted only to be
    /// closed would come again at once.
    pub(super) async fn take(&self, upgraded: impl Fn() -> usize) -> Slot {
        loop {
            // Only the accept loop takes slots, so none is lost between the look and the count.
            let open = self.open.count.load(Ordering::Acquire);
            if open < ALWAYS || (open < MOST && open + upgraded() < self.files) {
                self.open.count.fetch_add(1, Ordering::AcqRel);
                return Slot(Arc::clone(&self.open));
            }
            // `notify_one` before this line is remembered. HTTP connections are short, so one ends
            // soon; that an upgraded one ends is not waited for.
            self.open.freed.notified().await;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fill(slots: &Slots, upgraded: usize) -> Vec<Slot> {
        let mut taken = Vec::new();
        while let Ok(slot) =
            tokio::time::timeout(std::time::Duration::ZERO, slots.take(|| upgraded)).await
        {
            taken.push(slot);
        }
        taken
    }

    #[tokio::test]
    async fn http_connections_are_bounded_also_where_files_are_many() {
        assert_eq!(fill(&Slots::new(1_000_000), 0).await.len(), MOST);
    }

    #[tokio::test]
    async fn some_slots_are_left_when_every_file_is_a_connection() {
        let slots = Slots::new(2000);
        assert_eq!(fill(&slots, 2000 - RESERVED_FILES).await.len(), ALWAYS);
        assert_eq!(fill(&slots, 0).await.len(), 2000 - RESERVED_FILES);
    }

    #[tokio::test]
    async fn a_slot_that_is_freed_is_waited_for() {
        let slots = Slots::new(0);
        let mut taken = fill(&slots, 0).await;
        let (_, slot) = tokio::join!(async { drop(taken.pop()) }, slots.take(|| 0));
        drop(slot);
    }
}
