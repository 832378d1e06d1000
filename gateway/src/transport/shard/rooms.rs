//! A room's members on one shard, and the order of what happens in it.
//!
//! Each room has a queue: batches of messages, and everything whose place among them matters. A batch goes out in
//! slices, and rooms with something in their queue take turns, so that a large room delays a small one by a slice only.
//! What is queued behind a batch waits until all members have it; so a member that is added begins after it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use slab::Slab;

use super::batch::Batch;
use super::fan_out::FanOut;
use super::state::Shard;
use crate::broker::GapReason;
use crate::hub::Address;
use crate::names::{Epoch, Offset, RoomName};
use crate::protocol::{PresenceChange, RequestId, Subscribed};
use crate::session::MembershipState;

/// The rooms that connections of this shard are in.
#[derive(Default)]
pub struct Rooms {
    keys: HashMap<RoomName, usize>,
    pub(super) rooms: Slab<Room>,
    /// Rooms with something in their queue, in turn.
    pub(super) active: VecDeque<usize>,
    /// Rooms with messages whose first slice is to come; they are not in `active` yet.
    pub(super) fresh: VecDeque<usize>,
}

/// One of them.
pub(super) struct Room {
    pub(super) name: RoomName,
    pub(super) members: Vec<Member>,
    pub(super) queue: VecDeque<Item>,
    pub(super) fan_out: Option<FanOut>,
}

/// A live subscription.
#[derive(Clone, Copy)]
pub(super) struct Member {
    pub(super) slot: u32,
    pub(super) prefix: u8,
    presence: bool,
}

/// Something whose place among a room's messages matters.
pub enum Item {
    /// Messages for all members.
    Messages(Arc<Batch>),
    /// A subscription begins, goes on or catches up.
    Subscribed {
        /// Whose.
        to: Address,
        /// The request's id.
        id: Option<RequestId>,
        /// Whether presence frames are wanted.
        presence: bool,
        /// What the ack says.
        outcome: Box<Subscribed>,
    },
    /// A subscription ended.
    Unsubscribed {
        /// Whose.
        to: Address,
        /// The request's id.
        id: Option<RequestId>,
    },
    /// A connection that has closed got everything before this.
    Detach(Address),
    /// Who came and went.
    Presence(Arc<PresenceChange>),
    /// Messages were missed.
    Gap(GapReason, Option<(Epoch, Offset)>),
}

impl Rooms {
    /// Whether a fan-out waits for its next slice.
    pub fn has_work(&self) -> bool {
        !self.fresh.is_empty() || !self.active.is_empty()
    }

    /// Whether something of the room is still on its way.
    pub fn is_busy(&self, name: &RoomName) -> bool {
        self.keys
            .get(name)
            .is_some_and(|key| self.rooms[*key].is_busy())
    }

    /// Adds a live member; gives its place.
    pub fn add(&mut self, name: &RoomName, slot: u32, presence: bool, prefix: u8) -> u32 {
        let key = *self.keys.entry(name.clone()).or_insert_with(|| {
            let name = name.clone();
            self.rooms.insert(Room {
                name,
                members: Vec::new(),
                queue: VecDeque::new(),
                fan_out: None,
            })
        });
        let members = &mut self.rooms[key].members;
        members.push(Member {
            slot,
            prefix,
            presence,
        });
        (members.len() - 1) as u32
    }

    /// Changes what a live member wants.
    pub fn change(&mut self, name: &RoomName, place: u32, presence: bool, prefix: u8) {
        if let Some(key) = self.keys.get(name) {
            let member = &mut self.rooms[*key].members[place as usize];
            (member.presence, member.prefix) = (presence, prefix);
        }
    }

    /// Removes the member at a place. Others may move into it: gives each as (slot, new place).
    pub fn remove(&mut self, name: &RoomName, place: u32) -> [Option<(u32, u32)>; 2] {
        let Some(&key) = self.keys.get(name) else {
            return [None; 2];
        };
        let room = &mut self.rooms[key];
        let mut hole = place as usize;
        let mut moved = [None; 2];
        if let Some(fan_out) = &mut room.fan_out
            && hole < fan_out.cursor
        {
            // The last member may not have the messages yet: only one that has may move before the cursor.
            fan_out.cursor -= 1;
            if hole != fan_out.cursor {
                room.members[hole] = room.members[fan_out.cursor];
                moved[0] = Some((room.members[hole].slot, hole as u32));
            }
            hole = fan_out.cursor;
        }
        room.members.swap_remove(hole);
        if let Some(member) = room.members.get(hole) {
            moved[1] = Some((member.slot, hole as u32));
        }
        self.forget_if_idle(key);
        moved
    }

    pub(super) fn forget_if_idle(&mut self, key: usize) {
        let room = &self.rooms[key];
        if room.members.is_empty() && !room.is_busy() {
            let room = self.rooms.remove(key);
            self.keys.remove(&room.name);
        }
    }
}

impl Room {
    pub(super) fn is_busy(&self) -> bool {
        self.fan_out.is_some() || !self.queue.is_empty()
    }
}

impl Shard {
    /// Does something at its place among a room's messages: now, if nothing of the room is on its way.
    pub(super) fn in_room_order(&mut self, name: &RoomName, item: Item) {
        let Some(&key) = self.rooms.keys.get(name) else {
            return match item {
                Item::Messages(batch) => self.taken(batch.weight()),
                item => self.do_item(name, item),
            };
        };
        let room = &mut self.rooms.rooms[key];
        if !room.is_busy() {
            if !matches!(item, Item::Messages(_)) {
                return self.do_item(name, item);
            }
            self.rooms.fresh.push_back(key);
        }
        self.rooms.rooms[key].queue.push_back(item);
    }

    pub(super) fn do_item(&mut self, name: &RoomName, item: Item) {
        match item {
            Item::Messages(batch) => self.taken(batch.weight()),
            Item::Subscribed {
                to,
                id,
                presence,
                outcome,
            } => self.subscribed(to, id, name, presence, &outcome),
            Item::Unsubscribed { to, id } => self.unsubscribed(to, id, name),
            Item::Detach(to) => self.detach_from(to, name),
            Item::Presence(change) => self.tell_presence(name, &change),
            Item::Gap(reason, position) => self.tell_gap(name, reason, position),
        }
    }

    /// The slots of a room's members.
    pub(super) fn member_slots(&self, name: &RoomName, presence_only: bool) -> Vec<u32> {
        let Some(key) = self.rooms.keys.get(name) else {
            return Vec::new();
        };
        let members = self.rooms.rooms[*key].members.iter();
        members
            .filter(|member| member.presence || !presence_only)
            .map(|member| member.slot)
            .collect()
    }

    /// Takes a connection out of a room's members, if it is among them.
    pub(super) fn remove_member(&mut self, slot: u32, name: &RoomName) {
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        let Some(membership) = connection.session.rooms.get_mut(name) else {
            return;
        };
        let MembershipState::Live(place) = membership.state else {
            return;
        };
        membership.state = MembershipState::Pending;
        for (moved, place) in self.rooms.remove(name, place).into_iter().flatten() {
            let Some(connection) = self.connections.get_mut(moved as usize) else {
                continue;
            };
            if let Some(membership) = connection.session.rooms.get_mut(name) {
                membership.state = MembershipState::Live(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn name() -> RoomName {
        RoomName::parse("r").unwrap()
    }

    fn with_members(count: u32, cursor: usize) -> Rooms {
        let mut rooms = Rooms::default();
        for slot in 0..count {
            rooms.add(&name(), slot, false, 0);
        }
        rooms.rooms[0].fan_out = Some(FanOut {
            batches: Vec::new(),
            cursor,
            messages: 0,
            weight: 0,
            received: Instant::now(),
            skips: Vec::new(),
            frames: Vec::new(),
        });
        rooms
    }

    fn split(rooms: &Rooms) -> (Vec<u32>, Vec<u32>) {
        let room = &rooms.rooms[0];
        let cursor = room.fan_out.as_ref().unwrap().cursor;
        let slots = |members: &[Member]| {
            let mut slots: Vec<u32> = members.iter().map(|member| member.slot).collect();
            slots.sort();
            slots
        };
        (
            slots(&room.members[..cursor]),
            slots(&room.members[cursor..]),
        )
    }

    #[test]
    fn removing_a_member_during_a_fan_out_neither_skips_nor_repeats_another() {
        for cursor in 0..=6 {
            for removed in 0..6u32 {
                let mut rooms = with_members(6, cursor);
                let moved = rooms.remove(&name(), removed);
                let (before, after) = split(&rooms);
                let expected = |range: std::ops::Range<u32>| {
                    range.filter(|slot| *slot != removed).collect::<Vec<_>>()
                };
                assert_eq!(
                    before,
                    expected(0..cursor as u32),
                    "cursor {cursor}, removed {removed}"
                );
                assert_eq!(
                    after,
                    expected(cursor as u32..6),
                    "cursor {cursor}, removed {removed}"
                );
                for (slot, place) in moved.into_iter().flatten() {
                    assert_eq!(rooms.rooms[0].members[place as usize].slot, slot);
                }
            }
        }
    }

    #[test]
    fn a_room_without_members_is_forgotten() {
        let mut rooms = Rooms::default();
        let place = rooms.add(&name(), 1, false, 0);
        rooms.remove(&name(), place);
        assert!(rooms.keys.is_empty() && rooms.rooms.is_empty());
    }
}
