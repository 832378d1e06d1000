//! What the gateway's own side is told of the topics that it watches.

use std::collections::{HashSet, VecDeque};

use super::entry::{Attendee, Entries, Key, Topic};
use super::state::{Effect, News};

/// Effects that wait for the caller.
#[derive(Debug, Default)]
pub(super) struct Telling {
    pub watched: HashSet<Topic>,
    pub effects: VecDeque<Effect>,
}

impl Telling {
    pub fn joined(&mut self, topic: &Topic, attendee: &Attendee, draining: bool) {
        if self.watched.contains(topic) {
            self.effects.push_back(Effect::Tell(News::Joined {
                topic: topic.clone(),
                attendee: attendee.clone(),
                draining: draining && matches!(topic, Topic::User(_)),
            }));
        }
    }

    pub fn left(&mut self, key: &Key) {
        if self.watched.contains(&key.topic) {
            self.effects.push_back(Effect::Tell(News::Left {
                topic: key.topic.clone(),
                connection: key.connection(),
            }));
        }
    }

    /// The gateway of these entries drains, which matters to the connections of users.
    pub fn drains(&mut self, entries: &Entries) {
        for (key, attendee) in entries.iter() {
            if matches!(key.topic, Topic::User(_)) {
                self.joined(&key.topic, attendee, true);
            }
        }
    }
}
