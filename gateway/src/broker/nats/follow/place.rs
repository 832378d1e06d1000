//! How far a partition has been read, as who publishes to it and who reads what is older need to know.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::names::{Epoch, Offset};

/// How far a partition has been read; shared with who publishes to it.
#[derive(Debug, Default)]
pub struct Place {
    now: Mutex<Option<(Epoch, Offset)>>,
    /// Whether the stream has taken a message at a position that had been read already.
    went_back: AtomicBool,
    suspected: Notify,
}

impl Place {
    /// The epoch and the last position; `None` before the stream was found.
    pub fn now(&self) -> Option<(Epoch, Offset)> {
        self.lock().clone()
    }

    /// The stream in this epoch gives out positions again that were given out before.
    pub fn suspect(&self) {
        if !self.went_back.swap(true, Ordering::Relaxed) {
            self.suspected.notify_one();
        }
    }

    /// It has been read up to here.
    pub(super) fn advance(&self, to: Offset) {
        if let Some((_, last)) = &mut *self.lock() {
            *last = to;
        }
    }

    /// What is read from now on is of this epoch and comes after this position.
    pub(super) fn begin(&self, epoch: Epoch, last: Offset) {
        *self.lock() = Some((epoch, last));
        self.went_back.store(false, Ordering::Relaxed);
    }

    /// Whether [`Self::suspect`] was called since.
    pub(super) fn has_gone_back(&self) -> bool {
        self.went_back.load(Ordering::Relaxed)
    }

    /// Awaits [`Self::suspect`].
    pub(super) async fn suspected(&self) {
        self.suspected.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Epoch, Offset)>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
