//! What is wrong between this gateway and NATS, for people and for probes: each fault has a name, a log line when it
//! begins and when it ends, a counter, and a line in `/readyz`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::metrics::Counter;

/// How long a fault that only shows when something is tried is told after it was last seen.
const FRESH: Duration = Duration::from_secs(60);

/// Stands for the connection that messages come over, where a partition's number may stand.
pub const MAIN: u16 = u16::MAX;
/// Stands for the connection that streams are read over.
pub const READS: u16 = u16::MAX - 1;
/// Stands for the work-queue stream.
pub const WORK: u16 = u16::MAX - 2;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Fault {
    /// There is no connection.
    Disconnected,
    /// The server refuses the credentials.
    Unauthorized,
    /// The server refuses a subject.
    PermissionDenied,
    /// The server can't do what is needed.
    Unsuitable,
    /// The account or the server has no JetStream.
    NoJetStream,
    /// The channel's stream is not there.
    NoStream,
    /// The stream is not this channel's, or can't be used as it is.
    WrongStream,
    /// The stream has no leader, or the cluster no quorum.
    NoLeader,
    /// The storage of the server or of the stream is full.
    StorageFull,
    /// A limit of the account is reached.
    AccountLimit,
    /// The server sent faster than the gateway took.
    SlowConsumer,
    /// A message could not be read and was left out.
    Malformed,
    /// Other gateways can't see that this one is there: who is gone can't be told from who is silent.
    NoLease,
    /// Anything else that JetStream says.
    Other,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Disconnected,
        Self::Unauthorized,
        Self::PermissionDenied,
        Self::Unsuitable,
        Self::NoJetStream,
        Self::NoStream,
        Self::WrongStream,
        Self::NoLeader,
        Self::StorageFull,
        Self::AccountLimit,
        Self::SlowConsumer,
        Self::Malformed,
        Self::NoLease,
        Self::Other,
    ];

    /// Its name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Unauthorized => "unauthorized",
            Self::PermissionDenied => "permission_denied",
            Self::Unsuitable => "unsuitable_server",
            Self::NoJetStream => "no_jetstream",
            Self::NoStream => "no_stream",
            Self::WrongStream => "wrong_stream",
            Self::NoLeader => "no_leader",
            Self::StorageFull => "storage_full",
            Self::AccountLimit => "account_limit",
            Self::SlowConsumer => "slow_consumer",
            Self::Malformed => "malformed_message",
            Self::NoLease => "no_lease",
            Self::Other => "other",
        }
    }

    /// What it means, and what to do.
    fn advice(self) -> &'static str {
        match self {
            Self::Disconnected => "no connection to NATS",
            Self::Unauthorized => {
                "NATS refuses the credentials: check spec.broker.nats.credentialsSecretName"
            }
            Self::PermissionDenied => "NATS refuses a subject: widen the user's permissions",
            Self::Unsuitable => "the NATS server can't be used",
            Self::NoJetStream => "JetStream is not enabled for this account",
            Self::NoStream => {
                "the channel's stream is missing: the operator, or --create-stream, makes it"
            }
            Self::WrongStream => "the channel's stream can't be used",
            Self::NoLeader => "the stream has no leader: the NATS cluster lacks a quorum",
            Self::StorageFull => "the storage of NATS is full",
            Self::AccountLimit => "a limit of the NATS account is reached",
            Self::SlowConsumer => "NATS sent faster than the gateway took",
            Self::Malformed => "a message from NATS could not be read and was left out",
            Self::NoLease => "presence has no lease: gateways that are gone can't be noticed",
            Self::Other => "JetStream answers with an error",
        }
    }

    /// Whether it only shows when something is tried, so that nobody says when it ends.
    fn is_momentary(self) -> bool {
        matches!(
            self,
            Self::PermissionDenied | Self::SlowConsumer | Self::Malformed | Self::Other
        )
    }
}

/// What a broker counts beside its faults.
#[derive(Debug, Default)]
pub struct BrokerMetrics {
    /// How often each fault was seen, in the order of [`Fault::ALL`].
    pub faults: [Counter; Fault::ALL.len()],
    /// Connections that were made.
    pub connects: Counter,
    /// Gateways of the channel that this one knows of, itself included.
    pub gateways: Counter,
    /// Consumers that were made anew.
    pub resets: Counter,
    /// Publishes on their way to a stream.
    pub in_flight: Counter,
    /// Reads of a stream that told all that was missed.
    pub reads_complete: Counter,
    /// Reads of a stream that could not.
    pub reads_incomplete: Counter,
    /// Messages that this gateway put into the dead letters in a worker's stead.
    pub dead_letters: Counter,
    /// Messages that wait for a worker, or are with one.
    pub work_queue: Counter,
}

/// The faults of now.
#[derive(Debug, Default)]
pub struct Health {
    faults: Mutex<BTreeMap<(Fault, u16), Seen>>,
    /// What is counted.
    pub metrics: BrokerMetrics,
    /// Messages of each partition that this gateway has not read yet.
    lags: Box<[Counter]>,
    warm: AtomicBool,
    became_warm: Notify,
}

#[derive(Debug)]
struct Seen {
    detail: String,
    last: Instant,
}

impl Health {
    /// Of a channel with so many partitions; nothing is wrong yet.
    pub fn new(partitions: u16) -> Self {
        Self {
            lags: (0..partitions).map(|_| Counter::default()).collect(),
            ..Self::default()
        }
    }

    /// A partition has so many messages that were not read here yet.
    pub fn lag(&self, partition: u16, messages: u64) {
        if let Some(lag) = self.lags.get(usize::from(partition)) {
            lag.set(messages);
        }
    }

    /// Messages of all partitions that were not read here yet.
    pub fn total_lag(&self) -> u64 {
        self.lags.iter().map(Counter::get).sum()
    }

    /// A fault of the connection that messages come over.
    pub fn set(&self, fault: Fault, detail: impl Into<String>) {
        self.set_of(fault, MAIN, detail);
    }

    /// What is not there yet, as nothing is when a gateway starts: told, but no fault so far.
    pub fn awaits(&self, fault: Fault, of: u16, detail: &str) {
        let seen = Seen {
            detail: detail.to_owned(),
            last: Instant::now(),
        };
        self.faults().insert((fault, of), seen);
    }

    /// A fault of one partition or connection. Logged when it begins, and when what is said of it changes.
    pub fn set_of(&self, fault: Fault, partition: u16, detail: impl Into<String>) {
        let (detail, now) = (detail.into(), Instant::now());
        self.metrics.faults[fault as usize].add_shared(1);
        let seen = Seen { detail, last: now };
        let before = self.faults().get(&(fault, partition)).map(|before| {
            let again = now.duration_since(before.last) < FRESH || !fault.is_momentary();
            again && (fault.is_momentary() || before.detail == seen.detail)
        });
        if !before.unwrap_or(false) {
            let (name, advice) = (fault.as_str(), fault.advice());
            tracing::error!(fault = name, detail = seen.detail, "{advice}");
        }
        self.faults().insert((fault, partition), seen);
    }

    /// A fault of that connection is over.
    pub fn clear(&self, fault: Fault) {
        self.clear_of(fault, MAIN);
    }

    /// A fault of one partition or connection is over.
    pub fn clear_of(&self, fault: Fault, partition: u16) {
        if self.faults().remove(&(fault, partition)).is_some() {
            tracing::info!(fault = fault.as_str(), "over: {}", fault.advice());
        }
    }

    /// Whether a fault of the connection is there.
    pub fn has(&self, fault: Fault) -> bool {
        self.has_of(fault, MAIN)
    }

    /// Whether a fault of a partition is there.
    pub fn has_of(&self, fault: Fault, partition: u16) -> bool {
        self.faults().contains_key(&(fault, partition))
    }

    /// What is wrong, one line each; empty where nothing is.
    pub fn complaints(&self) -> Vec<String> {
        let now = Instant::now();
        let mut faults = self.faults();
        faults.retain(|(fault, _), seen| {
            !fault.is_momentary() || now.duration_since(seen.last) < FRESH
        });
        faults
            .iter()
            .map(|((fault, _), seen)| match seen.detail.as_str() {
                "" => fault.advice().to_owned(),
                detail => format!("{}: {detail}", fault.advice()),
            })
            .collect()
    }

    /// Everything was there once: from now on clients may come, whatever happens to the broker.
    pub fn warmed(&self) {
        self.warm.store(true, Ordering::Release);
        self.became_warm.notify_waiters();
    }

    /// Awaits [`Self::warmed`].
    pub async fn until_warm(&self) {
        loop {
            let told = self.became_warm.notified();
            if self.warm.load(Ordering::Acquire) {
                return;
            }
            told.await;
        }
    }

    fn faults(&self) -> MutexGuard<'_, BTreeMap<(Fault, u16), Seen>> {
        // The map is whole between two calls, also if a thread has panicked.
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_stand_in_the_order_of_their_counters() {
        for (index, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, index);
        }
    }

    #[test]
    fn a_fault_is_told_until_it_is_over() {
        let health = Health::default();
        health.set(Fault::Disconnected, "refused");
        health.set_of(Fault::NoStream, 3, "linnet_default_chat_3");
        assert_eq!(
            health.complaints(),
            [
                "no connection to NATS: refused",
                "the channel's stream is missing: the operator, or --create-stream, makes it: linnet_default_chat_3"
            ]
        );
        health.clear(Fault::NoStream);
        assert_eq!(health.complaints().len(), 2, "another partition's stays");
        health.clear_of(Fault::NoStream, 3);
        health.clear(Fault::Disconnected);
        assert!(health.complaints().is_empty());
        assert_eq!(health.metrics.faults[Fault::NoStream as usize].get(), 1);
    }

    #[tokio::test]
    async fn who_waits_for_warmth_is_woken() {
        let health = Health::default();
        tokio::join!(health.until_warm(), async { health.warmed() });
        health.until_warm().await;
    }
}
