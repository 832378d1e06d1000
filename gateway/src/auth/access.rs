//! The one place that decides who may do what in which room.

use super::grants::Grants;
use crate::config::{Access, Rules};
use crate::names::RoomName;

/// Rooms of which a connection remembers what it may do.
const REMEMBERED: usize = 16;
/// Below so many patterns to go through, deciding anew is cheaper than remembering.
const WORTH_REMEMBERING: usize = 12;

/// Something that a client does in a room. Reading history and presence is subscribing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Receive, or read.
    Subscribe,
    /// Send.
    Publish,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// What `{user_id}` stands for: the user of the token, or an anonymous connection's own id.
    pub name: &'a str,
    /// The rooms of the token; `None`: anonymous.
    pub grants: Option<&'a Grants>,
}

/// Decides by one rule.
#[must_use]
pub fn allows(access: Access, verb: Verb, room: &str, asker: Asker<'_>) -> bool {
    match (access, asker.grants) {
        (Access::Everyone, _) => true,
        (Access::Authenticated, grants) => grants.is_some(),
        (Access::Claim, Some(grants)) => grants.allow(verb, room, asker.name),
        (Access::Claim, None) | (Access::Nobody, _) => false,
    }
}

/// What somebody may do in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    subscribe: bool,
    publish: bool,
}

impl Verdict {
    /// Asks the rules.
    #[must_use]
    pub fn of(rules: &Rules, room: &str, asker: Asker<'_>) -> Self {
        let rule = rules.for_user(room, asker.name);
        Self {
            subscribe: allows(rule.subscribe, Verb::Subscribe, room, asker),
            publish: allows(rule.publish, Verb::Publish, room, asker),
        }
    }

    /// Whether it may.
    #[must_use]
    pub fn allows(self, verb: Verb) -> bool {
        match verb {
            Verb::Subscribe => self.subscribe,
            Verb::Publish => self.publish,
        }
    }
}

/// What a connection was told lately. To be forgotten when the rules change, or who it is.
#[derive(Debug, Default)]
pub struct Verdicts {
    told: Vec<(RoomName, Verdict)>,
    next: usize,
}

impl Verdicts {
    /// What `asker`, always the same one, may do in a room.
    pub fn of(&mut self, rules: &Rules, room: &RoomName, asker: Asker<'_>) -> Verdict {
        if rules.len() + asker.grants.map_or(0, Grants::len) < WORTH_REMEMBERING {
            return Verdict::of(rules, room.as_str(), asker);
        }
        if let Some((_, verdict)) = self.told.iter().find(|(told, _)| told == room) {
            return *verdict;
        }
        let verdict = Verdict::of(rules, room.as_str(), asker);
        if self.told.len() < REMEMBERED {
            self.told.push((room.clone(), verdict));
        } else {
            self.told[self.next] = (room.clone(), verdict);
            self.next = (self.next + 1) % REMEMBERED;
        }
        verdict
    }

    /// Forgets everything.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}
