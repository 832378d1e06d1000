//! Counters and gauges.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::database::Lag;

/// Upper bounds of the histogram of delays, in seconds.
pub(super) const BUCKETS: [f64; 14] = [
    0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, 3600.0,
];

/// What is counted, since the start of the process. Nothing here is on a path that would notice the lock.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<Counts>);

#[derive(Debug, Default, Clone)]
pub(super) struct Counts {
    pub published: u64,
    pub duplicates: u64,
    pub recognised: u64,
    pub undeduplicated: u64,
    pub unproven: u64,
    pub failed: BTreeMap<String, u64>,
    pub retries: BTreeMap<String, u64>,
    /// How many took at most as long as each bound and longer than the one before; the last: longer than all.
    pub delays: [u64; BUCKETS.len() + 1],
    pub delays_sum: f64,
    pub connected: bool,
    pub partitions: u64,
    pub relays: u64,
    /// `None` while it can't be asked for.
    pub lag: Option<Lag>,
}

impl Metrics {
    /// A row is in its room, so long after it was written.
    pub fn published(&self, delay: Duration) {
        let mut counts = self.lock();
        counts.published += 1;
        let seconds = delay.as_secs_f64();
        counts.delays[BUCKETS.partition_point(|bound| *bound < seconds)] += 1;
        counts.delays_sum += seconds;
    }

    /// The room had a row already, by its id.
    pub fn duplicate(&self) {
        self.lock().duplicates += 1;
    }

    /// A row was found in its room's history.
    pub fn recognised(&self) {
        self.lock().recognised += 1;
    }

    /// A row went to a room that does not deduplicate. Gives whether it is the first one.
    pub fn undeduplicated(&self) -> bool {
        let mut counts = self.lock();
        counts.undeduplicated += 1;
        counts.undeduplicated == 1
    }

    /// A row may be published twice, as its room's history could not be had.
    pub fn unproven(&self) {
        self.lock().unproven += 1;
    }

    /// A row was put aside.
    pub fn failed(&self, code: &str) {
        *self.lock().failed.entry(code.to_owned()).or_default() += 1;
    }

    /// A row could not be published for now.
    pub fn retried(&self, code: &str) {
        *self.lock().retries.entry(code.to_owned()).or_default() += 1;
    }

    /// The relay has a connection to the database, or none.
    pub fn connected(&self, connected: bool) {
        let mut counts = self.lock();
        counts.connected = connected;
        if !connected {
            (counts.partitions, counts.relays, counts.lag) = (0, 0, None);
        }
    }

    /// The relay has so many partitions, and there are so many relays.
    pub fn standing(&self, partitions: usize, relays: usize) {
        let mut counts = self.lock();
        (counts.partitions, counts.relays) = (partitions as u64, relays as u64);
    }

    /// How far the outbox is behind.
    pub fn lag(&self, lag: Lag) {
        self.lock().lag = Some(lag);
    }

    /// Whether it has a connection to the database.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.lock().connected
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
