//! Drives one broker as the hub does, with bounded waits.

use std::any::Any;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;

use linnet_gateway::broker::{
    Broker, DeduplicationKey, Event, PublishError, Receipt, Request, Token,
};
use linnet_gateway::message::{Message, Payload};
use linnet_gateway::names::{ConnectionId, Epoch, Offset, RoomName, UserId};

use serde_json::json;

use super::{Factory, Started};
use crate::manifest::Manifest;
use crate::wait::{STEP, within};

/// How many messages the rooms of these tests keep: more than any test publishes.
const KEPT: u32 = 5000;

/// A broker and what it has told.
pub struct Driver {
    broker: Box<dyn Broker>,
    /// Told, and not yet asked for.
    events: VecDeque<Event>,
    last_token: Token,
    /// Ends after the broker.
    _keep: Box<dyn Any + Send>,
}

impl Driver {
    /// A new broker of a channel with history, before it has told anything.
    pub async fn new(factory: &impl Factory) -> Self {
        Self::of(factory, Manifest::unhurried().history(KEPT)).await
    }

    async fn of(factory: &impl Factory, manifest: Manifest) -> Self {
        Self::over(factory.start(&manifest).await)
    }

    /// Drives a broker that was started already, before it has told anything.
    #[must_use]
    pub fn over(started: Started) -> Self {
        Self {
            broker: started.broker,
            events: VecDeque::new(),
            last_token: 0,
            _keep: started.keep,
        }
    }

    /// [`Self::new`] once it has told its positions: it is connected.
    pub async fn ready(factory: &impl Factory) -> Self {
        Self::new(factory).await.connected().await
    }

    /// This one once it has told its positions.
    pub async fn connected(mut self) -> Self {
        for _ in 0..self.broker.partitions() {
            let position = |event: &Event| matches!(event, Event::Position { .. }).then_some(());
            self.take("a position", position).await;
        }
        self
    }

    /// [`Self::ready`], watching `rooms`, which keep messages.
    pub async fn watching(factory: &impl Factory, rooms: &[&str]) -> Self {
        Self::in_rooms(factory, rooms, true).await
    }

    /// Of a channel whose rooms keep messages or, not `stored`, do not; watching `rooms`.
    pub async fn in_rooms(factory: &impl Factory, rooms: &[&str], stored: bool) -> Self {
        let history = if stored { "Enabled" } else { "Disabled" };
        let manifest = Manifest::unhurried()
            .history(KEPT)
            .room(json!({"match": "live", "history": "Disabled"}))
            .room(json!({"match": "*", "history": history}));
        let mut driver = Self::of(factory, manifest).await.connected().await;
        for name in rooms {
            driver.watch(name).await;
        }
        driver
    }

    /// Watches a room, and awaits that it is heard.
    pub async fn watch(&mut self, name: &str) {
        let wanted = self.token();
        self.submit(Request::Watch {
            token: wanted,
            room: room(name),
        });
        let answer = |event: &Event| match event {
            Event::Watched { token } if *token == wanted => Some(()),
            _ => None,
        };
        self.take("that the room is heard", answer).await;
    }

    /// The broker.
    pub fn broker(&self) -> &dyn Broker {
        &*self.broker
    }

    /// Hands `request` over.
    pub fn submit(&mut self, request: Request) {
        self.broker.submit(request);
    }

    /// Says whether messages are to be held back.
    pub fn hold(&mut self, held: bool) {
        self.broker.hold(held);
    }

    /// A token that names nothing yet.
    pub fn token(&mut self) -> Token {
        self.last_token += 1;
        self.last_token
    }

    /// The next event, whatever it is.
    pub async fn next(&mut self) -> Event {
        if self.events.is_empty() {
            self.poll("an event").await;
        }
        self.events.pop_front().expect("an event")
    }

    /// Takes the first event that `test` gives something for; others stay, in order.
    ///
    /// # Panics
    /// When none comes within [`STEP`] seconds.
    pub async fn take<T>(&mut self, what: &str, test: impl Fn(&Event) -> Option<T>) -> T {
        let mut seen = 0;
        loop {
            while seen < self.events.len() {
                if let Some(found) = test(&self.events[seen]) {
                    self.events.remove(seen);
                    return found;
                }
                seen += 1;
            }
            self.poll(what).await;
        }
    }

    async fn poll(&mut self, what: &str) {
        let Self { broker, events, .. } = self;
        let told = poll_fn(|context| broker.poll_events(context, events));
        within(what, STEP, told).await;
    }

    /// Publishes; gives the token.
    pub fn publish(
        &mut self,
        message: Message,
        stored: bool,
        key: Option<DeduplicationKey>,
    ) -> Token {
        let token = self.token();
        self.submit(Request::Publish {
            token,
            message: Box::new(message),
            stored,
            key,
        });
        token
    }

    /// Publishes to a room with history and awaits the receipt.
    pub async fn store(&mut self, message: Message, key: Option<DeduplicationKey>) -> Receipt {
        let token = self.publish(message, true, key);
        self.receipt(token).await
    }

    /// Publishes to a room without history and awaits the receipt.
    pub async fn pass(&mut self, message: Message) -> Receipt {
        let token = self.publish(message, false, None);
        self.receipt(token).await
    }

    /// Awaits the answer to a publish, which must be a receipt.
    ///
    /// # Panics
    /// When it is an error.
    pub async fn receipt(&mut self, wanted: Token) -> Receipt {
        let answer = |event: &Event| match event {
            Event::Published { token, result } if *token == wanted => Some(result.clone()),
            _ => None,
        };
        self.take("the answer to a publish", answer).await.unwrap()
    }

    /// The next message of `room`.
    pub async fn message(&mut self, room: &str) -> Arc<Message> {
        let message = |event: &Event| match event {
            Event::Message(message) if message.room.as_str() == room => Some(Arc::clone(message)),
            _ => None,
        };
        self.take("a message", message).await
    }

    /// Sends `message` to every connection of `to`, of which `here` are here, and awaits how many got it.
    ///
    /// # Errors
    /// As the broker answers.
    pub async fn direct(
        &mut self,
        to: &UserId,
        message: Message,
        here: Option<usize>,
    ) -> (Option<Arc<Message>>, Result<usize, PublishError>) {
        let wanted = self.token();
        self.submit(Request::Direct {
            token: wanted,
            to: to.clone(),
            message: Arc::new(message),
        });
        let mut came = None;
        loop {
            match self.next().await {
                Event::Direct {
                    to: user,
                    message,
                    token,
                } => {
                    assert_eq!(user, *to);
                    assert!(came.replace(message).is_none(), "it came twice");
                    self.submit(Request::DirectTaken {
                        token,
                        connections: here,
                    });
                }
                Event::DirectSent { token, result } => {
                    assert_eq!(token, wanted);
                    return (came, result);
                }
                _ => {}
            }
        }
    }
}

/// A room's name.
///
/// # Panics
/// When it can't be one.
#[must_use]
pub fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

/// A message with nothing but content.
#[must_use]
pub fn message(name: &str, data: Payload) -> Message {
    Message {
        room: room(name),
        offset: None,
        timestamp: 0,
        from: Some(UserId::anonymous(ConnectionId::random())),
        event: None,
        data,
        info: None,
        skip: None,
        trace: None,
    }
}

/// A message whose content is a number.
#[must_use]
pub fn number(name: &str, n: u64) -> Message {
    message(name, Payload::Json(n.to_string().into()))
}

/// The content of a message of [`number`].
///
/// # Panics
/// When it is none.
#[must_use]
pub fn read_number(message: &Message) -> u64 {
    match &message.data {
        Payload::Json(text) => text.parse().unwrap(),
        other => panic!("not a number: {other:?}"),
    }
}

/// Where a receipt says that the message stands.
///
/// # Panics
/// When it does not.
#[must_use]
pub fn at(receipt: &Receipt) -> (Epoch, Offset) {
    receipt.position.clone().expect("a position")
}
