//! This gateway's copy of what another one owns. It is always the other's state at some clock: changes are taken in order,
//! and all entries at once. Clock 0 is the empty state, so a copy needs no other beginning.

use std::collections::BTreeMap;
use std::time::Duration;

use super::effect::Telling;
#[cfg(test)]
use super::entry::Key;
use super::entry::{Attendee, Change, Entries, Summary, Topic};
use super::wire::Page;

/// Most changes kept while earlier ones are missing.
const AHEAD: usize = 16_384;

/// A copy.
#[derive(Debug, Default)]
pub(super) struct Replica {
    entries: Entries,
    clock: u64,
    /// The highest clock heard of.
    known: u64,
    /// Whether the owner has said where it stands.
    heard: bool,
    /// Whether the copy is another than the owner's state at this clock: then all entries are needed, as of this clock or
    /// a later one.
    wrong: bool,
    /// Changes that can't be applied yet.
    ahead: BTreeMap<u64, Change>,
    gathered: Option<Gathered>,
    /// When to ask the owner again, if something is missing.
    pub ask_at: Duration,
}

/// Pages of one state of the owner.
#[derive(Debug)]
struct Gathered {
    clock: u64,
    of: u32,
    pages: BTreeMap<u32, Vec<(Topic, Attendee)>>,
    draining: bool,
}

impl Replica {
    /// An empty copy. An owner that was taken for dead at some `clock`, and is not, must not be seen as it was before.
    pub fn beginning(clock: u64) -> Self {
        Self {
            clock,
            known: clock,
            wrong: clock > 0,
            ..Self::default()
        }
    }

    pub fn clock(&self) -> u64 {
        self.clock
    }

    pub fn entries(&self) -> &Entries {
        &self.entries
    }

    /// Whether the owner must be asked.
    pub fn lacks(&self) -> bool {
        !self.heard || self.wrong || self.clock < self.known
    }

    /// The clock after which changes are wanted; `None`: all entries are. A copy that begins, perhaps once more, is not
    /// led through what has been.
    pub fn wanted(&self) -> Option<u64> {
        (!self.wrong && self.clock > 0).then_some(self.clock)
    }

    pub fn delta(&mut self, first: u64, changes: Vec<Change>, telling: &mut Telling) {
        self.heard = true;
        for (clock, change) in (first..).zip(changes) {
            self.known = self.known.max(clock);
            if clock > self.clock {
                self.ahead.insert(clock, change);
            }
        }
        self.catch_up(telling);
        while self.ahead.len() > AHEAD {
            self.ahead.pop_first(); // the answer that is awaited is newer than these
        }
    }

    pub fn digest(&mut self, clock: u64, summary: Summary) {
        self.heard = true;
        self.known = self.known.max(clock);
        if clock == self.clock && summary != self.entries.summary() {
            self.wrong = true;
        }
    }

    /// Gives whether it may help.
    pub fn page(&mut self, page: Page, telling: &mut Telling) -> bool {
        self.heard = true;
        self.known = self.known.max(page.clock);
        if page.clock < self.clock || page.clock == self.clock && !self.wrong {
            return false;
        }
        if self
            .gathered
            .as_ref()
            .is_some_and(|gathered| gathered.clock > page.clock)
        {
            return false;
        }
        let mut gathered = self
            .gathered
            .take()
            .filter(|gathered| (gathered.clock, gathered.of) == (page.clock, page.of))
            .unwrap_or_else(|| Gathered {
                clock: page.clock,
                of: page.of,
                pages: BTreeMap::new(),
                draining: page.draining,
            });
        gathered.pages.insert(page.number, page.entries);
        if gathered.pages.len() < gathered.of as usize {
            self.gathered = Some(gathered);
        } else {
            self.replace(gathered, telling);
            self.catch_up(telling);
        }
        true
    }

    /// Takes the owner's state as it is, and tells what is different.
    fn replace(&mut self, gathered: Gathered, telling: &mut Telling) {
        let mut entries = Entries::default();
        for (topic, attendee) in gathered.pages.into_values().flatten() {
            entries.set(topic, attendee);
        }
        if gathered.draining {
            entries.drain();
        }
        let old = std::mem::replace(&mut self.entries, entries);
        self.clock = gathered.clock;
        self.wrong = false;
        for (key, _) in old.iter() {
            if self.entries.get(key).is_none() {
                telling.left(key);
            }
        }
        let drains = self.entries.is_draining() && !old.is_draining();
        for (key, attendee) in self.entries.iter() {
            let changed = old.get(key) != Some(attendee);
            if changed || drains && matches!(key.topic, Topic::User(_)) {
                telling.joined(&key.topic, attendee, self.entries.is_draining());
            }
        }
    }

    /// Applies what follows on the copy.
    fn catch_up(&mut self, telling: &mut Telling) {
        if self.wrong {
            return;
        }
        self.ahead = self.ahead.split_off(&(self.clock + 1));
        while let Some(change) = self.ahead.remove(&(self.clock + 1)) {
            self.clock += 1;
            self.apply(change, telling);
        }
        if self
            .gathered
            .as_ref()
            .is_some_and(|gathered| gathered.clock <= self.clock)
        {
            self.gathered = None;
        }
    }

    fn apply(&mut self, change: Change, telling: &mut Telling) {
        match change {
            Change::Set(topic, attendee) => {
                let old = self.entries.set(topic.clone(), attendee.clone());
                if old.as_ref() != Some(&attendee) {
                    telling.joined(&topic, &attendee, self.entries.is_draining());
                }
            }
            Change::Remove(key) => {
                if self.entries.remove(&key).is_some() {
                    telling.left(&key);
                }
            }
            Change::Drain => {
                if !self.entries.is_draining() {
                    self.entries.drain();
                    telling.drains(&self.entries);
                }
            }
        }
    }

    /// The owner is no more.
    pub fn end(self, telling: &mut Telling) {
        for (key, _) in self.entries.iter() {
            telling.left(key);
        }
    }

    #[cfg(test)]
    pub fn is_at_rest(&self) -> bool {
        !self.lacks() && self.ahead.is_empty() && self.gathered.is_none()
    }

    /// Makes the copy wrong.
    #[cfg(test)]
    pub fn forget(&mut self, key: &Key) {
        self.entries.remove(key);
    }
}
