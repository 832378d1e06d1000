//! A client that follows a room across cuts as an application should: it remembers its position, resumes, turns pages,
//! and drops what it has passed. What it collects must be the room, each message once.

use rand::{Rng, RngExt};
use serde_json::{Value, json};

use crate::client::Client;
use crate::gateway::Gateway;

/// A position in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The epoch.
    pub epoch: String,
    /// The last offset that is covered.
    pub offset: u64,
}

impl Position {
    /// The position that an ack tells.
    ///
    /// # Panics
    /// When it tells none.
    #[must_use]
    pub fn of(ack: &Value) -> Self {
        Self {
            epoch: ack["epoch"].as_str().expect("an epoch").to_owned(),
            offset: ack["offset"].as_u64().expect("an offset"),
        }
    }

    /// As `since`.
    #[must_use]
    pub fn since(&self) -> Value {
        json!({"epoch": self.epoch, "offset": self.offset})
    }
}

/// Follows one room.
#[derive(Debug)]
pub struct Follower {
    room: String,
    /// Where it stands.
    pub position: Position,
    /// What it got: offset and data, in the order of arrival.
    pub got: Vec<(u64, Value)>,
    /// How often it resumed.
    pub resumes: usize,
    /// How many pages its resumes took.
    pub pages: usize,
}

impl Follower {
    /// A follower that has seen nothing after `position`.
    #[must_use]
    pub fn new(room: &str, position: Position) -> Self {
        Self {
            room: room.to_owned(),
            position,
            got: Vec::new(),
            resumes: 0,
            pages: 0,
        }
    }

    /// Connects, resumes and follows until `budget` messages came (or, in all, `done`), or the connection ended. Then the
    /// connection is cut, be that between two pages or between two live messages.
    ///
    /// # Panics
    /// When the gateway breaks the order, or says that messages are lost.
    pub async fn follow(&mut self, gateway: &Gateway, budget: usize, done: usize) {
        let mut client = gateway.client().await;
        let until = done.min(self.got.len() + budget);
        if self.resume_until(&mut client, until).await {
            while self.got.len() < until {
                let Some(frame) = client.next_or_end().await else {
                    return;
                };
                match frame["type"].as_str().unwrap() {
                    "message" => self.take(&frame),
                    other => panic!("unexpected {other}: {frame}"),
                }
            }
        }
        client.cut();
    }

    /// Subscribes from where it stands, page by page, until live.
    pub async fn resume(&mut self, client: &mut Client) {
        self.resume_until(client, usize::MAX).await;
    }

    /// Subscribes from where it stands, page by page, until live (gives true) or `until` messages are collected.
    ///
    /// # Panics
    /// When an ack does not say that everything was recovered.
    async fn resume_until(&mut self, client: &mut Client, until: usize) -> bool {
        self.resumes += 1;
        loop {
            let request =
                json!({"type": "subscribe", "room": self.room, "since": self.position.since()});
            let ack = client.ack(request).await;
            assert_eq!(ack["recovered"], true, "nothing may be missing: {ack}");
            self.pages += 1;
            let messages = ack["messages"].as_array().unwrap();
            assert!(messages.len() <= 100, "a page of {}", messages.len());
            for message in messages {
                self.take(message);
            }
            if ack["more"] == false {
                let covered = ack["offset"].as_u64().unwrap();
                assert!(
                    covered >= self.position.offset,
                    "covers what it handed over: {ack}"
                );
                return true;
            }
            assert!(
                !messages.is_empty(),
                "a page with more to come has a message"
            );
            if self.got.len() >= until {
                return false;
            }
        }
    }

    /// Follows with cuts at random moments until `done` messages are collected.
    pub async fn follow_with_cuts(&mut self, gateway: &Gateway, done: usize, mut random: impl Rng) {
        while self.got.len() < done {
            let budget = random.random_range(1..done / 25);
            self.follow(gateway, budget, done).await;
        }
    }

    /// Adds a message, which must lie after everything before it.
    fn take(&mut self, message: &Value) {
        let offset = message["offset"].as_u64().unwrap();
        assert!(
            offset > self.position.offset,
            "offset {offset} came after {}",
            self.position.offset
        );
        self.position.offset = offset;
        self.got.push((offset, message["data"].clone()));
    }
}
