//! Counters of the hot path: one set per shard, written by that shard alone and added up when somebody asks.

use std::ops::Index;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use linnet_telemetry::Context;

use crate::message::unix_milliseconds;
use crate::protocol::ErrorCode;
use crate::transport::Transport;

/// A number that one thread writes and any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the owning thread may call this, so no read-modify-write is needed.
    pub fn add(&self, amount: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    /// Adds from any thread.
    pub fn add_shared(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    /// Takes away, for gauges; only the owning thread may call this.
    pub fn subtract(&self, amount: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_sub(amount), Relaxed);
    }

    /// Sets, for gauges.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What one shard counts.
#[derive(Debug, Default)]
#[repr(align(128))] // neighbours' counters on other cache lines
pub struct ShardMetrics {
    /// Connections that are open.
    pub connections: Counter,
    /// How many of them each transport has, in the order of [`Transport::ALL`].
    pub transports: [Counter; Transport::ALL.len()],
    /// Connections since the start.
    pub connections_opened: Counter,
    /// Messages that clients published or sent.
    pub messages_in: Counter,
    /// Messages that were written to clients.
    pub messages_out: Counter,
    /// Bytes read from sockets.
    pub bytes_in: Counter,
    /// Bytes written to sockets.
    pub bytes_out: Counter,
    /// Bytes that wait in backlogs, shared buffers counted per connection.
    pub backlog_bytes: Counter,
    /// Connections that have a backlog.
    pub backlogged: Counter,
    /// Connections closed because they did not read fast enough.
    pub slow_consumers: Counter,
    /// Requests refused, by error code, in the order of [`crate::protocol::ErrorCode::ALL`].
    pub refusals: ByCode,
    /// Closes by the server, by reason, in the same order.
    pub closes: ByCode,
    /// Seconds from publish to socket.
    pub delivery: Histogram,
    /// Seconds from a ping to its pong.
    pub ping: Histogram,
}

/// A counter for each error code, by its number.
#[derive(Debug)]
pub struct ByCode([Counter; ErrorCode::ALL.len()]);

impl Default for ByCode {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl Index<usize> for ByCode {
    type Output = Counter;

    fn index(&self, code: usize) -> &Counter {
        &self.0[code]
    }
}

/// Upper bounds of the delivery histogram's buckets, in seconds.
pub const DELIVERY_BUCKETS: [f64; 15] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0,
];

/// A histogram with fixed buckets that takes many equal observations at once.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Observations per bucket of [`DELIVERY_BUCKETS`], not cumulative; the last is beyond all bounds.
    pub buckets: [Counter; DELIVERY_BUCKETS.len() + 1],
    /// Sum of all observations, in nanoseconds.
    pub sum_nanos: Counter,
    /// The last traced observation of each bucket. Touched only for what is traced.
    exemplars: Mutex<[Option<Exemplar>; DELIVERY_BUCKETS.len() + 1]>,
}

/// One observation that has a trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exemplar {
    /// The trace.
    pub trace: Context,
    /// What was observed, in seconds.
    pub seconds: f64,
    /// When: milliseconds since the Unix epoch.
    pub at: u64,
}

impl Histogram {
    /// Adds `count` observations of `value`; only the owning thread may call this.
    pub fn observe(&self, value: Duration, count: u64) {
        let bucket = bucket(value);
        self.buckets[bucket].add(count);
        self.sum_nanos
            .add(count.wrapping_mul(value.as_nanos() as u64));
    }

    /// Remembers a trace with its observation. A reader that is at it just now costs the exemplar, not the time.
    pub fn exemplify(&self, value: Duration, trace: Context) {
        if let Ok(mut exemplars) = self.exemplars.try_lock() {
            exemplars[bucket(value)] = Some(Exemplar {
                trace,
                seconds: value.as_secs_f64(),
                at: unix_milliseconds(),
            });
        }
    }

    /// The last traced observation of each bucket.
    pub fn exemplars(&self) -> [Option<Exemplar>; DELIVERY_BUCKETS.len() + 1] {
        *self
            .exemplars
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn bucket(value: Duration) -> usize {
    let seconds = value.as_secs_f64();
    let found = DELIVERY_BUCKETS.iter().position(|bound| seconds <= *bound);
    found.unwrap_or(DELIVERY_BUCKETS.len())
}

/// What the hub counts.
#[derive(Debug, Default)]
pub struct HubMetrics {
    /// Rooms in memory.
    pub rooms: Counter,
    /// Subscriptions that are live.
    pub subscriptions: Counter,
    /// Messages accepted.
    pub published: Counter,
    /// Publishes answered as duplicates.
    pub duplicates: Counter,
    /// Bytes of all rings.
    pub ring_bytes: Counter,
    /// Rings dropped for lack of memory.
    pub rings_evicted: Counter,
    /// Resumes that were complete.
    pub resumes_recovered: Counter,
    /// Resumes that were not.
    pub resumes_lost: Counter,
    /// Resumes that memory could answer.
    pub ring_hits: Counter,
    /// Resumes for which the broker was asked.
    pub ring_misses: Counter,
    /// Gaps announced.
    pub gaps: Counter,
}
