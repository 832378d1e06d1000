//! Who is in a room, as its subscribers are told: joins and leaves are collected for half a second, a join and a leave
//! inside it cancel, and what is left becomes one numbered frame. A snapshot shows the state of the last frame, never
//! what is still being collected, so frames after its version always lead on from it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use crate::broker::Member;
use crate::config::PresenceMode;
use crate::names::ConnectionId;
use crate::protocol::{PresenceChange, PresenceChangeKind, PresenceMembers, PresencePage};

/// How long changes are collected (PROTOCOL, Presence).
pub const MERGE: Duration = Duration::from_millis(500);
/// Most members of a page.
pub const PAGE_MEMBERS: usize = 100;

/// The presence of one room.
#[derive(Debug, Default)]
pub struct Presence {
    announced: BTreeMap<ConnectionId, Member>,
    pending: BTreeMap<ConnectionId, Change>,
    version: u64,
    /// Whether the last frame told a number instead of names.
    counting: bool,
}

#[derive(Debug)]
enum Change {
    Join(Member),
    Leave,
}

impl Presence {
    /// Somebody came. Gives whether this is the first change since the last frame.
    pub fn join(&mut self, member: Member) -> bool {
        let first = self.pending.is_empty();
        let id = member.connection;
        if self.announced.get(&id) == Some(&member) {
            self.pending.remove(&id);
        } else {
            self.pending.insert(id, Change::Join(member));
        }
        first && !self.pending.is_empty()
    }

    /// Somebody left. Gives whether this is the first change since the last frame.
    pub fn leave(&mut self, connection: ConnectionId) -> bool {
        let first = self.pending.is_empty();
        if self.announced.contains_key(&connection) {
            self.pending.insert(connection, Change::Leave);
        } else {
            self.pending.remove(&connection);
        }
        first && !self.pending.is_empty()
    }

    /// Makes what was collected the state, and the frame that says so; `None` if it has cancelled out. Without changes
    /// there is a frame only where the rules have turned names into a number.
    pub fn flush(&mut self, mode: PresenceMode, max_members: usize) -> Option<PresenceChange> {
        let known = self.announced.len();
        let begins_to_count =
            known > 0 && !self.counting && counts(mode, max_members, known, false);
        if self.pending.is_empty() && !begins_to_count {
            return None;
        }
        let (mut join, mut leave) = (Vec::new(), Vec::new());
        for (id, change) in std::mem::take(&mut self.pending) {
            match change {
                Change::Join(member) => {
                    self.announced.insert(id, member.clone());
                    join.push(member);
                }
                Change::Leave => leave.extend(self.announced.remove(&id)),
            }
        }
        let counts = counts(mode, max_members, self.announced.len(), self.counting);
        // Names begin again: the jump makes subscribers ask for all of them.
        self.version += if self.counting && !counts { 2 } else { 1 };
        self.counting = counts;
        let kind = match counts {
            true => PresenceChangeKind::Count(self.announced.len()),
            false => PresenceChangeKind::Members { join, leave },
        };
        Some(PresenceChange {
            version: self.version,
            kind,
        })
    }

    /// The state of the last frame, a page of it.
    pub fn snapshot(
        &self,
        mode: PresenceMode,
        max_members: usize,
        after: Option<ConnectionId>,
    ) -> PresencePage {
        let members = if counts(mode, max_members, self.announced.len(), self.counting) {
            PresenceMembers::Count(self.announced.len())
        } else {
            let start = after.map_or(Bound::Unbounded, Bound::Excluded);
            let mut rest = self
                .announced
                .range((start, Bound::Unbounded))
                .map(|(_, member)| member.clone());
            let members = rest.by_ref().take(PAGE_MEMBERS).collect();
            PresenceMembers::Page {
                members,
                more: rest.next().is_some(),
            }
        };
        PresencePage {
            version: self.version,
            members,
        }
    }

    /// Whether nobody is in the room and nothing is left to tell.
    pub fn is_empty(&self) -> bool {
        self.announced.is_empty() && self.pending.is_empty()
    }
}

/// Full tells names up to `max_members`, and again once a tenth below it, so that a room at the bound does not flap.
fn counts(mode: PresenceMode, max_members: usize, members: usize, counting: bool) -> bool {
    match mode {
        PresenceMode::Count | PresenceMode::Off => true,
        PresenceMode::Full if counting => members > max_members - max_members / 10,
        PresenceMode::Full => members > max_members,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member() -> Member {
        Member {
            connection: ConnectionId::random(),
            user: None,
            info: None,
        }
    }

    fn flush(presence: &mut Presence) -> Option<(u64, usize, usize)> {
        presence
            .flush(PresenceMode::Full, 10)
            .map(|change| match change.kind {
                PresenceChangeKind::Members { join, leave } => {
                    (change.version, join.len(), leave.len())
                }
                PresenceChangeKind::Count(count) => (change.version, count, usize::MAX),
            })
    }

    #[test]
    fn joins_and_leaves_become_one_frame_and_cancel_each_other() {
        let (mut presence, ann, bob) = (Presence::default(), member(), member());
        assert!(presence.join(ann.clone()));
        assert!(!presence.join(bob.clone()));
        presence.leave(bob.connection);
        assert_eq!(flush(&mut presence), Some((1, 1, 0)));
        presence.leave(ann.connection);
        presence.join(ann.clone());
        assert_eq!(flush(&mut presence), None);
        presence.leave(ann.connection);
        assert_eq!(flush(&mut presence), Some((2, 0, 1)));
        assert!(presence.is_empty());
    }

    #[test]
    fn a_snapshot_shows_the_state_of_the_last_frame_in_pages() {
        let mut presence = Presence::default();
        let all: Vec<Member> = (0..150).map(|_| member()).collect();
        for one in &all {
            presence.join(one.clone());
        }
        let page = |presence: &Presence, after| match presence
            .snapshot(PresenceMode::Full, 1000, after)
            .members
        {
            PresenceMembers::Page { members, more } => (members, more),
            PresenceMembers::Count(_) => panic!("a page was asked for"),
        };
        assert_eq!(page(&presence, None).0.len(), 0);
        presence.flush(PresenceMode::Full, 1000);
        let (first, more) = page(&presence, None);
        assert_eq!((first.len(), more), (100, true));
        let (second, more) = page(&presence, first.last().map(|member| member.connection));
        assert_eq!((second.len(), more), (50, false));
    }

    #[test]
    fn beyond_max_members_names_become_a_number_and_back_with_a_jump_in_the_version() {
        let mut presence = Presence::default();
        let all: Vec<Member> = (0..11).map(|_| member()).collect();
        for one in &all {
            presence.join(one.clone());
        }
        assert_eq!(flush(&mut presence), Some((1, 11, usize::MAX)));
        presence.leave(all[0].connection);
        assert_eq!(
            flush(&mut presence),
            Some((2, 10, usize::MAX)),
            "still counting, to not flap"
        );
        presence.leave(all[1].connection);
        assert_eq!(flush(&mut presence), Some((4, 0, 1)));
    }
}
