//! One room, as the hub has it in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Address;
use super::presence::Presence;
use super::ring::Ring;
use super::rings::Place;
use super::watching::Waiting;
use crate::broker::{Partition, Token};
use crate::config::{PresenceMode, Rules};
use crate::message::Message;
use crate::names::RoomName;

/// A room that somebody is in, or that keeps messages.
#[derive(Debug)]
pub struct Room {
    /// Shared with all its messages.
    pub name: RoomName,
    /// The store of its messages, where it keeps any.
    pub partition: Partition,
    /// Whether messages are kept.
    pub stored: bool,
    /// What is told of members.
    pub presence_mode: PresenceMode,
    /// Bound of `Full`.
    pub max_members: usize,
    /// All subscriptions, and whether they are live or still catching up.
    subscribers: HashMap<Address, bool>,
    /// Live subscriptions per shard.
    live: Box<[u32]>,
    /// What the broker was asked when it was told to listen, until it does.
    pub watch: Option<Token>,
    /// Subscribes that wait for that.
    pub waiting: Vec<Waiting>,
    /// The messages that it keeps; [`super::rings::Rings`] changes them.
    pub ring: Ring,
    /// Who is in it.
    pub presence: Option<Box<Presence>>,
    /// Messages of this turn, on their way to the shards.
    pub outgoing: Vec<Arc<Message>>,
    /// Messages that have come.
    pub messages: u64,
    /// Stamp of the last use.
    pub used: u64,
    /// Where it stands among the rooms with messages.
    pub place: Option<Place>,
}

impl Room {
    /// A room nobody is in.
    pub fn new(
        name: RoomName,
        rules: &Rules,
        shards: usize,
        partition: Partition,
        ring: Ring,
    ) -> Self {
        let mut room = Self {
            name,
            partition,
            stored: false,
            presence_mode: PresenceMode::Off,
            max_members: 0,
            subscribers: HashMap::new(),
            live: vec![0; shards].into(),
            watch: None,
            waiting: Vec::new(),
            ring,
            presence: None,
            outgoing: Vec::new(),
            messages: 0,
            used: 0,
            place: None,
        };
        room.apply(rules);
        room
    }

    /// Takes over what the rules say of the room.
    pub fn apply(&mut self, rules: &Rules) {
        let rule = rules.for_room(self.name.as_str());
        self.stored = rule.history;
        self.presence_mode = rule.presence;
        self.max_members = rule.max_members;
    }

    /// Adds or changes a subscription. Gives whether it is new.
    pub fn subscribe(&mut self, address: Address, live: bool) -> bool {
        let before = self.subscribers.insert(address, live);
        let count = &mut self.live[usize::from(address.shard)];
        match (before.unwrap_or(false), live) {
            (false, true) => *count += 1,
            (true, false) => *count -= 1,
            _ => {}
        }
        before.is_none()
    }

    /// Ends a subscription. Gives whether there was one.
    pub fn unsubscribe(&mut self, address: Address) -> bool {
        let before = self.subscribers.remove(&address);
        if before == Some(true) {
            self.live[usize::from(address.shard)] -= 1;
        }
        before.is_some()
    }

    /// Live subscriptions per shard.
    pub fn live(&self) -> &[u32] {
        &self.live
    }

    /// All subscriptions, live or not, by shard.
    pub fn addresses(&self) -> BTreeMap<u16, Vec<Address>> {
        let mut addresses: BTreeMap<u16, Vec<Address>> = BTreeMap::new();
        for address in self.subscribers.keys() {
            addresses.entry(address.shard).or_default().push(*address);
        }
        addresses
    }

    /// Whether a connection has a subscription.
    pub fn has(&self, address: Address) -> bool {
        self.subscribers.contains_key(&address)
    }

    /// The shards with live subscriptions.
    pub fn shards(&self) -> impl Iterator<Item = u16> + '_ {
        self.live
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(shard, _)| shard as u16)
    }

    /// Subscriptions, live or not.
    pub fn subscriptions(&self) -> usize {
        self.subscribers.len()
    }

    /// Whether subscribes wait until the broker hears it.
    pub fn awaits_broker(&self) -> bool {
        !self.stored && self.watch.is_some()
    }

    /// Whether it can be forgotten.
    pub fn is_idle(&self) -> bool {
        self.subscribers.is_empty()
            && self.ring.is_empty()
            && self
                .presence
                .as_ref()
                .is_none_or(|presence| presence.is_empty())
    }
}
