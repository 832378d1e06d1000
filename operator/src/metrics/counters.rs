//! Counters of the passes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::queue::Queue;

/// Upper bounds of the histogram of durations, in seconds: a quiet pass takes some milliseconds, one that waits for
/// gateways or NATS some seconds, and none more than a minute.
pub(super) const BUCKETS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
];

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Outcome {
    /// All that was to be done is done.
    Done,
    /// The channel was not there any more.
    Gone,
    /// The API server refused something, or was away.
    Failed,
    /// It took too long.
    TimedOut,
}

impl Outcome {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Done, Self::Gone, Self::Failed, Self::TimedOut];

    /// Its name in metrics and spans.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Gone => "gone",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
        }
    }
}

/// What is counted, since the start of the process.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Channels that wait for a pass.
    pub queue: Queue,
    passes: [AtomicU64; Outcome::ALL.len()],
    durations: Mutex<Durations>,
    nats: Mutex<BTreeMap<String, u64>>,
}

/// A histogram.
#[derive(Debug, Clone, Default)]
pub(super) struct Durations {
    /// How many were at most as long as each bound and longer than the one before; the last: longer than all.
    pub buckets: [u64; BUCKETS.len() + 1],
    /// Their sum, in seconds.
    pub sum: f64,
}

impl Metrics {
    /// Nothing is counted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A pass has ended.
    pub fn passed(&self, outcome: Outcome, took: Duration) {
        self.passes[outcome as usize].fetch_add(1, Ordering::Relaxed);
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS.partition_point(|bound| *bound < seconds);
        let mut durations = self.durations();
        durations.buckets[bucket] += 1;
        durations.sum += seconds;
    }

    /// NATS could not do what a channel asks for; the reason is that of its condition.
    pub fn nats_failed(&self, reason: &str) {
        let mut nats = self.nats.lock().unwrap_or_else(PoisonError::into_inner);
        *nats.entry(reason.to_owned()).or_default() += 1;
    }

    pub(super) fn passes(&self, outcome: Outcome) -> u64 {
        self.passes[outcome as usize].load(Ordering::Relaxed)
    }

    pub(super) fn durations(&self) -> MutexGuard<'_, Durations> {
        self.durations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn nats(&self) -> BTreeMap<String, u64> {
        self.nats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
