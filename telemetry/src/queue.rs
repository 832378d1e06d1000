//! From the threads that do the work to the one that sends: bounded, and nobody ever waits.
//!
//! What finds no place is dropped and counted. A sender wakes nobody, unless a whole batch has come together: the
//! exporter looks by the clock. So a span costs its thread a push and an add.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::Thread;

use crate::Span;

static QUEUE: OnceLock<Queue> = OnceLock::new();
static STATS: Stats = Stats {
    exported: AtomicU64::new(0),
    dropped_full: AtomicU64::new(0),
    dropped_failed: AtomicU64::new(0),
};

/// What became of spans since the start of the process.
#[derive(Debug)]
pub struct Stats {
    exported: AtomicU64,
    dropped_full: AtomicU64,
    dropped_failed: AtomicU64,
}

/// The senders' end.
#[derive(Debug)]
struct Queue {
    spans: SyncSender<Span>,
    waiting: AtomicUsize,
    batch: usize,
    exporter: OnceLock<Thread>,
}

/// The exporter's end.
#[derive(Debug)]
pub(crate) struct Outbound(Receiver<Span>);

impl Stats {
    /// Spans that a collector has taken.
    pub fn exported(&self) -> u64 {
        self.exported.load(Relaxed)
    }

    /// Spans that found the queue full.
    pub fn dropped_full(&self) -> u64 {
        self.dropped_full.load(Relaxed)
    }

    /// Spans that no collector took.
    pub fn dropped_failed(&self) -> u64 {
        self.dropped_failed.load(Relaxed)
    }

    pub(crate) fn export(&self, taken: u64, refused: u64) {
        self.exported.fetch_add(taken, Relaxed);
        self.dropped_failed.fetch_add(refused, Relaxed);
    }
}

/// What became of spans.
#[must_use]
pub fn stats() -> &'static Stats {
    &STATS
}

/// Whether spans are sent anywhere.
#[must_use]
pub fn is_on() -> bool {
    QUEUE.get().is_some()
}

/// Hands a span over; drops it where nothing is sent, or the queue is full.
pub fn emit(span: Span) {
    let Some(queue) = QUEUE.get() else { return };
    // Before the push: the exporter's subtraction must find it.
    let before = queue.waiting.fetch_add(1, Relaxed);
    match queue.spans.try_send(span) {
        Ok(()) if before + 1 == queue.batch => {
            if let Some(exporter) = queue.exporter.get() {
                exporter.unpark();
            }
        }
        Ok(()) => {}
        Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
            queue.waiting.fetch_sub(1, Relaxed);
            STATS.dropped_full.fetch_add(1, Relaxed);
        }
    }
}

/// Opens the process's queue for `capacity` spans. `None`: it is open already.
pub(crate) fn open(capacity: usize, batch: usize) -> Option<Outbound> {
    let (spans, outbound) = sync_channel(capacity);
    let queue = Queue {
        spans,
        waiting: AtomicUsize::new(0),
        batch,
        exporter: OnceLock::new(),
    };
    QUEUE.set(queue).ok()?;
    Some(Outbound(outbound))
}

impl Outbound {
    /// The calling thread is woken from now on when a batch has come together.
    pub(crate) fn attend(&self) {
        if let Some(queue) = QUEUE.get() {
            let _ = queue.exporter.set(std::thread::current()); // only one thread has this end
        }
    }

    /// Takes at most `most` spans that wait.
    pub(crate) fn take(&self, most: usize) -> Vec<Span> {
        let spans: Vec<Span> = self.0.try_iter().take(most).collect();
        if let Some(queue) = QUEUE.get() {
            queue.waiting.fetch_sub(spans.len(), Relaxed);
        }
        spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Kind};

    // The queue is the process's: one test has it.
    #[test]
    fn a_full_queue_drops_and_counts_and_never_waits() {
        let span = || Span::ended("publish", Kind::Producer, Context::new_trace(true), 1);
        emit(span());
        assert_eq!(stats().dropped_full(), 0, "nobody asked for it");
        let outbound = open(4, 2).unwrap();
        assert!(open(4, 2).is_none());
        (0..10).for_each(|_| emit(span()));
        assert_eq!(stats().dropped_full(), 6);
        assert_eq!(outbound.take(3).len(), 3);
        assert_eq!(outbound.take(3).len(), 1);
        emit(span());
        assert_eq!(outbound.take(3).len(), 1);
        assert_eq!(QUEUE.get().unwrap().waiting.load(Relaxed), 0);
    }
}
