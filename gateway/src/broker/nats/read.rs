//! Reads what a stream keeps of one room, for who asks for more than memory holds.
//!
//! A read costs the server a scan, and thousands may come at once: so they go over a connection of their own, so many at
//! a time, and all who ask for the same room share one.

mod batch;
mod proof;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream::Context;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout_at};

use self::batch::{Found, Step};
use self::proof::{Proof, of_leader};
use super::api::ApiError;
use super::connection::Connection;
use super::follow::Place;
use super::health::{Fault, Health};
use super::stream::StreamOf;
use super::subjects::Subjects;
use crate::broker::{Event, Range, Token};
use crate::message::Message;
use crate::names::{Offset, RoomName};

/// Reads at a time.
const AT_ONCE: usize = 32;
/// How long a read may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// Messages of one request.
const BATCH: usize = 256;
/// Pause before a copy of the stream is asked again that has not caught up.
const PAUSE: Duration = Duration::from_millis(50);

/// What the hub asks for.
#[derive(Debug)]
pub struct Ask {
    /// Names the answer.
    pub token: Token,
    /// Whose messages.
    pub room: RoomName,
    /// Which of them.
    pub range: Range,
    /// Most messages wanted.
    pub limit: usize,
}

/// Reads streams.
#[derive(Clone)]
pub struct Reader(Arc<Shared>);

/// What a reader needs.
pub struct Parts {
    /// Whose connection to use: none that live messages come over.
    pub connection: Connection,
    /// JetStream on that connection.
    pub jetstream: Context,
    /// Their names.
    pub subjects: Subjects,
    /// The stream of each partition.
    pub streams: Vec<StreamOf>,
    /// How far each has been read.
    pub places: Vec<Arc<Place>>,
    /// Where answers go.
    pub events: mpsc::UnboundedSender<Event>,
    /// Where faults are told.
    pub health: Arc<Health>,
}

struct Shared {
    parts: Parts,
    /// Who waits for a room that is being read.
    waiting: Mutex<HashMap<RoomName, Vec<Ask>>>,
    turns: Semaphore,
}

impl Reader {
    /// A reader.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Shared {
            parts,
            waiting: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
        }))
    }

    /// Takes questions until the hub is gone.
    pub async fn run(self, mut asks: mpsc::UnboundedReceiver<Ask>) {
        while let Some(ask) = asks.recv().await {
            let room = ask.room.clone();
            let first = match self.0.waiting().get_mut(&room) {
                Some(waiting) => {
                    waiting.push(ask);
                    None
                }
                None => Some(ask),
            };
            if let Some(ask) = first {
                self.0.waiting().insert(room.clone(), vec![ask]);
                tokio::spawn(Arc::clone(&self.0).serve(room));
            }
        }
    }
}

impl Shared {
    /// Answers all who wait for a room.
    async fn serve(self: Arc<Self>, room: RoomName) {
        let turn = timeout_at(Instant::now() + DEADLINE, self.turns.acquire()).await;
        if !matches!(turn, Ok(Ok(_))) {
            for ask in self.waiting().remove(&room).unwrap_or_default() {
                self.tell(ask.token, None);
            }
            return;
        }
        loop {
            let mut asks = {
                let mut waiting = self.waiting();
                match waiting.get_mut(&room) {
                    Some(asks) if !asks.is_empty() => std::mem::take(asks),
                    _ => {
                        waiting.remove(&room);
                        return;
                    }
                }
            };
            while !asks.is_empty() {
                let until = Instant::now() + DEADLINE;
                let read = timeout_at(until, self.answer(&room, &mut asks)).await;
                let failed = match read {
                    Ok(Ok(())) => continue,
                    Ok(Err(error)) => error,
                    Err(_) => ApiError::new(Fault::NoLeader, "a read has timed out"),
                };
                let partition = self.parts.subjects.partition(&room);
                self.parts
                    .health
                    .set_of(failed.fault, partition, failed.detail);
                for ask in asks.drain(..) {
                    self.tell(ask.token, None);
                }
            }
        }
    }

    /// Answers at least one of `asks`, and takes out those that are.
    async fn answer(&self, room: &RoomName, asks: &mut Vec<Ask>) -> Result<(), ApiError> {
        if let Some(index) = asks
            .iter()
            .position(|ask| matches!(ask.range, Range::Before(_)))
        {
            let ask = &asks[index];
            let Range::Before(before) = ask.range else {
                return Ok(());
            };
            let found = self.before(room, before, ask.limit).await?;
            let ask = asks.swap_remove(index);
            self.tell(ask.token, Some(found));
            return Ok(());
        }
        let after = |ask: &Ask| match ask.range {
            Range::After(after) | Range::Before(after) => after,
        };
        let Some(from) = asks.iter().map(after).min() else {
            return Ok(());
        };
        let most = asks.iter().map(|ask| ask.limit).max().unwrap_or_default();
        let (found, proof) = self.after(room, from, most.max(BATCH)).await?;
        asks.retain(|ask| {
            let after = after(ask);
            let start = found
                .messages
                .partition_point(|message| message.offset <= Some(after));
            let rest = &found.messages[start..];
            if found.more > 0 && rest.len() < ask.limit {
                return true; // the next round begins here
            }
            let kept = found.positions.partition_point(|at| *at <= after);
            let following = (found.positions.len() - kept) as u64 + found.more;
            let page = || rest.iter().take(ask.limit).cloned().collect();
            self.tell(ask.token, proof.holds(after, following).then(page));
            false
        });
        Ok(())
    }

    /// The first messages after a position, and what proves that none is missing.
    async fn after(
        &self,
        room: &RoomName,
        after: Offset,
        limit: usize,
    ) -> Result<(Found, Proof), ApiError> {
        let partition = usize::from(self.parts.subjects.partition(room));
        let stream = &self.parts.streams[partition];
        let jetstream = &self.parts.jetstream;
        let subject = self.parts.subjects.stored(room);
        let looked = stream.look(jetstream).await?;
        // Any copy may answer a direct get; the leader says how far it must have come.
        let last = match looked.replicas {
            1 => None,
            _ => {
                let ask = json!({"last_by_subj": subject});
                of_leader(jetstream, &stream.name(), &ask).await?
            }
        };
        let mut found = Found::default();
        loop {
            let from = found.positions.last().copied().unwrap_or(after);
            let next = self.batch(room, Offset(from.0 + 1), limit).await?;
            let none = next.positions.is_empty();
            found.messages.extend(next.messages);
            found.positions.extend(next.positions);
            found.more = next.more;
            match found.step(none, after, limit, last) {
                Step::Next => {}
                Step::Again => sleep(PAUSE).await, // nothing tells when a copy has caught up
                Step::Done => break,
            }
        }
        // Asked for after the messages: what was there still when they were read can only have gone since. A copy that
        // lags would not know.
        let first = match looked.replicas {
            1 => self
                .batch(room, Offset(1), 1)
                .await?
                .positions
                .first()
                .copied(),
            _ => {
                let ask = json!({"seq": 1, "next_by_subj": subject});
                of_leader(jetstream, &stream.name(), &ask).await?
            }
        };
        let name = self.parts.subjects.partition(room);
        self.parts.health.clear_of(Fault::NoLeader, name);
        let stream = stream.look(jetstream).await?;
        let known = self.parts.places[partition].now();
        let proof = Proof {
            same_store: known
                .is_some_and(|(epoch, _)| epoch == stream.epoch && epoch == looked.epoch),
            first,
            stream,
        };
        Ok((found, proof))
    }

    /// The last messages before a position. NATS reads forwards only.
    async fn before(
        &self,
        room: &RoomName,
        before: Offset,
        limit: usize,
    ) -> Result<Vec<Arc<Message>>, ApiError> {
        let mut last: Vec<Arc<Message>> = Vec::new();
        let mut from = Offset(1);
        loop {
            let found = self.batch(room, from, BATCH).await?;
            let end = found.positions.last().copied();
            last.extend(
                found
                    .messages
                    .into_iter()
                    .filter(|message| message.offset < Some(before)),
            );
            last.drain(..last.len().saturating_sub(limit));
            match end {
                Some(end) if found.more > 0 && end < before => from = Offset(end.0 + 1),
                _ => return Ok(last),
            }
        }
    }

    fn tell(&self, token: Token, complete: Option<Vec<Arc<Message>>>) {
        let metrics = &self.parts.health.metrics;
        match complete {
            Some(_) => metrics.reads_complete.add_shared(1),
            None => metrics.reads_incomplete.add_shared(1),
        }
        let _ = self.parts.events.send(Event::Read { token, complete }); // the hub is gone
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<RoomName, Vec<Ask>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
