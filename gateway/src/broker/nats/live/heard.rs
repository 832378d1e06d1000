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
        let mut rooms = self.rooms();
        let before = rooms.len();
        // One that is watched already keeps what it has to tell.
        rooms.entry(subject).or_insert(Watched { room, lost: None });
        rooms.len() > before
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

#[cfg(test)]
mod tests {

    use super::*;
    use crate::message::{Message as Read, Payload};

    /// Hears `lobby`, and tells a hub that has room for so many events.
    struct Scene {
        heard: Heard,
        told: mpsc::Sender<Event>,
        events: mpsc::Receiver<Event>,
        health: Health,
    }

    impl Scene {
        fn new(room_for: usize) -> Self {
            let (told, events) = mpsc::channel(room_for);
            let heard = Heard::default();
            assert!(heard.watch("s.lobby".into(), RoomName::parse("lobby").unwrap()));
            Self {
                heard,
                told,
                events,
                health: Health::new(1),
            }
        }

        fn hears(&self, subject: &str, text: &str) {
            let (headers, payload) = wire::encode(Read {
                room: RoomName::parse("lobby").unwrap(),
                offset: None,
                timestamp: 1,
                from: None,
                event: None,
                data: Payload::Text(text.into()),
                info: None,
                skip: None,
                trace: None,
            });
            let message = Message {
                subject: subject.into(),
                reply: None,
                payload,
                headers: Some(headers),
                status: None,
                description: None,
                length: 0,
            };
            self.heard.hear(&message, &self.told, &self.health);
        }

        /// What the hub was told since, in short.
        fn told(&mut self) -> Vec<String> {
            let mut all = Vec::new();
            while let Ok(event) = self.events.try_recv() {
                all.push(match event {
                    Event::Message(message) => match &message.data {
                        Payload::Text(text) => text.to_string(),
                        other => format!("{other:?}"),
                    },
                    Event::Lost { scope, reason } => format!("{scope:?} {}", reason.as_str()),
                    other => format!("{other:?}"),
                });
            }
            all
        }
    }

    const GAP: &str = "Room(\"lobby\") overload";

    #[tokio::test]
    async fn what_finds_no_room_is_dropped_and_told_after_what_was_heard_and_before_what_comes() {
        let mut scene = Scene::new(2);
        for text in ["1", "2", "3"] {
            scene.hears("s.lobby", text);
        }
        assert!(scene.heard.has_lost());
        assert_eq!(scene.told(), ["1", "2"]);
        scene.hears("s.lobby", "4");
        assert!(scene.told().is_empty(), "nothing passes a gap");
        scene.heard.tell(&scene.told).await;
        scene.hears("s.lobby", "5");
        assert_eq!(scene.told(), [GAP, "5"]);
        assert!(!scene.heard.has_lost());
    }

    #[tokio::test]
    async fn a_room_that_is_not_watched_is_not_heard_and_loses_nothing() {
        let mut scene = Scene::new(2);
        scene.hears("s.other", "1");
        assert!(scene.told().is_empty());
        scene
            .heard
            .lose_these(&["s.other".into()], GapReason::BrokerReset);
        assert!(!scene.heard.has_lost());
        assert!(scene.heard.unwatch("s.lobby"));
        scene.heard.lose(GapReason::Overload);
        scene.heard.tell(&scene.told).await;
        assert!(scene.told().is_empty(), "nobody is there to be told");
    }

    #[tokio::test]
    async fn a_room_that_is_watched_again_is_still_told_what_it_has_lost() {
        let mut scene = Scene::new(2);
        scene.heard.lose(GapReason::Overload);
        assert!(
            !scene
                .heard
                .watch("s.lobby".into(), RoomName::parse("lobby").unwrap())
        );
        scene.heard.tell(&scene.told).await;
        assert_eq!(scene.told(), [GAP]);
    }
}
