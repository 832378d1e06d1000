//! The own lease and the watch of all, as far as they are under way.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use async_nats::jetstream::kv::{Entry, Operation, Watch};
use futures_util::StreamExt;
use futures_util::future::OptionFuture;
use tokio::time::{Instant, sleep_until, timeout};

use super::bucket::{Bucket, LeaseError, Renewal};
use crate::broker::nats::presence::entry::{Incarnation, ProcessId};

/// How long after a failure the bucket is opened again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a renewal that the server has confirmed may take to show in the watch.
const ECHO: Duration = Duration::from_secs(3);
/// How long deleting the own lease may take when the gateway ends; it ends by itself otherwise.
const RELEASE: Duration = Duration::from_secs(1);

/// What the state machine is told.
#[derive(Debug)]
pub(super) enum LeaseEvent {
    Seen(Incarnation),
    Gone(Incarnation),
    Read(Vec<Incarnation>),
    Lost(Incarnation),
    Failed,
    Nothing,
}

type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Leases, driven by [`Self::next`].
pub(super) struct Leases {
    me: ProcessId,
    bucket: Bucket,
    watching: Watching,
    renewing: Option<(Incarnation, Task<Renewal>)>,
    /// To be renewed as soon as the bucket is watched.
    wanted: Option<Incarnation>,
    /// The revision of the own lease.
    held: Option<(Incarnation, u64)>,
    /// The newest own revision that the watch has shown.
    echoed: u64,
    /// Until when that must be `held`'s.
    echo_by: Option<Instant>,
    status: Result<(), LeaseError>,
    events: VecDeque<LeaseEvent>,
}

enum Watching {
    /// Not connected.
    Closed,
    /// To be opened then.
    Waiting(Instant),
    Opening(Task<Result<Watch, LeaseError>>),
    Open {
        watch: Box<Watch>,
        /// The leases read so far, until all that were there have been.
        reading: Option<BTreeSet<Incarnation>>,
    },
}

impl Leases {
    pub fn new(me: ProcessId, bucket: Bucket) -> Self {
        Self {
            me,
            bucket,
            watching: Watching::Closed,
            renewing: None,
            wanted: None,
            held: None,
            echoed: 0,
            echo_by: None,
            status: Err(LeaseError::Disconnected),
            events: VecDeque::new(),
        }
    }

    /// Whether the own lease holds, as far as is known.
    pub fn status(&self) -> &Result<(), LeaseError> {
        &self.status
    }

    /// The connection is there.
    pub fn open(&mut self) {
        let bucket = self.bucket.clone();
        let opening = async move { bucket.open().await };
        self.watching = Watching::Opening(Box::pin(opening));
        (self.echoed, self.echo_by) = (0, None);
    }

    /// The connection is gone, and what was under way with it.
    pub fn close(&mut self) {
        self.watching = Watching::Closed;
        (self.renewing, self.wanted, self.echo_by) = (None, None, None);
        self.events.clear();
    }

    /// Renews a lease, or creates it.
    pub fn renew(&mut self, of: Incarnation) {
        self.wanted = Some(of);
        self.begin_renewal();
    }

    /// Deletes the own lease.
    pub async fn release(&mut self, of: Incarnation) {
        self.close();
        let released = timeout(RELEASE, self.bucket.release(of)).await;
        if let Ok(Err(error)) = released {
            tracing::debug!(%error, "the lease was not deleted");
        }
    }

    /// The next thing that happens. May be dropped and called again.
    pub async fn next(&mut self) -> LeaseEvent {
        if let Some(event) = self.events.pop_front() {
            return event;
        }
        let echo_by = self.echo_by;
        tokio::select! {
            result = Self::watched(&mut self.watching) => match result {
                Watched::Open => self.open(),
                Watched::Opened(watch) => {
                    let reading = Some(BTreeSet::new());
                    self.watching = Watching::Open { watch, reading };
                    self.begin_renewal();
                }
                Watched::Failed(error) => self.fail(error),
                Watched::Entry(entry) => self.entry(&entry),
            },
            Some((of, renewal)) = OptionFuture::from(self.renewing.as_mut().map(async |(of, renewal)| (*of, renewal.await))) => {
                self.renewing = None;
                self.renewed(of, renewal);
                self.begin_renewal();
            }
            Some(()) = OptionFuture::from(echo_by.map(sleep_until)) => {
                tracing::info!("the watch of leases does not show the own one: watching anew");
                self.open();
            }
        }
        self.events.pop_front().unwrap_or(LeaseEvent::Nothing)
    }

    fn begin_renewal(&mut self) {
        let open = matches!(self.watching, Watching::Open { .. });
        if !open || self.renewing.is_some() {
            return;
        }
        let Some(of) = self.wanted.take() else {
            return;
        };
        let revision = self.held.filter(|(held, _)| *held == of);
        let revision = revision.map_or(0, |(_, revision)| revision);
        let bucket = self.bucket.clone();
        let renewal = async move { bucket.renew(of, revision).await };
        self.renewing = Some((of, Box::pin(renewal)));
    }

    fn renewed(&mut self, of: Incarnation, renewal: Renewal) {
        match renewal {
            Renewal::Held(revision) => {
                self.held = Some((of, revision));
                self.status = Ok(());
                self.echo_by = (self.echoed < revision).then(|| Instant::now() + ECHO);
            }
            Renewal::Lost => self.events.push_back(LeaseEvent::Lost(of)),
            Renewal::NoBucket => {
                self.wanted.get_or_insert(of);
                self.open();
            }
            Renewal::Failed(error) => {
                self.status = Err(error);
                self.events.push_back(LeaseEvent::Failed);
            }
        }
    }

    fn entry(&mut self, entry: &Entry) {
        let of = Incarnation::parse(&entry.key);
        let there = entry.operation == Operation::Put;
        if there && of.is_some_and(|of| of.process == self.me) {
            self.echoed = self.echoed.max(entry.revision);
            if self.held.is_some_and(|(_, held)| self.echoed >= held) {
                self.echo_by = None;
            }
        }
        let Watching::Open { reading, .. } = &mut self.watching else {
            return;
        };
        let Some(all) = reading else {
            self.events.extend(of.map(|of| match there {
                true => LeaseEvent::Seen(of),
                false => LeaseEvent::Gone(of),
            }));
            return;
        };
        if let Some(of) = of {
            match there {
                true => all.insert(of),
                false => all.remove(&of),
            };
        }
        if entry.seen_current {
            let all = std::mem::take(all).into_iter().collect();
            *reading = None;
            self.events.push_back(LeaseEvent::Read(all));
        }
    }

    fn fail(&mut self, error: LeaseError) {
        self.status = Err(error);
        self.watching = Watching::Waiting(Instant::now() + AGAIN);
    }

    async fn watched(watching: &mut Watching) -> Watched {
        match watching {
            Watching::Closed => std::future::pending().await,
            Watching::Waiting(until) => {
                sleep_until(*until).await;
                Watched::Open
            }
            Watching::Opening(opening) => match opening.await {
                Ok(watch) => Watched::Opened(Box::new(watch)),
                Err(error) => Watched::Failed(error),
            },
            Watching::Open { watch, .. } => match watch.next().await {
                Some(Ok(entry)) => Watched::Entry(entry),
                Some(Err(error)) => Watched::Failed(LeaseError::Refused(error.to_string())),
                None => Watched::Failed(LeaseError::Refused("the watch has ended".into())),
            },
        }
    }
}

enum Watched {
    Open,
    Opened(Box<Watch>),
    Failed(LeaseError),
    Entry(Entry),
}
