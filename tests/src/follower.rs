//! A client that follows a room across cuts as an application should: it remembers its position, resumes, turns pages,
//! and drops what it has passed. What it collects must be the room, each message once.

use std::net::SocketAddr;
use std::time::Duration;

use rand::{Rng, RngExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::{Client, is_passing};
use crate::fleet::Doors;

/// How long a client waits before it tries again what was refused for the moment.
const PAUSE: Duration = Duration::from_millis(100);

/// Seconds that a room may be silent: longer than any fault lasts.
const PATIENCE: u64 = 90;

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

/// What a gateway said may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// The last position before it.
    pub after: Position,
    /// The last position in it.
    pub until: Position,
}

/// A time that a client was away: its connection had ended, or it had left at the gateway's bidding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absence {
    /// When it began.
    pub left: Instant,
    /// When a gateway greeted the client again, the last time before it was back.
    pub greeted: Instant,
    /// When it had everything that it had missed.
    pub back: Instant,
}

/// How much a follower puts up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holes {
    /// A `recovered:false` ends the test.
    Forbidden,
    /// They are noted.
    Noted,
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
    /// How many messages it had passed already when they came.
    pub repeats: usize,
    /// How often it was told of a gap.
    pub gaps: usize,
    /// What gateways said is missing.
    pub holes: Vec<Hole>,
    /// The times that it was away, oldest first.
    pub absences: Vec<Absence>,
    /// Since when it is away, if it is; not before it was in its room once.
    left: Option<Instant>,
    arrived: bool,
    allowed: Holes,
    arrivals: Option<watch::Sender<usize>>,
}

impl Follower {
    /// A follower that has seen nothing after `position`, and is to get everything.
    #[must_use]
    pub fn new(room: &str, position: Position) -> Self {
        Self {
            room: room.to_owned(),
            position,
            got: Vec::new(),
            resumes: 0,
            pages: 0,
            repeats: 0,
            gaps: 0,
            holes: Vec::new(),
            absences: Vec::new(),
            left: None,
            arrived: false,
            allowed: Holes::Forbidden,
            arrivals: None,
        }
    }

    /// The same, but `allowed` says whether messages may be missing.
    #[must_use]
    pub fn allowing(self, allowed: Holes) -> Self {
        Self { allowed, ..self }
    }

    /// The same, and it adds one to `arrivals` when it is in its room for the first time.
    #[must_use]
    pub fn announced_to(self, arrivals: watch::Sender<usize>) -> Self {
        Self {
            arrivals: Some(arrivals),
            ..self
        }
    }

    /// The room that it follows.
    #[must_use]
    pub fn room(&self) -> &str {
        &self.room
    }

    /// Follows with cuts at random moments, each time at another door, until `done` messages are collected.
    pub async fn follow_with_cuts(&mut self, doors: &Doors, done: usize, mut random: impl Rng) {
        let (_never, mut end) = watch::channel(u64::MAX);
        let mut door = None;
        while self.got.len() < done {
            let budget = random.random_range(1..done / 25);
            let until = done.min(self.got.len() + budget);
            let next = doors.other(door, &mut random);
            self.visit(next, until, &mut end).await;
            door = Some(next);
        }
    }

    /// Follows until it stands at the offset that `end` tells, or beyond. Where its connection ends it goes to another
    /// door; with a `budget` it also cuts the connection itself, each time after 1 to `budget` messages.
    pub async fn follow_to_the_end(
        &mut self,
        doors: &Doors,
        first: SocketAddr,
        mut end: watch::Receiver<u64>,
        budget: Option<usize>,
        mut random: impl Rng,
    ) {
        let mut door = first;
        while self.position.offset < *end.borrow() {
            let until = budget.map_or(usize::MAX, |budget| {
                self.got.len() + random.random_range(1..=budget)
            });
            self.visit(door, until, &mut end).await;
            door = doors.other(Some(door), &mut random);
        }
    }

    /// Connects, resumes and follows until it has `until` messages, stands at `end`, or the connection ended. Then the
    /// connection is cut, be that between two pages or between two live messages.
    ///
    /// # Panics
    /// When the gateway breaks the order, or says that messages are lost that must not be.
    async fn visit(&mut self, door: SocketAddr, until: usize, end: &mut watch::Receiver<u64>) {
        let Some(mut client) = Client::attempt(door).await else {
            tokio::time::sleep(PAUSE).await;
            return;
        };
        client.patience = PATIENCE;
        let greeted = Instant::now();
        let live = self.resume_until(&mut client, until).await;
        if live {
            self.arrive(greeted);
        }
        self.stay(&mut client, live, until, end).await;
        client.cut();
        // A visit that did not come to be live is a part of the absence before it.
        if self.arrived {
            self.left.get_or_insert_with(Instant::now);
        }
    }

    /// Follows while `live`, until it has `until` messages, stands at `end`, is asked to go, or the connection ended.
    async fn stay(
        &mut self,
        client: &mut Client,
        mut live: bool,
        until: usize,
        end: &mut watch::Receiver<u64>,
    ) {
        while live && self.got.len() < until {
            let here = self.position.offset;
            let frame = tokio::select! {
                _ = end.wait_for(|end| *end <= here) => return,
                frame = client.next_or_end() => frame,
            };
            let Some(frame) = frame else { return };
            match frame["type"].as_str().unwrap() {
                "message" => self.take(&frame),
                "gap" => {
                    self.gaps += 1;
                    live = self.resume_until(client, until).await;
                }
                // The gateway is about to go, and asks to be left.
                "goaway" => return,
                "unsubscribed" if frame["code"] == "catch_up_timeout" => {
                    live = self.resume_until(client, until).await;
                }
                other => panic!("unexpected {other}: {frame}"),
            }
        }
    }

    /// Notes that it is in its room, on a connection that was greeted then.
    fn arrive(&mut self, greeted: Instant) {
        if let Some(left) = self.left.take() {
            let back = Instant::now();
            self.absences.push(Absence {
                left,
                greeted,
                back,
            });
        }
        self.arrived = true;
        if let Some(arrivals) = self.arrivals.take() {
            arrivals.send_modify(|arrived| *arrived += 1);
        }
    }

    /// Subscribes from where it stands, page by page, until live.
    pub async fn resume(&mut self, client: &mut Client) {
        self.resume_until(client, usize::MAX).await;
    }

    /// Subscribes from where it stands, page by page, until live (gives true), until `until` messages are collected, or
    /// the connection ended.
    ///
    /// # Panics
    /// When an ack breaks a promise.
    async fn resume_until(&mut self, client: &mut Client, until: usize) -> bool {
        self.resumes += 1;
        let mut aside = client.set_aside();
        loop {
            let request =
                json!({"type": "subscribe", "room": self.room, "since": self.position.since()});
            let ack = match client.request_or_end(request).await {
                None => return false,
                Some(Ok(ack)) => ack,
                Some(Err(error)) => {
                    assert!(is_passing(&error), "{error}");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            // Live messages of a subscription that had a gap can come before the answer: it covers them.
            aside.extend(client.set_aside());
            self.pages += 1;
            if ack["recovered"] == false {
                self.lose(&ack, &aside);
                return true;
            }
            assert_eq!(ack["recovered"], true, "{ack}");
            assert_eq!(ack["epoch"], self.position.epoch, "{ack}");
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

    /// Notes that messages are missing up to the position of `ack`, but for those that came before it.
    fn lose(&mut self, ack: &Value, aside: &[Value]) {
        assert_eq!(
            self.allowed,
            Holes::Noted,
            "nothing may be missing after {:?}: {ack}",
            self.position
        );
        let until = Position::of(ack);
        let after = std::mem::replace(&mut self.position, until.clone());
        if after.epoch == until.epoch {
            self.position.offset = after.offset;
            let messages = aside.iter().filter(|frame| frame["type"] == "message");
            for message in messages {
                self.take(message);
            }
            self.position.offset = until.offset.max(self.position.offset);
        }
        self.holes.push(Hole { after, until });
    }

    /// Whether a message at `offset` may be missing.
    #[must_use]
    pub fn knows_of_loss_at(&self, offset: u64) -> bool {
        let covers = |hole: &Hole| hole.after.offset < offset && offset <= hole.until.offset;
        self.holes.iter().any(covers)
    }

    /// Adds a message. One that it has passed is dropped, as the protocol has it: that must be a repeat, or lie where
    /// messages may be missing.
    fn take(&mut self, message: &Value) {
        let offset = message["offset"].as_u64().unwrap();
        if offset <= self.position.offset {
            let known = self
                .got
                .binary_search_by_key(&offset, |(offset, _)| *offset);
            assert!(
                known.is_ok() || self.knows_of_loss_at(offset),
                "offset {offset} came after {}",
                self.position.offset
            );
            self.repeats += 1;
            return;
        }
        self.position.offset = offset;
        self.got.push((offset, message["data"].clone()));
    }
}
