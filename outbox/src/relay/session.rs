//! One connection's life: partitions are taken, their rows read, published, and deleted.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Error;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use uuid::Uuid;

use super::Relay;
use crate::database::{Bell, Database, Rings};
use crate::delivery::Delivered;
use crate::doubt::Doubt;
use crate::gateway::Verdict;
use crate::lanes::Lanes;
use crate::partitions::{COUNT, Partitions};
use crate::pause;

/// How often the shares of relays are looked at. It also says to the server that this relay lives.
const TICK: Duration = Duration::from_secs(1);
/// Every so many ticks all partitions are read, in case the bell was not heard, and what waits is counted.
const ROUND: u32 = 5;
/// Rows that are read of a partition at a time.
const BATCH: usize = 16;
/// A relay that was not answered by the database for so long asks before it publishes: it may have stood still, and have
/// lost its partitions meanwhile. Less than `idle_session_timeout`.
const FRESH: Duration = Duration::from_secs(5);
/// How long publishes that are under way may take when the relay ends.
const PATIENCE: Duration = Duration::from_secs(12);

/// A relay with a connection.
pub(super) struct Session<'a> {
    relay: &'a mut Relay,
    database: Database,
    bell: Bell,
    lanes: Lanes,
    under_way: JoinSet<Delivered>,
    /// What this relay has.
    own: Partitions,
    /// What of it it is about to let go.
    leaving: Partitions,
    /// What of it may have rows that were not read.
    dirty: Partitions,
    /// When each was taken.
    taken: [Instant; COUNT as usize],
    /// The last number in each when it was taken: up to there another may have sent rows.
    inherited: [i64; COUNT as usize],
    failed: Vec<(Uuid, String, String)>,
    /// When the database last answered.
    answered: Instant,
}

impl<'a> Session<'a> {
    /// Connects, and is a relay among others.
    pub(super) async fn open(relay: &'a mut Relay) -> Result<Self, Error> {
        let mut database = Database::open(&relay.database).await?;
        // Before anything is read: these would be sent again.
        if !relay.published.is_empty() {
            database.delete(&relay.published).await?;
            relay.published.clear();
        }
        let bell = Bell::hang(&relay.database);
        database.join().await?;
        relay.metrics.connected(true);
        tracing::info!("connected to the database");
        let now = Instant::now();
        Ok(Self {
            relay,
            database,
            bell,
            lanes: Lanes::default(),
            under_way: JoinSet::new(),
            own: Partitions::NONE,
            leaving: Partitions::NONE,
            dirty: Partitions::NONE,
            taken: [now; COUNT as usize],
            inherited: [0; COUNT as usize],
            failed: Vec::new(),
            answered: now,
        })
    }

    /// Publishes rows until it is told to stop.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(super) async fn run(mut self, stop: watch::Receiver<bool>) -> Result<(), Error> {
        let outcome = self.work(stop).await;
        if outcome.is_err() {
            // What is under way may come to its end: what is known of a row now need not be found out later.
            self.await_under_way().await;
            return outcome;
        }
        self.end().await
    }

    async fn work(&mut self, mut stop: watch::Receiver<bool>) -> Result<(), Error> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut until_round = 0;
        let mut share = true;
        loop {
            if self.answered.elapsed() > FRESH {
                share = true;
            }
            if share {
                self.share().await?;
                share = false;
            }
            self.send();
            self.clear_away().await?;
            self.read().await?;
            self.send();
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                Some(delivered) = self.under_way.join_next() => self.note_all(delivered),
                rings = self.bell.rung() => {
                    let Rings { rows, relays } = rings;
                    self.dirty = self.dirty.and(rows.within(self.own));
                    share |= relays;
                }
                () = next_time(self.lanes.next_time()) => {}
                _ = ticks.tick() => {
                    share = true;
                    if until_round == 0 {
                        until_round = ROUND;
                        self.dirty = self.own;
                        let lag = self.database.lag().await?;
                        self.relay.metrics.lag(lag);
                    }
                    until_round -= 1;
                }
            }
        }
    }

    /// Takes and lets go partitions, so that all relays have as many.
    async fn share(&mut self) -> Result<(), Error> {
        let standing = self.database.standing().await?;
        self.answered = Instant::now();
        // Those that are on their way out are as good as gone.
        let change = standing.change(&mut rand::rng());
        let release = change.release.without(self.leaving);
        let more = change.release.len().saturating_sub(self.leaving.len());
        let release: Partitions = release.iter().take(more).collect();
        self.leaving = self.leaving.and(release);
        self.lanes.forget(self.leaving);
        let taken = match change.take.is_empty() {
            true => Partitions::NONE,
            false => self.database.take(change.take).await?,
        };
        if !taken.is_empty() {
            let now = Instant::now();
            let last = self.database.last(taken).await?;
            for partition in taken.iter() {
                let last = last.iter().find(|(number, _)| *number == partition);
                self.inherited[usize::from(partition)] = last.map_or(0, |(_, seq)| *seq);
                self.taken[usize::from(partition)] = now;
            }
            self.dirty = self.dirty.and(taken);
        }
        self.own = standing.own.and(taken);
        if taken != release {
            tracing::info!(
                relays = standing.relays,
                partitions = self.own.without(self.leaving).len(),
                "shares"
            );
        }
        self.relay.metrics.standing(self.own.len(), standing.relays);
        Ok(())
    }

    /// Sends rows that may be sent.
    fn send(&mut self) {
        if self.answered.elapsed() > FRESH {
            return;
        }
        while self.under_way.len() < self.relay.concurrency {
            let Some(held) = self.lanes.next(Instant::now()) else {
                return;
            };
            let courier = Arc::clone(&self.relay.courier);
            let metrics = Arc::clone(&self.relay.metrics);
            self.under_way
                .spawn(async move { courier.deliver(held, &metrics).await });
        }
    }

    /// Notes what became of a row, and of others that are done.
    fn note_all(&mut self, first: Result<Delivered, JoinError>) {
        self.note(first);
        while let Some(next) = self.under_way.try_join_next() {
            self.note(next);
        }
    }

    fn note(&mut self, delivered: Result<Delivered, JoinError>) {
        let Delivered {
            held,
            outcome,
            doubt,
        } = match delivered {
            Ok(delivered) => delivered,
            // Nobody would end its row's way: the process begins anew instead.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let metrics = &self.relay.metrics;
        let row = &held.row;
        let Some(outcome) = outcome else {
            metrics.recognised();
            self.relay.published.push(row.id);
            return self.lanes.done(&row.aggregate);
        };
        match outcome.verdict {
            Verdict::Published {
                duplicate,
                deduplicated,
            } => {
                metrics.published(row.age(Instant::now()));
                if duplicate {
                    metrics.duplicate();
                }
                if !deduplicated && metrics.undeduplicated() {
                    tracing::warn!(
                        room = row.room,
                        "keeps no history: a message that is sent again is there twice"
                    );
                }
                self.relay.published.push(row.id);
                self.lanes.done(&row.aggregate);
            }
            Verdict::Failed => {
                metrics.failed(&outcome.code);
                tracing::error!(
                    id = %row.id,
                    aggregate = row.aggregate,
                    room = row.room,
                    code = outcome.code,
                    reason = outcome.reason,
                    "put aside: it can't be published"
                );
                self.failed.push((row.id, outcome.code, outcome.reason));
                self.lanes.done(&row.aggregate);
            }
            Verdict::Later(_) | Verdict::Unknown => {
                metrics.retried(&outcome.code);
                if held.failures == 0 {
                    let (code, reason) = (&outcome.code, &outcome.reason);
                    tracing::warn!(id = %row.id, room = row.room, code, reason, "is sent again");
                }
                if self.leaving.has(row.partition) {
                    return self.lanes.done(&row.aggregate);
                }
                let asked = match outcome.verdict {
                    Verdict::Later(Some(asked)) => asked,
                    _ => Duration::ZERO,
                };
                let pause = pause::after(held.failures.saturating_add(1)).max(asked);
                self.lanes
                    .again(&row.aggregate, Instant::now() + pause, doubt);
            }
        }
    }

    /// Deletes what was published, puts aside what failed, and lets go partitions that nothing is under way for.
    async fn clear_away(&mut self) -> Result<(), Error> {
        if !self.relay.published.is_empty() {
            self.database.delete(&self.relay.published).await?;
            self.relay.published.clear();
            self.answered = Instant::now();
        }
        while let Some((id, code, reason)) = self.failed.last() {
            self.database.fail(*id, code, reason).await?;
            self.failed.pop();
        }
        let idle = self.leaving.iter().filter(|one| self.lanes.held(*one) == 0);
        let idle: Partitions = idle.collect();
        if !idle.is_empty() {
            self.database.release(idle).await?;
            self.own = self.own.without(idle);
            self.leaving = self.leaving.without(idle);
        }
        Ok(())
    }

    /// Reads rows of partitions that may have new ones. What was published must have been deleted.
    async fn read(&mut self) -> Result<(), Error> {
        let wanted = self.dirty.within(self.own).without(self.leaving);
        let wanted = wanted
            .iter()
            .filter(|one| self.lanes.held(*one) < BATCH / 2);
        let wanted: Partitions = wanted.collect();
        if wanted.is_empty() {
            return Ok(());
        }
        self.dirty = self.dirty.without(wanted);
        let held = self.lanes.ids(wanted);
        let rows = self.database.read(wanted, held, BATCH as i64).await?;
        self.answered = Instant::now();
        let mut count = [0; COUNT as usize];
        for row in rows {
            let partition = usize::from(row.partition);
            count[partition] += 1;
            if count[partition] == BATCH {
                self.dirty.insert(row.partition);
            }
            let inherited = row.seq <= self.inherited[partition];
            let doubt =
                inherited.then(|| Doubt::of_another(row.age, self.taken[partition], row.read));
            self.lanes.push(row, doubt);
        }
        Ok(())
    }

    async fn await_under_way(&mut self) {
        let all = async {
            while let Some(delivered) = self.under_way.join_next().await {
                self.note(delivered);
            }
        };
        if timeout(PATIENCE, all).await.is_err() {
            tracing::warn!(count = self.under_way.len(), "publishes are left under way");
        }
    }

    /// Ends in order: what is under way comes to its end, and the others get the partitions.
    async fn end(mut self) -> Result<(), Error> {
        self.lanes.forget(Partitions::ALL);
        self.await_under_way().await;
        self.clear_away().await?;
        self.database.leave().await?;
        self.database.close().await;
        Ok(())
    }
}

async fn next_time(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
