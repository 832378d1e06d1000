//! Reads the stream of one partition from a position on, for as long as the gateway lives, and proves that nothing was
//! left out.
//!
//! The consumer is not filtered, so it must hand over every position of the stream. A jump means that limits have
//! removed messages before they were read here: the rooms that may have lost some are told. After a lost connection, a
//! missed heartbeat or any error, the stream is looked at anew, its epoch and end are compared with what is known, and
//! another consumer goes on behind the last position. The library's ordered consumer does less: its start position does
//! not hold before the first message, and it tries again out of sight.

mod begin;
mod place;

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::pull::{self, Stream as Messages};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use futures_util::StreamExt;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

pub use self::place::Place;
use super::api::ApiError;
use super::connection::{Connection, REQUEST_TIMEOUT};
use super::health::{Fault, Health};
use super::stream::StreamOf;
use super::wire;
use crate::broker::{Event, GapReason, Partition, Scope};
use crate::config::History;
use crate::names::{Epoch, Offset};

/// Messages that a consumer may send ahead.
const BATCH: usize = 500;
/// How long a request for messages stands.
const EXPIRES: Duration = Duration::from_secs(30);
/// How often the server says that it is there; the consumer is lost after two that are missing.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// When the server forgets a consumer that nobody asks any more.
const FORGET: Duration = Duration::from_secs(30);
/// Pause after an error.
const PAUSE: Duration = Duration::from_millis(250);
/// Epochs that are remembered, to know a stream that comes back from a backup.
const EPOCHS: usize = 64;
/// What may be wrong with a stream, until it can be read.
const STREAM_FAULTS: [Fault; 7] = [
    Fault::NoJetStream,
    Fault::NoStream,
    Fault::WrongStream,
    Fault::NoLeader,
    Fault::AccountLimit,
    Fault::SlowConsumer,
    Fault::Other,
];

/// Reads one partition.
pub struct Follower {
    /// Whose connection to use.
    pub connection: Connection,
    /// JetStream on that connection.
    pub jetstream: Context,
    /// The stream to read.
    pub stream: StreamOf,
    /// Which partition it is.
    pub partition: Partition,
    /// What the manifest says of history, as it changes.
    pub history: watch::Receiver<History>,
    /// Bytes that messages may take in memory.
    pub memory: u64,
    /// How far it has read.
    pub place: Arc<Place>,
    /// Where messages go. Waiting for room there is how they are kept back.
    pub events: mpsc::Sender<Event>,
    /// Where faults are told.
    pub health: Arc<Health>,
    /// Rung once the partition has been read to its end.
    pub warm: Option<tokio::sync::oneshot::Sender<()>>,
}

/// What is known while a follower runs.
struct Run {
    follower: Follower,
    seen: Vec<Epoch>,
    /// When the first look at what is stored must end.
    warm_until: Option<Instant>,
    per_room: usize,
}

impl Follower {
    /// Reads until the hub is gone.
    pub async fn run(self) {
        let mut run = Run {
            follower: self,
            seen: Vec::new(),
            warm_until: None,
            per_room: usize::MAX,
        };
        let mut connection = run.follower.connection.clone();
        while !run.follower.events.is_closed() {
            let generation = connection.up().await;
            let ended = tokio::select! {
                () = connection.lost(generation) => continue,
                ended = run.follow() => ended,
            };
            run.follower.health.metrics.resets.add_shared(1);
            if let Err(error) = ended {
                let (health, partition) = (&run.follower.health, run.follower.partition.0);
                health.set_of(error.fault, partition, error.detail);
                sleep(PAUSE).await;
            }
        }
    }
}

impl Run {
    /// Reads until something is wrong.
    async fn follow(&mut self) -> Result<(), ApiError> {
        let history = *self.follower.history.borrow_and_update();
        let jetstream = self.follower.jetstream.clone();
        let place = Arc::clone(&self.follower.place);
        let stream = self.follower.stream.open(&jetstream, &history).await?;
        self.per_room = stream.per_room;
        let mut next = self.begin(stream).await?;
        let mut messages = self.consume(next).await?;
        let mut expected = 1;
        for fault in STREAM_FAULTS {
            let partition = self.follower.partition.0;
            self.follower.health.clear_of(fault, partition);
        }
        loop {
            let message = tokio::select! {
                message = messages.next() => message,
                () = place.suspected() => {
                    return Err(ApiError::new(Fault::Other, "the stream has gone back"));
                }
                changed = self.follower.history.changed() => match changed {
                    Ok(()) => {
                        let history = *self.follower.history.borrow_and_update();
                        let stream = self.follower.stream.open(&jetstream, &history).await?;
                        self.per_room = stream.per_room;
                        continue;
                    }
                    Err(_) => return Ok(()), // the hub is gone
                },
            };
            let lost = |what: &str| ApiError::new(Fault::Other, format!("the consumer {what}"));
            let message = message
                .ok_or_else(|| lost("has ended"))?
                .map_err(|error| lost(&error.to_string()))?;
            let info = message.info().map_err(|error| lost(&error.to_string()))?;
            let (at, pending) = (Offset(info.stream_sequence), info.pending);
            if info.consumer_sequence != expected {
                return Err(ApiError::new(
                    Fault::SlowConsumer,
                    "messages were dropped in this process: they are read again",
                ));
            }
            expected += 1;
            if at > next {
                self.jumped(next, at).await?;
            }
            let time = u64::try_from(info.published.unix_timestamp_nanos() / 1_000_000);
            let room = wire::room(&message.subject, message.headers.as_ref());
            let read = room.and_then(|room| {
                let stored = Some((at, time.unwrap_or_default()));
                wire::decode(room, message.headers.as_ref(), &message.payload, stored)
            });
            match read {
                Ok(read) => self.tell(Event::Message(Arc::new(read))).await,
                Err(error) => {
                    let detail = format!("{} at {}: {error}", message.subject, at.0);
                    self.follower.health.set(Fault::Malformed, detail);
                }
            }
            // Nothing may be awaited between what is told and this: a follower can be stopped at any await.
            self.follower.place.advance(at);
            next = Offset(at.0 + 1);
            self.follower.health.lag(self.follower.partition.0, pending);
            if self.follower.warm.is_some() {
                self.warmed(pending).await?;
            }
        }
    }

    async fn consume(&mut self, from: Offset) -> Result<Messages, ApiError> {
        let name = self.follower.stream.name();
        let config = pull::Config {
            name: Some(format!("linnet_{}", Epoch::random().as_str())),
            description: Some("A Linnet gateway".to_owned()),
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: from.0,
            },
            ack_policy: AckPolicy::None,
            inactive_threshold: FORGET,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let failed = |error: String| ApiError::new(Fault::Other, format!("no consumer: {error}"));
        let create = self
            .follower
            .jetstream
            .create_consumer_on_stream(config, &name);
        let consumer = tokio::time::timeout(REQUEST_TIMEOUT, create)
            .await
            .map_err(|_| ApiError::new(Fault::NoLeader, "no consumer: timed out"))?
            .map_err(|error| failed(error.to_string()))?;
        let pending = consumer.cached_info().num_pending;
        self.follower.health.lag(self.follower.partition.0, pending);
        let messages = consumer
            .stream()
            .max_messages_per_batch(BATCH)
            .expires(EXPIRES)
            .heartbeat(HEARTBEAT)
            .messages()
            .await
            .map_err(|error| failed(error.to_string()))?;
        if self.follower.warm.is_some() {
            self.warmed(pending).await?;
        }
        Ok(messages)
    }

    /// The positions from `next` up to the one before `at` will not come.
    async fn jumped(&mut self, next: Offset, at: Offset) -> Result<(), ApiError> {
        if self.follower.warm.is_some() {
            return Ok(()); // nobody has been told of a position yet; see `warmed`
        }
        let jetstream = self.follower.jetstream.clone();
        let history = *self.follower.history.borrow();
        let stream = self.follower.stream.open(&jetstream, &history).await?;
        // The limit may have been lowered meanwhile.
        let at_least = self.per_room.min(stream.per_room);
        self.per_room = stream.per_room;
        let only_limits_of_rooms = stream.first <= next;
        let full = match only_limits_of_rooms {
            true => {
                self.follower
                    .stream
                    .full_subjects(&jetstream, at_least)
                    .await?
            }
            false => None,
        };
        // A room that is at its limit may have lost messages, any other has not.
        let rooms: Option<Vec<_>> = full.filter(|full| full.len() < BATCH).and_then(|full| {
            let rooms = full.iter().map(|subject| wire::room(subject, None).ok());
            rooms.collect()
        });
        let lost = match rooms {
            Some(rooms) => rooms
                .into_iter()
                .map(|room| self.lost(Scope::Room(room)))
                .collect(),
            None => vec![self.lost(Scope::Partition(self.follower.partition))],
        };
        if let Some((epoch, _)) = self.follower.place.now() {
            self.position(epoch, Offset(at.0 - 1), false, lost).await;
        }
        Ok(())
    }

    /// Tells a position and what was lost up to it: all of it or nothing, wherever this is stopped.
    async fn position(&mut self, epoch: Epoch, last: Offset, whole: bool, lost: Vec<Event>) {
        if !self.seen.contains(&epoch) {
            if self.seen.len() == EPOCHS {
                self.seen.remove(0);
            }
            self.seen.push(epoch.clone());
        }
        let position = Event::Position {
            partition: self.follower.partition,
            epoch: epoch.clone(),
            last,
            whole,
        };
        let Ok(places) = self.follower.events.reserve_many(1 + lost.len()).await else {
            return; // the hub is gone: so is the process soon
        };
        // Before it is told: who hears of it may publish at once, and what is sent from an unknown place has no outcome.
        self.follower.place.begin(epoch, last);
        for (place, event) in places.zip([position].into_iter().chain(lost)) {
            place.send(event);
        }
    }

    fn lost(&self, scope: Scope) -> Event {
        let reason = GapReason::Lagged;
        Event::Lost { scope, reason }
    }

    async fn tell(&self, event: Event) {
        let _ = self.follower.events.send(event).await; // as above
    }
}
