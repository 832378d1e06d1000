//! Rooms without history: a message goes to all gateways that have a subscriber in a room of the same live partition, at
//! most once. One subscription serves all rooms of a partition, for as long as one of them is watched.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::Message;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::{AbortHandle, spawn};
use tokio::time::timeout;

use super::connection::Connection;
use super::health::{Fault, Health};
use super::send::{Job, Sender};
use super::subjects::Subjects;
use super::wire;
use crate::broker::{Event, GapReason, Scope};
use crate::names::RoomName;

/// How long the server may take to send an echo.
const ECHO: Duration = Duration::from_secs(2);

/// What the hub asks for, in order: who has begun to watch a room hears what is published after it.
#[derive(Debug)]
pub enum Ask {
    /// Somebody here is in a room.
    Watch(RoomName),
    /// Nobody is any more.
    Unwatch(RoomName),
    /// To publish.
    Publish(Job),
}

/// Hears the rooms without history that are watched, and publishes to others.
pub struct Live {
    /// Whose connection to use.
    pub connection: Connection,
    /// Their names.
    pub subjects: Subjects,
    /// What to do.
    pub asks: mpsc::UnboundedReceiver<Ask>,
    /// Publishes.
    pub sender: Sender,
    /// Where messages go; what finds no place there is lost, and said to be.
    pub events: mpsc::Sender<Event>,
    /// Where faults are told.
    pub health: Arc<Health>,
}

/// What the subscriptions share.
#[derive(Default)]
struct Heard {
    /// Watched rooms by their subject.
    rooms: Mutex<HashMap<String, Watched>>,
    /// Whether one of them has lost something.
    lost: AtomicBool,
}

struct Watched {
    room: RoomName,
    lost: Option<GapReason>,
}

/// One subscription.
struct Partition {
    rooms: usize,
    task: AbortHandle,
}

/// The subscriptions of now.
struct Subscriptions {
    live: Live,
    heard: Arc<Heard>,
    partitions: HashMap<u16, Partition>,
}

impl Live {
    /// Hears and publishes until the hub is gone.
    pub async fn run(self) {
        let mut connection = self.connection.clone();
        let mut run = Subscriptions {
            live: self,
            heard: Arc::default(),
            partitions: HashMap::new(),
        };
        let mut generation = connection.state.borrow().generation;
        let dropped = Arc::clone(&connection.dropped);
        loop {
            tokio::select! {
                () = connection.lost(generation) => {
                    if generation > 0 {
                        // Whatever is said from now on may not be heard here.
                        run.heard.lose(GapReason::BrokerReset);
                    }
                    let before = generation;
                    generation = tokio::select! {
                        generation = connection.up() => generation,
                        ask = run.live.asks.recv() => match ask {
                            Some(ask) => {
                                run.take(ask).await;
                                continue;
                            }
                            None => return,
                        },
                    };
                    if before > 0 {
                        // The client subscribes anew by itself; an echo comes once the server has taken that in.
                        run.echo().await;
                        run.heard.lose(GapReason::BrokerReset);
                        run.heard.tell(&run.live.events).await;
                    }
                }
                () = dropped.notified() => {
                    run.heard.lose(GapReason::Overload);
                    run.heard.tell(&run.live.events).await;
                }
                ask = run.live.asks.recv() => match ask {
                    Some(ask) => run.take(ask).await,
                    None => return,
                },
            }
        }
    }
}

impl Subscriptions {
    /// Awaits a message of its own: the server takes in what one connection sends in order.
    async fn echo(&self) {
        let client = &self.live.connection.client;
        let inbox = client.new_inbox();
        let heard = async {
            let mut echo = client.subscribe(inbox.clone()).await.ok()?;
            client.publish(inbox, Bytes::new()).await.ok()?;
            echo.next().await
        };
        let _ = timeout(ECHO, heard).await; // lost again: told again
    }

    async fn take(&mut self, ask: Ask) {
        match ask {
            Ask::Publish(job) => self.live.sender.publish(job).await,
            Ask::Watch(room) => {
                let subjects = &self.live.subjects;
                let (partition, subject) = (subjects.live_partition(&room), subjects.live(&room));
                let watched = Watched { room, lost: None };
                if self.heard.rooms().insert(subject, watched).is_some() {
                    return;
                }
                match self.partitions.get_mut(&partition) {
                    Some(at) => at.rooms += 1,
                    None => self.hear(partition).await,
                }
            }
            Ask::Unwatch(room) => {
                let subjects = &self.live.subjects;
                let (partition, subject) = (subjects.live_partition(&room), subjects.live(&room));
                if self.heard.rooms().remove(&subject).is_none() {
                    return;
                }
                if let Some(at) = self.partitions.get_mut(&partition) {
                    at.rooms -= 1;
                    if at.rooms == 0 {
                        at.task.abort(); // dropping the subscription ends it
                        self.partitions.remove(&partition);
                    }
                }
            }
        }
    }

    /// Hears one partition from now on.
    async fn hear(&mut self, partition: u16) {
        let filter = self.live.subjects.live_filter(partition);
        let health = Arc::clone(&self.live.health);
        let mut messages = match self.live.connection.client.subscribe(filter).await {
            Ok(messages) => messages,
            Err(error) => return health.set(Fault::Other, error.to_string()),
        };
        let (heard, events) = (Arc::clone(&self.heard), self.live.events.clone());
        let task = spawn(async move {
            while let Some(message) = messages.next().await {
                heard.hear(&message, &events, &health);
                if heard.lost.load(Ordering::Relaxed) {
                    heard.tell(&events).await;
                }
            }
        });
        let task = task.abort_handle();
        self.partitions
            .insert(partition, Partition { rooms: 1, task });
    }
}

impl Heard {
    fn hear(&self, message: &Message, events: &mpsc::Sender<Event>, health: &Health) {
        let mut rooms = self.rooms();
        let Some(watched) = rooms.get_mut(message.subject.as_str()) else {
            return; // of another room of the partition
        };
        let headers = message.headers.as_ref();
        match wire::decode(watched.room.clone(), headers, &message.payload, None) {
            Ok(_) if watched.lost.is_some() => {} // nothing passes a gap
            Ok(read) => match events.try_send(Event::Message(Arc::new(read))) {
                Ok(()) | Err(TrySendError::Closed(_)) => {}
                Err(TrySendError::Full(_)) => {
                    watched.lost = Some(GapReason::Overload);
                    self.lost.store(true, Ordering::Relaxed);
                }
            },
            Err(error) => health.set(Fault::Malformed, format!("{}: {error}", message.subject)),
        }
    }

    /// All rooms have lost something.
    fn lose(&self, reason: GapReason) {
        for watched in self.rooms().values_mut() {
            watched.lost = Some(reason);
        }
        self.lost.store(true, Ordering::Relaxed);
    }

    /// Says which rooms have lost something, as there is room to say it.
    async fn tell(&self, events: &mpsc::Sender<Event>) {
        self.lost.store(false, Ordering::Relaxed);
        let lost: Vec<String> = {
            let rooms = self.rooms();
            let lost = rooms.iter().filter(|(_, watched)| watched.lost.is_some());
            lost.map(|(subject, _)| subject.clone()).collect()
        };
        for subject in lost {
            let Ok(place) = events.reserve().await else {
                return; // the hub is gone
            };
            let mut rooms = self.rooms();
            if let Some(watched) = rooms.get_mut(&subject)
                && let Some(reason) = watched.lost.take()
            {
                place.send(Event::Lost {
                    scope: Scope::Room(watched.room.clone()),
                    reason,
                });
            }
        }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<String, Watched>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
