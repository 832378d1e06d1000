//! A simulated gateway, which checks whatever it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use super::super::entry::{Attendee, Incarnation, ProcessId, Topic};
use super::super::state::{Config, News, State};
use crate::names::{ConnectionId, RoomName, UserId};

/// What names an entry.
pub type Key = (Topic, ConnectionId);

/// The topics of a simulation.
pub fn topics() -> Vec<Topic> {
    let room = |name| Topic::Room(RoomName::parse(name).unwrap());
    let user = |name| Topic::User(UserId::from_token(name).unwrap());
    vec![room("lobby"), room("a.b"), user("ann"), user("bob")]
}

/// What reaches a gateway.
#[derive(Debug, Clone)]
pub enum Arrival {
    Bytes(Bytes),
    Seen(Incarnation),
    Gone(Incarnation),
    Read(Vec<Incarnation>),
    Lost(Incarnation),
    Failed,
    Connected(bool),
}

/// One run of a gateway process and what it was told.
pub struct Node {
    pub state: State,
    pub process: ProcessId,
    /// Its own entries, as they must be seen everywhere.
    pub own: BTreeMap<Key, Attendee>,
    pub draining: bool,
    /// When it ended.
    pub ended: Option<u64>,
    pub paused: bool,
    pub connected: bool,
    pub view: BTreeMap<Key, (Attendee, bool)>,
    /// What it was told, and when.
    pub told: Vec<(u64, News)>,
    /// When it wants to look what is due.
    pub wake_at: Duration,
    pub backlog: Vec<Arrival>,
    /// Everything it sent.
    pub sent: Vec<Bytes>,
    /// Counts connections; what was sent over an earlier one is lost.
    pub session: u64,
    pub watching: bool,
    /// Until when the watch's deliveries are under way: they keep their order.
    pub watch_busy: u64,
    /// Its renewal's answer did not come, so it knows no revision to renew.
    pub unsure: bool,
    /// The newest facts seen of an entry.
    newest: BTreeMap<Key, u64>,
    /// Entries that left because their gateway ended.
    gone: BTreeSet<Key>,
}

impl Node {
    /// One that watches all topics, and is not connected yet.
    pub fn new(process: ProcessId, config: Config, now: Duration) -> Self {
        let mut state = State::new(process, config, now);
        for topic in topics() {
            state.watch(topic);
        }
        Self {
            state,
            process,
            own: BTreeMap::new(),
            draining: false,
            ended: None,
            paused: false,
            connected: false,
            view: BTreeMap::new(),
            told: Vec::new(),
            wake_at: Duration::ZERO,
            backlog: Vec::new(),
            sent: Vec::new(),
            session: 0,
            watching: false,
            watch_busy: 0,
            unsure: false,
            newest: BTreeMap::new(),
            gone: BTreeSet::new(),
        }
    }

    /// It looks what is due, as after every command.
    pub fn wake(&mut self) {
        self.wake_at = Duration::ZERO;
    }

    /// Takes news, which must be possible after those before. `ended` is when the owner of the connection did.
    pub fn take(&mut self, now: u64, ended: Option<u64>, news: News) {
        match &news {
            News::Joined {
                topic,
                attendee,
                draining,
            } => {
                let key = (topic.clone(), attendee.member.connection);
                assert!(!self.gone.contains(&key), "{key:?} came back from the dead");
                let newest = self.newest.entry(key.clone()).or_default();
                assert!(
                    *newest <= attendee.connected_ms,
                    "{key:?} went back in time"
                );
                *newest = attendee.connected_ms;
                let new = (attendee.clone(), *draining);
                let old = self.view.insert(key.clone(), new.clone());
                assert_ne!(old, Some(new), "{key:?} joined twice");
            }
            News::Left { topic, connection } => {
                let key = (topic.clone(), *connection);
                assert!(
                    self.view.remove(&key).is_some(),
                    "{key:?} left without having joined"
                );
                // What was under way when the owner ended has arrived by then.
                if ended.is_some_and(|at| at + 5000 < now) {
                    self.gone.insert(key);
                }
            }
            News::Watching(topic) => {
                assert!(self.view.keys().all(|(of, _)| of != topic), "{topic:?}");
            }
        }
        self.told.push((now, news));
    }
}
