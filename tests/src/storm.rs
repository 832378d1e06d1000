//! Many clients, many publishers, and a fault in the middle: what is told to whom is held against what was acked.

use std::collections::HashMap;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::fleet::Doors;
use crate::follower::{Follower, Holes, Position};
use crate::publisher::{Acked, Publisher};
use crate::wait::{until, within};

/// How long the last acks, and then the last messages, may take once the fault is over: seconds.
const CALM: u64 = 120;

/// Where a storm stands: how many of its publishes were acked, and how many clients are in their rooms.
#[derive(Debug, Clone)]
pub struct Progress {
    acked: watch::Receiver<u64>,
    total: u64,
    arrived: watch::Receiver<usize>,
    clients: usize,
}

impl Progress {
    /// Awaits that `percent` of all messages were acked.
    ///
    /// # Panics
    /// When that takes too long.
    pub async fn reaches(&mut self, percent: u64) {
        let least = self.total * percent / 100;
        let reached = self.acked.wait_for(|acked| *acked >= least);
        within(("percent acked:", percent), CALM, reached)
            .await
            .unwrap();
    }

    /// Awaits that every client was in its room once.
    ///
    /// # Panics
    /// When that takes too long.
    pub async fn all_are_there(&mut self) {
        let all = self.arrived.wait_for(|arrived| *arrived >= self.clients);
        within("all clients", CALM, all).await.unwrap();
    }

    /// Awaits that `more` publishes are acked from now on.
    ///
    /// # Panics
    /// When that takes too long.
    pub async fn goes_on(&mut self, more: u64) {
        let least = self.acked() + more;
        let reached = self.acked.wait_for(|acked| *acked >= least);
        within(("further acks:", more), CALM, reached)
            .await
            .unwrap();
    }

    /// How many publishes were acked so far.
    #[must_use]
    pub fn acked(&self) -> u64 {
        *self.acked.borrow()
    }

    /// Whether everything was acked: what happens from now on happens to nobody.
    #[must_use]
    pub fn is_over(&self) -> bool {
        *self.acked.borrow() >= self.total
    }
}

/// The size of a storm. Messages are shared evenly among publishers.
#[derive(Debug, Clone)]
pub struct Storm {
    /// Clients that begin at each gateway.
    pub clients: usize,
    /// Messages of all publishers; fewer where the fault is over before and `calms` says so.
    pub messages: u64,
    /// Whether publishers begin no further message once the fault is over.
    pub calms: bool,
    /// Publishers, which begin at the gateways in turn.
    pub publishers: u64,
    /// Rooms that publishers write to and clients are in, in turn.
    pub rooms: usize,
    /// Messages a second, of all publishers.
    pub rate: u64,
    /// Clients cut their connection themselves, each time after at most so many messages.
    pub cuts: Option<usize>,
    /// Whether messages may be missing.
    pub holes: Holes,
    /// What chance follows.
    pub seed: u64,
}

impl Storm {
    /// 20,000 messages from 10 publishers in 4 rooms, for `LINNET_CLIENTS` clients a gateway, else 20; nothing may be
    /// missing.
    ///
    /// # Panics
    /// When `LINNET_CLIENTS` is no number.
    #[must_use]
    pub fn new() -> Self {
        let clients = std::env::var("LINNET_CLIENTS").ok();
        Self {
            clients: clients.map_or(20, |number| number.parse().unwrap()),
            messages: 20_000,
            calms: false,
            publishers: 10,
            rooms: 4,
            rate: 1000,
            cuts: None,
            holes: Holes::Forbidden,
            seed: crate::seed::seed(),
        }
    }

    /// Lets it blow over `gateways` gateways behind `doors` while `fault` does its worst, and gives what came of it, once
    /// everything was acked and every client stands at the end.
    ///
    /// # Panics
    /// When a client or publisher is treated badly.
    pub async fn blow(
        &self,
        doors: &Doors,
        gateways: usize,
        fault: impl AsyncFnOnce(Progress),
    ) -> Outcome {
        let rooms: Vec<String> = (0..self.rooms).map(|n| format!("room.{n}")).collect();
        let (progress, acked) = watch::channel(0);
        let (arrivals, arrived) = watch::channel(0);
        let (enough, _) = watch::channel(false);
        let mut ends = Vec::new();
        let mut followers = Vec::new();
        for room in &rooms {
            // Those who came for the rooms before may be too many at once for a moment.
            let door = doors.at(0);
            let mut client = until("a client at the door", || Client::attempt(door)).await;
            let start = Position::of(&client.subscribe(room).await);
            let (end, _) = watch::channel(u64::MAX);
            for n in (0..self.clients * gateways).filter(|n| room == &rooms[n % rooms.len()]) {
                let follower = Follower::new(room, start.clone())
                    .allowing(self.holes)
                    .announced_to(arrivals.clone());
                let first = doors.at((n / rooms.len()) % gateways);
                followers.push(self.follow(follower, n, doors, first, end.subscribe()));
            }
            ends.push(end);
        }
        let publishers: Vec<_> = (0..self.publishers)
            .map(|n| {
                let publisher = Publisher::new(&format!("p{n}")).until(enough.subscribe());
                self.publish(publisher, n, doors, gateways, &rooms, &progress)
            })
            .collect();

        let total = self.share() * self.publishers;
        let clients = self.clients * gateways;
        fault(Progress {
            acked,
            total,
            arrived,
            clients,
        })
        .await;
        enough.send_replace(self.calms);
        let mut outcome = Outcome::default();
        for publisher in publishers {
            let publisher = within("the last ack", CALM, publisher).await.unwrap();
            for (code, count) in publisher.refused {
                *outcome.refused.entry(code).or_default() += count;
            }
            outcome.acked.extend(publisher.acked);
        }
        for (room, end) in rooms.iter().zip(&ends) {
            let last = outcome.of(room).map(|acked| acked.at.offset).max();
            end.send_replace(last.expect("a message in each room"));
        }
        for follower in followers {
            let follower = within("a client at the end", CALM, follower).await;
            outcome.followers.push(follower.unwrap());
        }
        outcome
    }

    fn share(&self) -> u64 {
        self.messages / self.publishers
    }

    fn random(&self, who: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed.wrapping_add(who))
    }

    fn follow(
        &self,
        mut follower: Follower,
        number: usize,
        doors: &Doors,
        first: std::net::SocketAddr,
        end: watch::Receiver<u64>,
    ) -> JoinHandle<Follower> {
        let (doors, cuts) = (doors.clone(), self.cuts);
        let random = self.random(1000 + number as u64);
        tokio::spawn(async move {
            follower
                .follow_to_the_end(&doors, first, end, cuts, random)
                .await;
            follower
        })
    }

    fn publish(
        &self,
        mut publisher: Publisher,
        number: u64,
        doors: &Doors,
        gateways: usize,
        rooms: &[String],
        progress: &watch::Sender<u64>,
    ) -> JoinHandle<Publisher> {
        let first = doors.at(number as usize % gateways);
        let (doors, rooms, progress) = (doors.clone(), rooms.to_vec(), progress.clone());
        let count = self.share();
        let pace = Duration::from_secs(1) * self.publishers as u32 / self.rate as u32;
        let random = self.random(number);
        tokio::spawn(async move {
            publisher
                .publish(&doors, first, &rooms, (count, pace), &progress, random)
                .await;
            publisher
        })
    }
}

impl Default for Storm {
    fn default() -> Self {
        Self::new()
    }
}

/// What came of a storm.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Everything that was published: each message was acked in the end.
    pub acked: Vec<Acked>,
    /// Error codes that publishers met, and how often.
    pub refused: HashMap<String, usize>,
    /// The clients, at the end.
    pub followers: Vec<Follower>,
}

impl Outcome {
    fn of(&self, room: &str) -> impl Iterator<Item = &Acked> {
        self.acked.iter().filter(move |acked| acked.room == room)
    }

    /// What was acked in `room`, in the order of offsets.
    fn written(&self, room: &str) -> Vec<(u64, Value)> {
        let mut written: Vec<_> = self
            .of(room)
            .map(|acked| (acked.at.offset, acked.data.clone()))
            .collect();
        written.sort_by_key(|(offset, _)| *offset);
        written
    }

    /// Everybody got everything once and in order, and the history at `client` is the same.
    ///
    /// # Panics
    /// When not.
    pub async fn is_whole(&self, client: &mut Client) {
        let mut written = HashMap::new();
        for follower in &self.followers {
            let room = follower.room();
            let written = written.entry(room).or_insert_with(|| self.written(room));
            same("a client's messages", &follower.got, written);
        }
        self.is_in_history(client).await;
    }

    /// What was acked is in the history at `client`, each message once, and nothing else.
    ///
    /// # Panics
    /// When not.
    pub async fn is_in_history(&self, client: &mut Client) {
        let rooms: std::collections::BTreeSet<&str> =
            self.acked.iter().map(|acked| acked.room.as_str()).collect();
        for room in rooms {
            let last = self.of(room).max_by_key(|acked| acked.at.offset);
            client
                .comes_from(room, &last.expect("a message in each room").at)
                .await;
            let history = history(client, room).await;
            same("the history", &history, &self.written(room));
        }
    }

    /// Nobody got anything twice, or what was never written, and misses only what it was told of.
    ///
    /// # Panics
    /// When not.
    pub fn loses_nothing_in_silence(&self) {
        for follower in &self.followers {
            let written = self.written(follower.room());
            let mut got = follower.got.iter().peekable();
            for message in &written {
                if got.next_if(|next| *next == message).is_none() {
                    assert!(
                        follower.knows_of_loss_at(message.0),
                        "{message:?} is missing without a word; told were {:?}",
                        follower.holes
                    );
                }
            }
            assert_eq!(got.next(), None, "nobody wrote this, or it came late");
        }
    }

    /// How often anybody was told that messages are missing.
    #[must_use]
    pub fn holes(&self) -> usize {
        self.followers
            .iter()
            .map(|follower| follower.holes.len())
            .sum()
    }
}

/// Compares two runs of messages, and tells only where they part.
fn same(what: &str, one: &[(u64, Value)], other: &[(u64, Value)]) {
    let parting = one.iter().zip(other).position(|(one, other)| one != other);
    let at = parting.unwrap_or(one.len().min(other.len()));
    assert!(
        one == other,
        "{what}: {} instead of {}; they part at number {at}: {:?} instead of {:?}",
        one.len(),
        other.len(),
        one.get(at),
        other.get(at)
    );
}

/// All that `client` can read of a room's history, oldest first.
///
/// # Panics
/// When it is refused.
pub async fn history(client: &mut Client, room: &str) -> Vec<(u64, Value)> {
    let mut all: Vec<(u64, Value)> = Vec::new();
    loop {
        let after = all.last().map_or(0, |(offset, _)| *offset);
        let page = client
            .ack(json!({"type": "history", "room": room, "after": after}))
            .await;
        let messages = page["messages"].as_array().unwrap().iter();
        all.extend(messages.map(|message| {
            let offset = message["offset"].as_u64().unwrap();
            (offset, message["data"].clone())
        }));
        if page["more"] == false {
            return all;
        }
    }
}
