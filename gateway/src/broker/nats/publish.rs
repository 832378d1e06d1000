//! Puts messages into the streams: each is acknowledged or refused by JetStream, and so many are under way at once.
//!
//! What came back as "not now" (no leader, too many under way) is sent again inside the deadline, under the same id, so
//! that it can't be stored twice; later messages for the same partition wait meanwhile, so that order is kept. When the
//! connection is lost, what was sent is of unknown outcome, what was not is certainly not published; both are said at
//! once.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::{HeaderMap, StatusCode, Subscriber, header};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::broadcast::Receiver as Denials;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::api;
use super::connection::Connection;
use super::follow::Place;
use super::health::{Fault, Health};
use crate::broker::{Event, PublishError, Receipt, Token};
use crate::names::{Epoch, Offset};

/// Messages under way at once: more make the server drop them, fewer cost throughput.
const WINDOW: usize = 256;
/// How long a publish may take in all.
const DEADLINE: Duration = Duration::from_secs(5);
/// Pauses before what came back is sent again.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(125),
    Duration::from_millis(250),
];
/// Payload bytes that may wait here; beyond it publishing answers `overloaded`.
pub const QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// A message for a stream.
#[derive(Debug)]
pub struct Job {
    /// Names the answer.
    pub token: Token,
    /// Whose stream; [`super::health::WORK`] for the work queue's.
    pub partition: u16,
    /// Where it goes.
    pub subject: String,
    /// With `Nats-Msg-Id`.
    pub headers: HeaderMap,
    /// The content.
    pub payload: Bytes,
    /// When it was handed over.
    pub at: Instant,
}

impl Job {
    /// Bytes that wait with it.
    pub fn weight(&self) -> usize {
        self.payload.len() + 512
    }

    fn deadline(&self) -> Instant {
        self.at + DEADLINE
    }

    /// What is said of it where it is never sent.
    fn refused(self) -> (Self, PublishError) {
        (self, PublishError::Unavailable)
    }
}

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

/// A job on its way.
struct Sent {
    job: Job,
    tries: usize,
    /// Whether the same message may be stored already: another one with its id was under way.
    conflict: bool,
    /// The store when it was sent.
    place: Option<(Epoch, Offset)>,
}

impl Sent {
    /// What is said of it where it is not sent again.
    fn refused(self) -> (Job, PublishError) {
        let error = match self.conflict {
            true => PublishError::OutcomeUnknown,
            false => PublishError::Unavailable,
        };
        (self.job, error)
    }
}

/// A partition that does not take messages just now.
#[derive(Default)]
struct Held {
    /// In the order in which they were sent first.
    again: BTreeMap<u64, Sent>,
    /// When they may be sent.
    until: Option<Instant>,
    /// Jobs that came later.
    later: VecDeque<Job>,
}

struct Run {
    publisher: Publisher,
    inbox: String,
    /// By number, which is the end of the subject of its answer; numbers ascend.
    sent: BTreeMap<u64, Sent>,
    next: u64,
    held: HashMap<u16, Held>,
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
            next: 0,
            held: HashMap::new(),
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
                                Some(job) => self.answer(&job, Err(PublishError::Unavailable)),
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
        match self.held.get_mut(&job.partition) {
            Some(held) => held.later.push_back(job),
            None => self.send(job, 0, false).await,
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
            let (job, error) = sent.refused();
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
                self.sent.insert(number, sent);
            }
            failed => {
                if let Ok(Err(error)) = failed {
                    self.publisher.health.set(Fault::Other, error.to_string());
                }
                let (job, error) = sent.refused();
                self.answer(&job, Err(error));
            }
        }
    }

    async fn answered(&mut self, answer: async_nats::Message) {
        let number = answer
            .subject
            .rsplit('.')
            .next()
            .and_then(|end| end.parse().ok());
        let Some((number, sent)) =
            number.and_then(|number: u64| Some((number, self.sent.remove(&number)?)))
        else {
            return; // its deadline has passed
        };
        if answer.status == Some(StatusCode::NO_RESPONDERS) {
            self.publisher.health.set_of(
                Fault::NoLeader,
                sent.job.partition,
                "no stream takes the message",
            );
            return self.hold(number, sent);
        }
        match serde_json::from_slice::<Response<PublishAck>>(&answer.payload) {
            Ok(Response::Ok(ack)) => self.acknowledged(sent, ack),
            Ok(Response::Err { error }) => {
                let code = error.error_code();
                let again = [
                    ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT,
                    ErrorCode::STREAM_TOO_MANY_REQUESTS,
                    ErrorCode::CLUSTER_NOT_LEADER,
                    ErrorCode::CLUSTER_NOT_AVAILABLE,
                ];
                if again.contains(&code) || error.code() == 429 {
                    let conflict =
                        sent.conflict || code == ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT;
                    return self.hold(number, Sent { conflict, ..sent });
                }
                let fault = api::fault(&error);
                self.publisher
                    .health
                    .set_of(fault, sent.job.partition, error.to_string());
                let refused = match fault {
                    Fault::StorageFull | Fault::AccountLimit => PublishError::StorageFull,
                    _ => PublishError::Unavailable,
                };
                self.answer(&sent.job, Err(refused));
            }
            Err(error) => {
                self.publisher
                    .health
                    .set(Fault::Malformed, format!("an acknowledgement: {error}"));
                self.answer(&sent.job, Err(PublishError::OutcomeUnknown));
            }
        }
        self.release().await;
    }

    fn acknowledged(&mut self, sent: Sent, ack: PublishAck) {
        let partition = sent.job.partition;
        for fault in [Fault::StorageFull, Fault::AccountLimit, Fault::NoLeader] {
            self.publisher.health.clear_of(fault, partition);
        }
        let Some(place) = self.publisher.places.get(usize::from(partition)) else {
            // Nobody can ask for a position of the work queue.
            let receipt = Receipt {
                position: None,
                timestamp: None,
                duplicate: ack.duplicate,
                deduplicated: true,
            };
            return self.answer(&sent.job, Ok(receipt));
        };
        let then = sent.place.clone();
        let before = then.as_ref().map_or(Offset(0), |(_, last)| *last);
        let made_anew = !ack.duplicate && ack.sequence <= before.0;
        let Some((epoch, _)) = place.now() else {
            return self.settle_later(sent, ack);
        };
        let same_epoch = then.is_some_and(|(then, _)| then == epoch);
        match (same_epoch, made_anew) {
            (true, false) | (false, true) => {
                let receipt = Receipt {
                    position: Some((epoch, Offset(ack.sequence))),
                    timestamp: None,
                    duplicate: ack.duplicate,
                    deduplicated: true,
                };
                self.answer(&sent.job, Ok(receipt));
            }
            // It lies in a store whose epoch is not known here yet.
            (true, true) => {
                place.suspect();
                self.settle_later(sent, ack);
            }
            // In which of two stores it lies can't be told.
            (false, false) => self.answer(&sent.job, Err(PublishError::OutcomeUnknown)),
        }
    }

    fn settle_later(&mut self, sent: Sent, ack: PublishAck) {
        if self.unsettled.is_empty() {
            self.settle_at = Instant::now() + PAUSES[0];
        }
        self.unsettled.push((sent, ack));
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
                self.answer(&sent.job, Err(PublishError::Unavailable));
            }
        }
    }

    /// Keeps back what the server does not take just now, and all that follows it.
    fn hold(&mut self, number: u64, sent: Sent) {
        let held = self.held.entry(sent.job.partition).or_default();
        let pause = PAUSES[sent.tries.min(PAUSES.len() - 1)];
        held.until = held.until.max(Some(Instant::now() + pause));
        held.again.insert(number, sent);
    }

    /// Sends again what was held back and may go.
    async fn release(&mut self) {
        let now = Instant::now();
        let ready: Vec<u16> = self
            .held
            .iter()
            .filter(|(partition, held)| held.until <= Some(now) && !self.is_under_way(**partition))
            .map(|(partition, _)| *partition)
            .collect();
        for partition in ready {
            let Some(held) = self.held.remove(&partition) else {
                continue;
            };
            for (_, sent) in held.again {
                self.send(sent.job, sent.tries + 1, sent.conflict).await;
            }
            let mut later = held.later;
            while self.sent.len() < WINDOW
                && let Some(job) = later.pop_front()
            {
                self.send(job, 0, false).await;
            }
            if !later.is_empty() {
                let held = self.held.entry(partition).or_default();
                (held.until, held.later) = (Some(now), later);
            }
        }
    }

    fn is_under_way(&self, partition: u16) -> bool {
        self.sent
            .values()
            .any(|sent| sent.job.partition == partition)
    }

    /// When something is due.
    fn wake(&self) -> Option<Instant> {
        let sent = self.sent.values().map(|sent| sent.job.deadline());
        // What waits for answers is looked at when they come, or at their deadline.
        let held = self
            .held
            .iter()
            .filter_map(|(partition, held)| held.until.filter(|_| !self.is_under_way(*partition)));
        let unsettled = self.unsettled.first().map(|_| self.settle_at);
        sent.chain(held).chain(unsettled).min()
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
        for sent in unknown {
            self.answer(&sent.job, Err(PublishError::OutcomeUnknown));
        }
        let mut late = Vec::new();
        for held in self.held.values_mut() {
            let again = held.again.extract_if(.., |_, sent| over(sent));
            late.extend(again.map(|(_, sent)| sent.refused()));
            while held.later.front().is_some_and(|job| job.deadline() <= now) {
                late.extend(held.later.pop_front().map(Job::refused));
            }
        }
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
        for (_, held) in std::mem::take(&mut self.held) {
            let again = held.again.into_values().map(Sent::refused);
            let later = held.later.into_iter().map(Job::refused);
            for (job, error) in again.chain(later) {
                self.answer(&job, Err(error));
            }
        }
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
