//! Puts messages into the streams: each is acknowledged or refused by JetStream, and so many are under way at once.
//!
//! What came back as "not now" (no leader, too many under way) is sent again inside the deadline, under the same id, so
//! that it can't be stored twice; later messages for the same partition wait meanwhile, so that order is kept. When the
//! connection is lost, what was sent is of unknown outcome, what was not is certainly not published; both are said at
//! once.
//!
//! [`answers`] reads what JetStream says, [`held`] keeps what came back as "not now", [`job`] is one message.

mod answers;
mod held;
mod job;

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::jetstream::publish::PublishAck;
use async_nats::{HeaderMap, Subscriber, header};
use futures_util::StreamExt;
use tokio::sync::broadcast::Receiver as Denials;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use self::held::HeldBack;
pub use self::job::Job;
use self::job::Sent;
use super::connection::Connection;
use super::follow::Place;
use super::health::{Fault, Health};
use super::refusal;
use crate::broker::{Event, PublishError, Receipt};

/// Payload bytes that may wait here; beyond it publishing answers `overloaded`.
pub const QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// Messages under way at once: more make the server drop them, fewer cost throughput.
const WINDOW: usize = 256;

/// Puts messages into streams.
pub struct Publisher {
    /// Whose connection to use.
    pub connection: Connection,
    /// How far each partition has been read.
    pub places: Vec<Arc<Place>>,
    /// What to publish.
    pub jobs: mpsc::UnboundedReceiver<Job>,
    /// Bytes of all jobs that are not answered yet.
    pub waiting: Arc<AtomicUsize>,
    /// Where answers go.
    pub events: mpsc::UnboundedSender<Event>,
    /// Where faults are told.
    pub health: Arc<Health>,
}

struct Run {
    publisher: Publisher,
    inbox: String,
    /// By number, which is the end of the subject of its answer; numbers ascend.
    sent: BTreeMap<u64, Sent>,
    /// Before this none of them is late; answered ones are not taken out of it, so it may come too early.
    late_at: Option<Instant>,
    next: u64,
    held: HeldBack,
    /// Acknowledged by a store that was made anew, as it seems; they wait for its epoch.
    unsettled: Vec<(Sent, PublishAck)>,
    /// When to look at them again.
    settle_at: Instant,
}

impl Publisher {
    /// Publishes until the hub is gone.
    pub async fn run(self) {
        let mut connection = self.connection.clone();
        let inbox = connection.client.new_inbox();
        let denials = connection.denied.subscribe();
        let mut run = Run {
            publisher: self,
            inbox,
            sent: BTreeMap::new(),
            late_at: None,
            next: 0,
            held: HeldBack::default(),
            unsettled: Vec::new(),
            settle_at: Instant::now(),
        };
        connection.up().await;
        // The client subscribes anew by itself after each reconnect.
        match connection
            .client
            .subscribe(format!("{}.*", run.inbox))
            .await
        {
            Ok(answers) => run.work(connection, answers, denials).await,
            Err(error) => run.publisher.health.set(Fault::Other, error.to_string()),
        }
    }
}

impl Run {
    async fn work(
        &mut self,
        mut connection: Connection,
        mut answers: Subscriber,
        mut denials: Denials<String>,
    ) {
        let mut generation = connection.up().await;
        loop {
            let room = self.sent.len() < WINDOW;
            tokio::select! {
                biased;
                () = connection.lost(generation) => {
                    self.give_up();
                    generation = loop {
                        tokio::select! {
                            generation = connection.up() => break generation,
                            job = self.publisher.jobs.recv() => match job {
                                Some(job) => self.answer(&job, Err(self.away())),
                                None => return,
                            },
                        }
                    };
                }
                Some(answer) = answers.next() => self.answered(answer).await,
                Ok(subject) = denials.recv() => self.denied(&subject),
                () = at(self.wake()) => self.tick().await,
                job = self.publisher.jobs.recv(), if room => match job {
                    Some(job) => self.take(job).await,
                    None => return,
                },
            }
            let under_way = self.sent.len() as u64;
            self.publisher.health.metrics.in_flight.set(under_way);
        }
    }

    async fn take(&mut self, job: Job) {
        if let Some(job) = self.held.keep(job) {
            self.send(job, 0, false).await;
        }
    }

    async fn send(&mut self, job: Job, tries: usize, conflict: bool) {
        // Taken before: a message can't be read before it is sent.
        let place = self.publisher.places.get(usize::from(job.partition));
        let place = place.and_then(|place| place.now());
        let sent = Sent {
            job,
            tries,
            conflict,
            place,
        };
        if sent.job.deadline() <= Instant::now() {
            let why = refusal::without_stream(&self.publisher.health, sent.job.partition);
            let (job, error) = sent.refused(why);
            return self.answer(&job, Err(error));
        }
        let number = self.next;
        self.next += 1;
        let client = &self.publisher.connection.client;
        let publish = client.publish_with_reply_and_headers(
            sent.job.subject.clone(),
            format!("{}.{number}", self.inbox),
            sent.job.headers.clone(),
            sent.job.payload.clone(),
        );
        // The client's queue may be full while a connection stalls; what never got into it was not sent.
        match tokio::time::timeout_at(sent.job.deadline(), publish).await {
            Ok(Ok(())) => {
                let deadline = sent.job.deadline();
                self.late_at = Some(self.late_at.map_or(deadline, |at| at.min(deadline)));
                self.sent.insert(number, sent);
            }
            failed => {
                if let Ok(Err(error)) = failed {
                    self.publisher.health.set(Fault::Other, error.to_string());
                }
                let (job, error) = sent.refused(PublishError::Unavailable);
                self.answer(&job, Err(error));
            }
        }
    }

    /// The server does not allow a subject: it will not answer.
    fn denied(&mut self, subject: &str) {
        let numbers: Vec<u64> = self
            .sent
            .iter()
            .filter(|(_, sent)| sent.job.subject == subject)
            .map(|(number, _)| *number)
            .collect();
        for number in numbers {
            if let Some(sent) = self.sent.remove(&number) {
                self.answer(&sent.job, Err(PublishError::Denied));
            }
        }
    }

    /// Sends again what was held back and may go.
    async fn release(&mut self) {
        let now = Instant::now();
        for (partition, held) in self.held.take_ready(now, is_under_way(&self.sent)) {
            for (_, sent) in held.again {
                self.send(sent.job, sent.tries + 1, sent.conflict).await;
            }
            let mut later = held.later;
            while self.sent.len() < WINDOW
                && let Some(job) = later.pop_front()
            {
                self.send(job, 0, false).await;
            }
            self.held.hold_later(partition, later);
        }
    }

    /// When something is due.
    fn wake(&self) -> Option<Instant> {
        let held = self.held.wake(is_under_way(&self.sent));
        let unsettled = self.unsettled.first().map(|_| self.settle_at);
        let times = [self.late_at, held, unsettled];
        times.into_iter().flatten().min()
    }

    async fn tick(&mut self) {
        let now = Instant::now();
        // What was sent again has a later number and an earlier deadline.
        let over = |sent: &mut Sent| sent.job.deadline() <= now;
        let unknown: Vec<Sent> = self
            .sent
            .extract_if(.., |_, sent| over(sent))
            .map(|(_, sent)| sent)
            .collect();
        let deadlines = self.sent.values().map(|sent| sent.job.deadline());
        self.late_at = deadlines.min();
        for sent in unknown {
            self.answer(&sent.job, Err(PublishError::OutcomeUnknown));
        }
        let health = &self.publisher.health;
        let why = |partition| refusal::without_stream(health, partition);
        let late = self.held.take_late(now, why);
        for (job, error) in late {
            self.answer(&job, Err(error));
        }
        for (sent, ack) in std::mem::take(&mut self.unsettled) {
            if sent.job.deadline() <= now {
                self.answer(&sent.job, Err(PublishError::OutcomeUnknown));
            } else {
                self.acknowledged(sent, ack);
            }
        }
        self.release().await;
    }

    /// The connection is lost.
    fn give_up(&mut self) {
        for (_, sent) in std::mem::take(&mut self.sent) {
            self.answer(&sent.job, Err(PublishError::OutcomeUnknown));
        }
        for (sent, _) in std::mem::take(&mut self.unsettled) {
            self.answer(&sent.job, Err(PublishError::OutcomeUnknown));
        }
        for (job, error) in self.held.take_all(self.away()) {
            self.answer(&job, Err(error));
        }
    }

    /// Why nothing is sent while there is no connection.
    fn away(&self) -> PublishError {
        refusal::without_connection(&self.publisher.health)
    }

    fn answer(&self, job: &Job, result: Result<Receipt, PublishError>) {
        self.publisher
            .waiting
            .fetch_sub(job.weight(), Ordering::Relaxed);
        let token = job.token;
        let _ = self
            .publisher
            .events
            .send(Event::Published { token, result }); // the hub is gone
    }
}

/// Whether something of a partition is under way.
fn is_under_way(sent: &BTreeMap<u64, Sent>) -> impl Fn(u16) -> bool {
    |partition| sent.values().any(|sent| sent.job.partition == partition)
}

/// Awaits a time, where there is one.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Headers that make a repeat of a message the same message.
pub fn identified(mut headers: HeaderMap, id: &str) -> HeaderMap {
    headers.insert(header::NATS_MESSAGE_ID, id);
    headers
}
