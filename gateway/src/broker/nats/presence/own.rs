//! The entries that this gateway owns, and their history as far as others may still want it.

use std::collections::VecDeque;

use bytes::Bytes;

use super::effect::Telling;
use super::entry::{Attendee, Change, Entries, Incarnation, Key, Summary, Topic};
use super::wire;

/// Changes kept for those that missed some. Whoever missed more gets all entries, which cost about as much.
const LOG: usize = 4096;

/// The own entries.
#[derive(Debug, Default)]
pub(super) struct Own {
    entries: Entries,
    /// How many changes there were.
    clock: u64,
    /// The last of them, at most [`LOG`].
    log: VecDeque<Change>,
    /// Clock of the last one that was broadcast.
    sent: u64,
    /// All entries in written form, and when: whoever else asks before the next change gets the same.
    pages: Option<(Incarnation, u64, Vec<Bytes>)>,
}

impl Own {
    pub fn join(&mut self, topic: Topic, attendee: Attendee, telling: &mut Telling) {
        let key = Key::new(topic.clone(), attendee.member.connection);
        if self.entries.get(&key) == Some(&attendee) {
            return;
        }
        telling.joined(&topic, &attendee, self.entries.is_draining());
        self.entries.set(topic.clone(), attendee.clone());
        self.note(Change::Set(topic, attendee));
    }

    pub fn leave(&mut self, key: Key, telling: &mut Telling) {
        if self.entries.remove(&key).is_some() {
            telling.left(&key);
            self.note(Change::Remove(key));
        }
    }

    pub fn drain(&mut self, telling: &mut Telling) {
        if !self.entries.is_draining() {
            self.entries.drain();
            telling.drains(&self.entries);
            self.note(Change::Drain);
        }
    }

    fn note(&mut self, change: Change) {
        self.clock += 1;
        self.log.push_back(change);
        self.pages = None;
        if self.log.len() > LOG {
            self.log.pop_front();
            self.sent = self.sent.max(self.before_log()); // away for long: others will see the gap
        }
    }

    /// The clock after which the log begins.
    fn before_log(&self) -> u64 {
        self.clock - self.log.len() as u64
    }

    pub fn entries(&self) -> &Entries {
        &self.entries
    }

    pub fn clock(&self) -> u64 {
        self.clock
    }

    pub fn summary(&self) -> Summary {
        self.entries.summary()
    }

    pub fn has_unsent(&self) -> bool {
        self.sent < self.clock
    }

    /// What has not been broadcast, in written form; it counts as broadcast then.
    pub fn take_unsent(&mut self, from: Incarnation) -> Vec<Bytes> {
        let messages = self.since(from, self.sent).unwrap_or_default();
        self.sent = self.clock;
        messages
    }

    /// The changes after `clock` in written form; `None` where not all of them are known any more.
    pub fn since(&mut self, from: Incarnation, clock: u64) -> Option<Vec<Bytes>> {
        let skip = clock.checked_sub(self.before_log())?;
        let changes = self
            .log
            .make_contiguous()
            .get(usize::try_from(skip).ok()?..)?;
        Some(wire::deltas(from, clock + 1, changes))
    }

    /// All entries in written form.
    pub fn pages(&mut self, from: Incarnation) -> &[Bytes] {
        let fresh = matches!(&self.pages, Some((by, at, _)) if (*by, *at) == (from, self.clock));
        if !fresh {
            let pages = wire::pages(from, self.clock, &self.entries);
            self.pages = Some((from, self.clock, pages));
        }
        self.pages.as_ref().map_or(&[], |(_, _, pages)| pages)
    }

    /// Frees what is kept for those that ask.
    pub fn forget_pages(&mut self) {
        self.pages = None;
    }
}
