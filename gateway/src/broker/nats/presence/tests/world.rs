//! Gateways, a network with faults and a bucket of leases, all simulated under one seed and checked at every step.

mod events;
mod faults;

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
}
