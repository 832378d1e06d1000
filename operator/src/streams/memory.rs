//! What is remembered of channels' streams between passes.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::assets::{Asset, Brokers, Plan};

/// How long streams that were right are taken to be. Passes come with each pod that changes; NATS is not to be asked
/// each time.
const GOOD: Duration = Duration::from_secs(300);

/// Connections to NATS, and what was found on it.
#[derive(Debug)]
pub struct Streams {
    /// Connections.
    pub(super) brokers: Brokers,
    /// How long a broker may be away before a deletion gives its streams up.
    pub(super) gone_after: Duration,
    seen: Mutex<HashMap<String, Seen>>,
    failing: Mutex<HashMap<String, Instant>>,
}

/// What was found on NATS of one channel when all was right.
#[derive(Debug, Clone)]
struct Seen {
    asked: u64,
    at: Instant,
    orphans: Vec<String>,
}

impl Streams {
    /// Nothing is known yet. A broker that is away for `gone_after` keeps no channel from being deleted.
    #[must_use]
    pub fn new(gone_after: Duration) -> Self {
        Self {
            brokers: Brokers::new(),
            gone_after,
            seen: Mutex::default(),
            failing: Mutex::default(),
        }
    }

    /// Forgets the channel with this uid.
    pub fn forget(&self, uid: &str) {
        self.seen().remove(uid);
        self.failing().remove(uid);
    }

    /// The orphans that were found, where `plan` on the servers `urls` was in order not long ago.
    pub(super) fn known(
        &self,
        uid: &str,
        urls: &[String],
        plan: &Plan,
        now: Instant,
    ) -> Option<Vec<String>> {
        let seen = self.seen();
        let seen = seen.get(uid)?;
        let fresh = now.duration_since(seen.at) < GOOD && seen.asked == what(urls, plan);
        fresh.then(|| seen.orphans.clone())
    }

    /// All is in order.
    pub(super) fn good(
        &self,
        uid: &str,
        urls: &[String],
        plan: &Plan,
        orphans: Vec<String>,
        now: Instant,
    ) {
        let seen = Seen {
            asked: what(urls, plan),
            at: now,
            orphans,
        };
        self.seen().insert(uid.to_owned(), seen);
    }

    /// It is not.
    pub(super) fn bad(&self, uid: &str) {
        self.seen().remove(uid);
    }

    /// For how long deleting has failed for the channel, `now` included.
    pub(super) fn failed(&self, uid: &str, now: Instant) -> Duration {
        let mut failing = self.failing();
        now.duration_since(*failing.entry(uid.to_owned()).or_insert(now))
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failing(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells one plan from another. The epoch that it drew is no part of it.
fn what(urls: &[String], plan: &Plan) -> u64 {
    let mut hasher = DefaultHasher::new();
    (urls, &plan.owner, format!("{:?}", plan.workers)).hash(&mut hasher);
    for Asset { config, .. } in &plan.assets {
        (
            &config.name,
            config.max_messages_per_subject,
            config.max_age,
            config.duplicate_window,
            config.num_replicas,
        )
            .hash(&mut hasher);
    }
    hasher.finish()
}
