//! What gateways tell each other: entries, each of one connection in one topic, and who tells it.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest, Sha256};

use super::wire;
use crate::broker::Member;
use crate::names::{ConnectionId, RoomName, UserId};

/// What a connection can be present in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// The members of a room.
    Room(RoomName),
    /// The connections of a user that a token names.
    User(UserId),
}

/// One connection's entry in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attendee {
    /// Who it is. `user` need not repeat the name of a [`Topic::User`].
    pub member: Member,
    /// When it connected, in milliseconds since the Unix epoch by its gateway's clock. It orders the connections of a
    /// user and decides nothing else.
    pub connected_ms: u64,
}

/// 128 random bits that name one run of a gateway process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId([u8; 16]);

impl ProcessId {
    /// Draws a new id.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// The id with these bits.
    pub fn from_bytes(bits: [u8; 16]) -> Self {
        Self(bits)
    }

    /// The 128 bits.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// 32 hexadecimal digits, which are one token of a NATS subject.
impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A gateway for as long as its lease lasts without a break. Lives of a process are counted, so whoever knows an earlier
/// one knows that a later one took its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation {
    /// Which process.
    pub process: ProcessId,
    /// Which of its lives, from 1.
    pub life: u32,
}

impl Incarnation {
    /// Reads the written form, which is also the key of its lease.
    pub fn parse(text: &str) -> Option<Self> {
        let (process, life) = text.split_once('-')?;
        let found = Self {
            process: ProcessId(u128::from_str_radix(process, 16).ok()?.to_be_bytes()),
            life: life.parse().ok()?,
        };
        (found.to_string() == text).then_some(found) // one key for each, so no second spelling
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.process, self.life)
    }
}

/// Names an entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub topic: Topic,
    /// The bits of the connection's id: their order is of no meaning, and quick.
    connection: [u8; 16],
}

impl Key {
    pub fn new(topic: Topic, connection: ConnectionId) -> Self {
        Self {
            topic,
            connection: *connection.as_bytes(),
        }
    }

    pub fn connection(&self) -> ConnectionId {
        ConnectionId::from_bytes(self.connection)
    }
}

/// One step of a gateway's own history; the n-th since its process began has the clock n.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Set(Topic, Attendee),
    Remove(Key),
    /// The gateway drains: its connections do not count for a user any more.
    Drain,
}

/// All entries of one gateway.
#[derive(Debug, Clone, Default)]
pub(super) struct Entries {
    map: BTreeMap<Key, Attendee>,
    draining: bool,
    /// Sum of the entries' hashes, so that it can be kept up to date with each change.
    hash: u64,
}

impl Entries {
    pub fn set(&mut self, topic: Topic, attendee: Attendee) -> Option<Attendee> {
        let key = Key::new(topic, attendee.member.connection);
        self.hash = self.hash.wrapping_add(hash(&key.topic, &attendee));
        let old = self.map.insert(key.clone(), attendee);
        if let Some(old) = &old {
            self.hash = self.hash.wrapping_sub(hash(&key.topic, old));
        }
        old
    }

    pub fn remove(&mut self, key: &Key) -> Option<Attendee> {
        let old = self.map.remove(key);
        if let Some(old) = &old {
            self.hash = self.hash.wrapping_sub(hash(&key.topic, old));
        }
        old
    }

    pub fn drain(&mut self) {
        self.draining = true;
    }

    pub fn is_draining(&self) -> bool {
        self.draining
    }

    pub fn get(&self, key: &Key) -> Option<&Attendee> {
        self.map.get(key)
    }

    /// All, those of one topic together.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Attendee)> {
        self.map.iter()
    }

    /// Those of one topic.
    pub fn of(&self, topic: &Topic) -> impl Iterator<Item = &Attendee> {
        let bound = |byte| Key {
            topic: topic.clone(),
            connection: [byte; 16],
        };
        self.map
            .range(bound(0)..=bound(u8::MAX))
            .map(|(_, attendee)| attendee)
    }

    /// What two gateways compare to know that they mean the same.
    pub fn summary(&self) -> Summary {
        Summary {
            count: self.map.len() as u64,
            hash: self.hash.wrapping_add(u64::from(self.draining)),
        }
    }
}

/// Number and hash of a gateway's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Summary {
    pub count: u64,
    pub hash: u64,
}

/// The same in every build of the gateway, as the standard library's hashes are not.
fn hash(topic: &Topic, attendee: &Attendee) -> u64 {
    let digest = Sha256::digest(wire::entry(topic, attendee));
    digest[..8]
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incarnation_reads_back_what_it_writes_and_nothing_else() {
        let one = Incarnation {
            process: ProcessId::random(),
            life: 7,
        };
        assert_eq!(Incarnation::parse(&one.to_string()), Some(one));
        for text in ["", "-", "0-1", &format!("{}-07", one.process), "x-1"] {
            assert_eq!(Incarnation::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_summary_depends_on_what_is_there_and_not_on_how_it_came() {
        let topic = |name| Topic::Room(RoomName::parse(name).unwrap());
        let attendee = |info: &str| Attendee {
            member: Member {
                connection: ConnectionId::from_bytes([7; 16]),
                user: None,
                info: Some(info.into()),
            },
            connected_ms: 1,
        };
        let (mut one, mut two) = (Entries::default(), Entries::default());
        one.set(topic("a"), attendee("x"));
        one.set(topic("b"), attendee("y"));
        two.set(topic("b"), attendee("z"));
        two.set(topic("b"), attendee("y"));
        assert_ne!(one.summary(), two.summary());
        two.set(topic("a"), attendee("x"));
        assert_eq!(one.summary(), two.summary());
        two.remove(&Key::new(topic("a"), ConnectionId::from_bytes([7; 16])));
        assert_ne!(one.summary(), two.summary());
        assert_eq!(two.of(&topic("b")).count(), 1);
        assert_eq!(two.of(&topic("a")).count(), 0);
    }
}
