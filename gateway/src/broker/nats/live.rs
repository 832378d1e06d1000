//! Rooms without history: a message goes to all gateways that have a subscriber in a room of the same live partition, at
//! most once. One subscription serves all rooms of a partition, for as long as one of them is watched.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::Message;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::{AbortHandle, spawn};

use super::connection::Connection;
use super::health::{Fault, Health};
use super::subjects::Subjects;
use super::wire;
use crate::broker::{Event, GapReason, Scope};
use crate::names::RoomName;

/// What is to become of a room.
#[derive(Debug)]
pub enum Change {
    /// Somebody here is in it.
    Watch(RoomName),
    /// Nobody is any more.
    Unwatch(RoomName),
}

/// Hears the rooms without history that are watched.
pub struct Live {
    /// Whose connection to use.
    pub connection: Connection,
    /// Their names.
    pub subjects: Subjects,
    /// Which rooms to hear.
    pub changes: mpsc::UnboundedReceiver<Change>,
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

impl Live {
    /// Hears until the hub is gone.
    pub async fn run(mut self) {
        let heard = Arc::new(Heard::default());
        let mut partitions: HashMap<u16, Partition> = HashMap::new();
        let mut connection = self.connection.clone();
        let mut generation = connection.up().await;
        loop {
            tokio::select! {
                () = connection.lost(generation) => {
                    generation = connection.up().await;
                    // Whatever was said meanwhile was not heard here. Subscriptions are made anew by the client.
                    heard.lose(GapReason::BrokerReset);
                    heard.tell(&self.events).await;
                }
                change = self.changes.recv() => match change {
                    Some(Change::Watch(room)) => {
                        let partition = self.subjects.live_partition(&room);
                        let watched = Watched { room: room.clone(), lost: None };
                        if heard.rooms().insert(self.subjects.live(&room), watched).is_some() {
                            continue;
                        }
                        let at = partitions.entry(partition).or_insert_with(|| Partition {
                            rooms: 0,
                            task: self.hear(partition, &heard),
                        });
                        at.rooms += 1;
                    }
                    Some(Change::Unwatch(room)) => {
                        let partition = self.subjects.live_partition(&room);
                        if heard.rooms().remove(&self.subjects.live(&room)).is_none() {
                            continue;
                        }
                        if let Some(at) = partitions.get_mut(&partition) {
                            at.rooms -= 1;
                            if at.rooms == 0 {
                                at.task.abort(); // dropping the subscription ends it
                                partitions.remove(&partition);
                            }
                        }
                    }
                    None => return,
                },
            }
        }
    }

    /// Hears one partition.
    fn hear(&self, partition: u16, heard: &Arc<Heard>) -> AbortHandle {
        let filter = self.subjects.live_filter(partition);
        let (client, health) = (self.connection.client.clone(), Arc::clone(&self.health));
        let (heard, events) = (Arc::clone(heard), self.events.clone());
        let task = spawn(async move {
            let mut messages = match client.subscribe(filter).await {
                Ok(messages) => messages,
                Err(error) => return health.set(Fault::Other, error.to_string()),
            };
            while let Some(message) = messages.next().await {
                heard.hear(&message, &events, &health);
                if heard.lost.load(Ordering::Relaxed) {
                    heard.tell(&events).await;
                }
            }
        });
        task.abort_handle()
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

    /// Says which rooms have lost something, once there is room to say it.
    async fn tell(&self, events: &mpsc::Sender<Event>) {
        loop {
            let Ok(place) = events.reserve().await else {
                return;
            };
            let mut rooms = self.rooms();
            let lost = rooms.values_mut().find_map(|watched| {
                let reason = watched.lost.take()?;
                Some((watched.room.clone(), reason))
            });
            match lost {
                Some((room, reason)) => place.send(Event::Lost {
                    scope: Scope::Room(room),
                    reason,
                }),
                None => return self.lost.store(false, Ordering::Relaxed),
            }
        }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<String, Watched>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
