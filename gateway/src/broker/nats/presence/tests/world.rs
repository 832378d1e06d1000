//! Gateways, a network with faults and a bucket of leases, all simulated under one seed and checked at every step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::entry::{Attendee, Incarnation, ProcessId, Topic};
use super::super::state::{Config, Effect, News};
use super::node::{Arrival, Key, Node, topics};
use crate::broker::Member;
use crate::names::ConnectionId;

/// How late a gateway may look what is due, in milliseconds.
const TICK: u64 = 50;
/// How often the server looks for leases that have ended.
const EXPIRY: u64 = 250;

/// What the network does to messages between gateways.
#[derive(Debug, Clone, Copy)]
pub struct Network {
    pub loss: f64,
    pub duplicates: f64,
    /// Milliseconds; longer delays than between two messages reorder them.
    pub max_delay: u64,
    /// Renewals that are made, but whose answer does not come.
    pub lost_answers: f64,
}

impl Network {
    pub const CALM: Self = Self {
        loss: 0.0,
        duplicates: 0.0,
        max_delay: 5,
        lost_answers: 0.0,
    };
}

enum Event {
    Arrival(usize, u64, Arrival),
    Renewal(usize, u64, Incarnation),
    Reconnect(usize),
}

/// Everything.
pub struct World {
    pub rng: StdRng,
    /// Milliseconds since the beginning.
    pub now: u64,
    pub nodes: Vec<Node>,
    pub network: Network,
    pub jetstream: bool,
    pub config: Config,
    seed: u64,
    nats: bool,
    events: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
    leases: BTreeMap<Incarnation, u64>,
    /// Leases that ever were: one that ended is not created again.
    known: BTreeSet<Incarnation>,
    version: u64,
}

/// Says which seed failed.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "at {} ms: reproduce with LINNET_SEED={}",
                self.now, self.seed
            );
        }
    }
}

/// The seeds to run: that of `LINNET_SEED`, else the first `count`.
pub fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let given = std::env::var("LINNET_SEED").ok();
    let given: Option<u64> = given.map(|seed| seed.parse().expect("LINNET_SEED is a number"));
    given.map_or(0..count, |seed| seed..seed + 1)
}

impl World {
    /// `gateways` that have found each other.
    pub fn new(seed: u64, gateways: usize) -> Self {
        let mut world = Self {
            rng: StdRng::seed_from_u64(seed),
            now: 0,
            nodes: Vec::new(),
            network: Network::CALM,
            jetstream: true,
            config: Config::default(),
            seed,
            nats: true,
            events: BTreeMap::new(),
            scheduled: 0,
            leases: BTreeMap::new(),
            known: BTreeSet::new(),
            version: 0,
        };
        for _ in 0..gateways {
            world.start();
        }
        world.run(1000);
        world
    }

    /// Starts one more gateway.
    pub fn start(&mut self) -> usize {
        let process = ProcessId::from_bytes(self.rng.random());
        let node = Node::new(process, self.config, self.time());
        self.nodes.push(node);
        let node = self.nodes.len() - 1;
        self.reconnect(node);
        node
    }

    pub fn time(&self) -> Duration {
        Duration::from_millis(self.now)
    }

    /// Indices of the gateways that have not ended.
    pub fn up(&self) -> Vec<usize> {
        let up = |node: &usize| self.nodes[*node].ended.is_none();
        (0..self.nodes.len()).filter(up).collect()
    }

    /// Lets time pass.
    pub fn run(&mut self, milliseconds: u64) {
        let end = self.now + milliseconds;
        while self.now < end {
            let tick = (self.now / TICK + 1) * TICK;
            let event = self.events.first_key_value().map(|(key, _)| key.0);
            self.now = tick.min(end).min(event.unwrap_or(end)).max(self.now);
            while let Some(entry) = self.events.first_entry()
                && entry.key().0 <= self.now
            {
                let event = entry.remove();
                self.happen(event);
            }
            if self.now.is_multiple_of(EXPIRY) {
                self.expire();
            }
            for node in self.up() {
                let one = &self.nodes[node];
                if self.now.is_multiple_of(TICK) && !one.paused && one.wake_at <= self.time() {
                    self.tick(node);
                }
            }
        }
    }

    pub fn join(&mut self, node: usize, topic: Topic, connection: ConnectionId) {
        self.version += 1;
        let attendee = Attendee {
            member: Member {
                connection,
                user: None,
                info: Some(format!("{}", self.version).into()),
            },
            connected_ms: self.version,
        };
        let node = &mut self.nodes[node];
        node.own
            .insert((topic.clone(), connection), attendee.clone());
        node.state.join(topic, attendee);
        node.wake();
    }

    pub fn leave(&mut self, node: usize, key: &Key) {
        let node = &mut self.nodes[node];
        node.own.remove(key);
        node.state.leave(key.0.clone(), key.1);
        node.wake();
    }

    pub fn drain(&mut self, node: usize) {
        self.nodes[node].draining = true;
        self.nodes[node].state.drain();
        self.nodes[node].wake();
    }

    /// A new connection in a random topic.
    pub fn join_somewhere(&mut self, node: usize) {
        let all = topics();
        let topic = all[self.rng.random_range(0..all.len())].clone();
        let connection = ConnectionId::from_bytes(self.rng.random());
        self.join(node, topic, connection);
    }

    /// SIGKILL.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].ended = Some(self.now);
        self.nodes[node].connected = false;
    }

    /// The end of a drain.
    pub fn goodbye(&mut self, node: usize) {
        self.nodes[node].state.goodbye();
        self.effects(node);
        self.kill(node);
    }

    /// SIGSTOP.
    pub fn pause(&mut self, node: usize) {
        self.nodes[node].paused = true;
    }

    /// SIGCONT: all that has arrived comes at once.
    pub fn resume(&mut self, node: usize) {
        self.nodes[node].paused = false;
        for arrival in std::mem::take(&mut self.nodes[node].backlog) {
            self.arrive(node, arrival);
        }
        self.tick(node);
    }

    /// Cuts one gateway off.
    pub fn disconnect(&mut self, node: usize) {
        if std::mem::take(&mut self.nodes[node].connected) {
            self.nodes[node].session += 1;
            self.nodes[node].watching = false;
            self.arrive(node, Arrival::Connected(false));
        }
    }

    /// Its connection is made anew, if NATS is there.
    pub fn reconnect(&mut self, node: usize) {
        let one = &mut self.nodes[node];
        if self.nats && !one.connected && one.ended.is_none() {
            one.connected = true;
            self.arrive(node, Arrival::Connected(true));
        }
    }

    /// NATS goes away for everybody.
    pub fn outage(&mut self) {
        self.nats = false;
        for node in self.up() {
            self.disconnect(node);
        }
    }

    /// And comes back: the gateways find it again within ten seconds.
    pub fn recover(&mut self) {
        self.nats = true;
        for node in self.up() {
            let at = self.now + self.rng.random_range(1..10_000);
            self.schedule(at, Event::Reconnect(node));
        }
    }

    /// Somebody deletes the bucket: watches break and are begun again.
    pub fn delete_bucket(&mut self) {
        self.leases.clear();
        for node in &mut self.nodes {
            node.watching = false;
        }
    }

    /// The server ends a gateway's lease although the gateway is well.
    pub fn end_lease(&mut self, node: usize) {
        let of = self.nodes[node].state.incarnation();
        if self.leases.remove(&of).is_some() {
            self.announce(&Arrival::Gone(of));
        }
    }

    /// Everything that a gateway ever sent comes once more, to everybody.
    pub fn repeat(&mut self, node: usize) {
        for bytes in self.nodes[node].sent.clone() {
            for to in self.up() {
                self.send(to, &bytes);
            }
        }
    }

    /// Panics unless every gateway sees all entries of those that are up, and nothing else.
    pub fn converged(&self) {
        let up = self.up();
        let mut all = BTreeMap::new();
        let mut alive = Vec::new();
        for node in up.iter().map(|node| &self.nodes[*node]) {
            for (key, attendee) in &node.own {
                let draining = node.draining && matches!(key.0, Topic::User(_));
                all.insert(key.clone(), (attendee.clone(), draining));
            }
            alive.push(node.state.incarnation());
        }
        alive.sort_unstable();
        for number in up {
            let node = &self.nodes[number];
            assert_eq!(node.view, all, "gateway {number}");
            for topic in topics() {
                let there = all.iter().filter(|((of, _), _)| *of == topic);
                let mut there: Vec<_> = there
                    .map(|(_, (attendee, _))| attendee.member.clone())
                    .collect();
                there.sort_unstable_by_key(|member| member.connection);
                let whole = node.state.look(&topic, None, usize::MAX);
                assert_eq!(
                    (whole.count, &whole.members),
                    (there.len(), &there),
                    "gateway {number}"
                );
                let Some((first, rest)) = there.split_first() else {
                    continue;
                };
                let page = node.state.look(&topic, Some(first.connection), 2);
                assert_eq!(page.members, rest[..rest.len().min(2)], "gateway {number}");
                assert_eq!(page.count, there.len());
            }
            assert_eq!(node.state.alive(), alive, "gateway {number}");
        }
    }

    /// Panics if a gateway keeps what it does not need.
    pub fn at_rest(&mut self) {
        let up = self.up();
        for node in &up {
            let peers = self.nodes[*node].state.peers();
            peers.is_at_rest(up.len() - 1).unwrap();
        }
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.scheduled += 1;
        self.events.insert((at, self.scheduled), event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Reconnect(node) => self.reconnect(node),
            Event::Arrival(node, session, arrival) => {
                if self.nodes[node].session == session {
                    self.arrive(node, arrival);
                }
            }
            Event::Renewal(node, session, of) => {
                if self.nats && self.jetstream && self.nodes[node].session == session {
                    self.renewed(node, of);
                } else {
                    let failed = Event::Arrival(node, session, Arrival::Failed);
                    self.schedule(self.now + 2000, failed);
                }
            }
        }
    }

    fn arrive(&mut self, node: usize, arrival: Arrival) {
        let now = self.time();
        let one = &mut self.nodes[node];
        if one.ended.is_some() {
            return;
        }
        if one.paused {
            one.backlog.push(arrival);
            return;
        }
        match arrival {
            Arrival::Bytes(bytes) => one.state.receive(&bytes, now),
            Arrival::Seen(of) => one.state.lease_seen(of, now),
            Arrival::Gone(of) => one.state.lease_gone(of, now),
            Arrival::Read(all) => one.state.leases_read(&all, now),
            Arrival::Lost(of) => one.state.lease_lost(of, now),
            Arrival::Failed => one.state.renewal_failed(now),
            Arrival::Connected(connected) => one.state.connected(connected, now),
        }
        self.tick(node);
    }

    fn tick(&mut self, node: usize) {
        let now = self.time();
        self.nodes[node].state.tick(now);
        self.nodes[node].wake_at = self.nodes[node].state.wake_at(now);
        self.effects(node);
    }

    fn effects(&mut self, node: usize) {
        while let Some(effect) = self.nodes[node].state.effect() {
            let connected = self.nodes[node].connected;
            match effect {
                Effect::Tell(news) => self.tell(node, news),
                _ if !connected => {}
                Effect::Broadcast(bytes) => {
                    self.nodes[node].sent.push(bytes.clone());
                    for to in self.up() {
                        self.send(to, &bytes); // to the sender too
                    }
                }
                Effect::Send { to, bytes } => {
                    self.nodes[node].sent.push(bytes.clone());
                    let to = self.nodes.iter().position(|node| node.process == to);
                    self.send(to.unwrap(), &bytes);
                }
                Effect::Renew(of) => {
                    let at = self.now + self.delay();
                    let session = self.nodes[node].session;
                    self.schedule(at, Event::Renewal(node, session, of));
                }
                Effect::Release(of) => {
                    if self.leases.remove(&of).is_some() {
                        self.announce(&Arrival::Gone(of));
                    }
                }
            }
        }
    }

    fn delay(&mut self) -> u64 {
        self.rng.random_range(1..=self.network.max_delay)
    }

    fn send(&mut self, to: usize, bytes: &Bytes) {
        if !self.nodes[to].connected || self.rng.random_bool(self.network.loss) {
            return;
        }
        let copies = 1 + u8::from(self.rng.random_bool(self.network.duplicates));
        for _ in 0..copies {
            let at = self.now + self.delay();
            let session = self.nodes[to].session;
            let arrival = Arrival::Bytes(bytes.clone());
            self.schedule(at, Event::Arrival(to, session, arrival));
        }
    }

    /// The server takes a renewal.
    fn renewed(&mut self, node: usize, of: Incarnation) {
        let until = self.now + self.config.lease.as_millis() as u64;
        let held = self.leases.contains_key(&of);
        let unsure = std::mem::take(&mut self.nodes[node].unsure);
        if !held && self.known.contains(&of) || held && unsure {
            self.watched(node, Arrival::Lost(of));
            return;
        }
        self.known.insert(of);
        self.leases.insert(of, until);
        self.nodes[node].unsure = self.rng.random_bool(self.network.lost_answers);
        self.announce(&Arrival::Seen(of));
        if !std::mem::replace(&mut self.nodes[node].watching, true) {
            let all = self.leases.keys().copied().collect();
            self.watched(node, Arrival::Read(all));
        }
    }

    fn expire(&mut self) {
        if !self.nats || !self.jetstream {
            return;
        }
        let now = self.now;
        let ended: Vec<Incarnation> = self
            .leases
            .extract_if(.., |_, until| *until <= now)
            .map(|(of, _)| of)
            .collect();
        for of in ended {
            self.announce(&Arrival::Gone(of));
        }
    }

    fn announce(&mut self, arrival: &Arrival) {
        for node in self.up() {
            if self.nodes[node].watching {
                self.watched(node, arrival.clone());
            }
        }
    }

    /// In the order of the stream.
    fn watched(&mut self, node: usize, arrival: Arrival) {
        let at = (self.now + self.delay()).max(self.nodes[node].watch_busy);
        self.nodes[node].watch_busy = at;
        let session = self.nodes[node].session;
        self.schedule(at, Event::Arrival(node, session, arrival));
    }

    fn tell(&mut self, node: usize, news: News) {
        let ended = match &news {
            News::Left { connection, .. } => {
                let owns = |node: &&Node| node.own.keys().any(|(_, one)| one == connection);
                let owner = self.nodes.iter().find(owns);
                owner.and_then(|owner| owner.ended)
            }
            News::Joined { .. } | News::Watching(_) => None,
        };
        self.nodes[node].take(self.now, ended, news);
    }
}
