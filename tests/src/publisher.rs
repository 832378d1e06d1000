//! A client that publishes as an application should: with a `message_id`, again and again until there is an ack.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use rand::Rng;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};

use crate::client::{Client, is_passing};
use crate::fleet::Doors;
use crate::follower::Position;

/// How many publishes are under way at most.
const UNDER_WAY: usize = 16;

/// How long it waits before it tries again.
const PAUSE: Duration = Duration::from_millis(100);

/// A publish that was acked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acked {
    /// To which room.
    pub room: String,
    /// Where it stands.
    pub at: Position,
    /// What.
    pub data: Value,
}

/// One publisher.
#[derive(Debug)]
pub struct Publisher {
    name: String,
    /// The secret that makes its publishes the same publisher's on every connection.
    session: Option<Value>,
    /// Everything that was acked.
    pub acked: Vec<Acked>,
    /// Error codes that it met, and how often.
    pub refused: HashMap<String, usize>,
    enough: watch::Receiver<bool>,
}

/// What is not published yet.
#[derive(Debug)]
struct Waiting {
    /// Never tried.
    fresh: Range<u64>,
    /// Tried, without an ack.
    again: VecDeque<u64>,
    enough: watch::Receiver<bool>,
}

impl Waiting {
    /// Numbers below `count`; none that was not tried yet once it is `enough`.
    fn numbers_to(count: u64, enough: watch::Receiver<bool>) -> Self {
        Self {
            fresh: 0..count,
            again: VecDeque::new(),
            enough,
        }
    }

    fn is_over(&self) -> bool {
        self.again.is_empty() && (self.fresh.is_empty() || *self.enough.borrow())
    }

    /// The next to publish.
    fn next(&mut self) -> Option<u64> {
        if *self.enough.borrow() {
            return self.again.pop_front();
        }
        self.fresh.next().or_else(|| self.again.pop_front())
    }
}

impl Publisher {
    /// A publisher whose messages are `["<name>", 0]` and so on.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            session: None,
            acked: Vec::new(),
            refused: HashMap::new(),
            enough: watch::channel(false).1,
        }
    }

    /// The same, and it begins no further message once it is `enough`.
    #[must_use]
    pub fn until(self, enough: watch::Receiver<bool>) -> Self {
        Self { enough, ..self }
    }

    /// Publishes `count` messages to `rooms` in turn, `pace` apart, and sees to it that each is acked. Adds to
    /// `progress` with each ack. Where its connection ends it goes to another door than the last, at first to `door`.
    ///
    /// # Panics
    /// When a publish is refused for good, or is not answered.
    pub async fn publish(
        &mut self,
        doors: &Doors,
        mut door: SocketAddr,
        rooms: &[String],
        (count, pace): (u64, Duration),
        progress: &watch::Sender<u64>,
        mut random: impl Rng,
    ) {
        let mut waiting = Waiting::numbers_to(count, self.enough.clone());
        let mut ticks = tokio::time::interval(pace);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !waiting.is_over() {
            match self.connect(door).await {
                Some(client) => {
                    self.session(client, rooms, &mut waiting, &mut ticks, progress)
                        .await;
                }
                None => tokio::time::sleep(PAUSE).await,
            }
            door = doors.other(Some(door), &mut random);
        }
    }

    /// Connects as the same publisher.
    async fn connect(&mut self, door: SocketAddr) -> Option<Client> {
        let mut client = Client::attempt(door).await?;
        match &self.session {
            None => self.session = Some(client.connected["session"].clone()),
            Some(session) => {
                let request = json!({"type": "connect", "session": session});
                let ack = client.request_or_end(request).await?.unwrap();
                assert_eq!(ack["session"], *session, "every gateway takes the session");
            }
        }
        Some(client)
    }

    /// Publishes what is waiting until all is acked or the connection ended; what has no ack then is waiting again.
    async fn session(
        &mut self,
        mut client: Client,
        rooms: &[String],
        waiting: &mut Waiting,
        ticks: &mut Interval,
        progress: &watch::Sender<u64>,
    ) {
        let mut under_way: Vec<u64> = Vec::new();
        while !(waiting.is_over() && under_way.is_empty()) {
            let room_for_more = !waiting.is_over() && under_way.len() < UNDER_WAY;
            let frame = tokio::select! {
                _ = ticks.tick(), if room_for_more => {
                    let Some(number) = waiting.next() else { continue };
                    under_way.push(number);
                    if client.send_or_end(self.request(rooms, number)).await {
                        continue;
                    }
                    None
                }
                frame = client.next_or_end() => frame,
            };
            let Some(frame) = frame else { break };
            let Some(number) = frame["id"].as_u64() else {
                continue; // a goaway, say
            };
            under_way.retain(|other| *other != number);
            if frame["type"] == "ack" {
                self.acked.push(Acked {
                    room: room_of(rooms, number).to_owned(),
                    at: Position::of(&frame),
                    data: self.data(number),
                });
                progress.send_modify(|acked| *acked += 1);
                continue;
            }
            assert!(is_passing(&frame), "{frame}");
            let code = frame["code"].as_str().unwrap().to_owned();
            *self.refused.entry(code).or_default() += 1;
            waiting.again.push_back(number);
            tokio::time::sleep(PAUSE).await;
        }
        waiting.again.extend(under_way);
    }

    fn request(&self, rooms: &[String], number: u64) -> Value {
        json!({
            "type": "publish",
            "id": number,
            "room": room_of(rooms, number),
            "data": self.data(number),
            "message_id": format!("{}-{number}", self.name),
        })
    }

    fn data(&self, number: u64) -> Value {
        json!([self.name, number])
    }
}

fn room_of(rooms: &[String], number: u64) -> &str {
    &rooms[number as usize % rooms.len()]
}
