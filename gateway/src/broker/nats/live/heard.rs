//! What the subscriptions share: the rooms that are watched, and which of them have lost something.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::Message;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::broker::nats::health::{Fault, Health};
use crate::broker::nats::wire;
use crate::broker::{Event, GapReason, Scope};
use crate::names::RoomName;

/// The watched rooms.
#[derive(Default)]
pub struct Heard {
    /// By their subject.
    rooms: Mutex<HashMap<String, Watched>>,
    /// Whether one of them has lost something.
    lost: AtomicBool,
}

struct Watched {
    room: RoomName,
    lost: Option<GapReason>,
}

impl Heard {
    /// A room is watched from now on. Gives whether it was not before.
    pub fn watch(&self, subject: String, room: RoomName) -> bool {
        let watched = Watched { room, lost: None };
        self.rooms().insert(subject, watched).is_none()
    }

    /// It is not any more. Gives whether it was.
    pub fn unwatch(&self, subject: &str) -> bool {
        self.rooms().remove(subject).is_some()
    }

    /// Whether a room has lost something that was not told yet.
    pub fn has_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Hands a message to the hub, if its room is watched.
    pub fn hear(&self, message: &Message, events: &mpsc::Sender<Event>, health: &Health) {
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
    pub fn lose(&self, reason: GapReason) {
        for watched in self.rooms().values_mut() {
            watched.lost = Some(reason);
        }
        self.lost.store(true, Ordering::Relaxed);
    }

    /// The rooms with these subjects have.
    pub fn lose_these(&self, subjects: &[String], reason: GapReason) {
        let mut rooms = self.rooms();
        for subject in subjects {
            if let Some(watched) = rooms.get_mut(subject) {
                watched.lost = Some(reason);
                self.lost.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Says which rooms have lost something, as there is room to say it.
    pub async fn tell(&self, events: &mpsc::Sender<Event>) {
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
