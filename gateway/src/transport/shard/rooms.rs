//! A room's members on one shard, and the fan-out to them.
//!
//! Each room has a queue: batches of messages, and everything whose place among them matters. A batch goes out in
//! slices, and rooms with something in their queue take turns, so that a large room delays a small one by a slice only.
//! What is queued behind a batch waits until all members have it; so a member that is added begins after it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;

use super::backlog::Chunk;
use super::batch::Batch;
use super::encoding::Encoding;
use super::event_loop::Shard;
use crate::broker::GapReason;
use crate::hub::Address;
use crate::names::{ConnectionId, Epoch, Offset, RoomName};
use crate::protocol::{PresenceChange, RequestId, Subscribed};
use crate::session::MembershipState;
use crate::transport::websocket::deflate::Deflater;

/// Most writes of a slice (DESIGN §5, Fairness).
const SLICE_WRITES: usize = 256;
/// Longest slice.
const SLICE_TIME: Duration = Duration::from_millis(1);
/// Writes between two looks at the clock.
const LOOK_EVERY: usize = 32;
/// Batches that are joined into one write at most.
const JOINED_BYTES: usize = 64 * 1024;

/// The rooms that connections of this shard are in.
#[derive(Default)]
pub struct Rooms {
    keys: HashMap<RoomName, usize>,
    rooms: Slab<Room>,
    /// Rooms with something in their queue, in turn.
    active: VecDeque<usize>,
}

struct Room {
    name: RoomName,
    members: Vec<Member>,
    queue: VecDeque<Item>,
    fan_out: Option<FanOut>,
}

/// A live subscription.
#[derive(Clone, Copy)]
struct Member {
    slot: u32,
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

/// Batches on their way to the members.
struct FanOut {
    batches: Vec<Arc<Batch>>,
    /// Members before this one have them.
    cursor: usize,
    messages: u64,
    weight: usize,
    received: Instant,
    /// Connections that asked to be left out of some message.
    skips: Vec<ConnectionId>,
    /// All frames, by encoding.
    frames: Vec<(Encoding, Chunk)>,
}

impl Rooms {
    /// Whether a fan-out waits for its next slice.
    pub fn has_work(&self) -> bool {
        !self.active.is_empty()
    }

    /// Whether something of the room is still on its way.
    pub fn is_busy(&self, name: &RoomName) -> bool {
        self.keys
            .get(name)
            .is_some_and(|key| self.rooms[*key].is_busy())
    }

    /// Adds a live member; gives its place.
    pub fn add(&mut self, name: &RoomName, slot: u32, presence: bool) -> u32 {
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
        members.push(Member { slot, presence });
        (members.len() - 1) as u32
    }

    /// Changes what a live member wants.
    pub fn set_presence(&mut self, name: &RoomName, place: u32, presence: bool) {
        if let Some(key) = self.keys.get(name) {
            self.rooms[*key].members[place as usize].presence = presence;
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

    fn forget_if_idle(&mut self, key: usize) {
        let room = &self.rooms[key];
        if room.members.is_empty() && !room.is_busy() {
            let room = self.rooms.remove(key);
            self.keys.remove(&room.name);
        }
    }
}

impl Room {
    fn is_busy(&self) -> bool {
        self.fan_out.is_some() || !self.queue.is_empty()
    }
}

impl FanOut {
    /// Takes the batches at the front of a queue together.
    fn next(queue: &mut VecDeque<Item>) -> Option<Self> {
        let mut batches: Vec<Arc<Batch>> = Vec::with_capacity(1);
        let mut weight = 0;
        while let Some(Item::Messages(batch)) = queue.front() {
            if !batches.is_empty() && weight + batch.weight() > JOINED_BYTES {
                break;
            }
            weight += batch.weight();
            batches.push(batch.clone());
            queue.pop_front();
        }
        let received = batches.first()?.received();
        let all = || batches.iter().flat_map(|batch| batch.messages());
        let skips = all().filter_map(|message| message.skip).collect();
        let messages = all().count() as u64;
        Some(Self {
            batches,
            cursor: 0,
            messages,
            weight,
            received,
            skips,
            frames: Vec::new(),
        })
    }

    fn frames(
        &mut self,
        encoding: Encoding,
        deflater: &mut Deflater,
        joined: impl FnOnce(Vec<u8>) -> Chunk,
    ) -> &Chunk {
        let known = self.frames.iter().position(|(other, _)| *other == encoding);
        let index = known.unwrap_or_else(|| {
            let chunk = match self.batches.as_slice() {
                [batch] => batch.chunk(encoding, deflater).clone(),
                batches => {
                    let mut bytes = Vec::new();
                    for batch in batches {
                        bytes.extend_from_slice(batch.chunk(encoding, deflater).bytes());
                    }
                    joined(bytes)
                }
            };
            self.frames.push((encoding, chunk));
            self.frames.len() - 1
        });
        &self.frames[index].1
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
            self.rooms.active.push_back(key);
        }
        self.rooms.rooms[key].queue.push_back(item);
    }

    /// One slice of the room whose turn it is.
    pub(super) fn fan_out_slice(&mut self) {
        self.flush_out(); // the ack of a subscription comes before its messages
        let Some(key) = self.rooms.active.pop_front() else {
            return;
        };
        if self.slice(key) {
            self.finish_fan_out(key);
        }
        let name = self.rooms.rooms[key].name.clone();
        // What follows the batches and is no batch itself is done at once.
        while room_is_between(&self.rooms.rooms[key]) {
            let Some(item) = self.rooms.rooms[key].queue.pop_front() else {
                break;
            };
            self.do_item(&name, item);
            if !self.rooms.rooms.contains(key) {
                return;
            }
        }
        if self.rooms.rooms[key].is_busy() {
            self.rooms.active.push_back(key);
        } else {
            self.rooms.forget_if_idle(key);
        }
    }

    /// Writes to members until the slice or the members end; gives whether all have the messages.
    fn slice(&mut self, key: usize) -> bool {
        let room = &mut self.rooms.rooms[key];
        if room.fan_out.is_none() {
            room.fan_out = FanOut::next(&mut room.queue);
        }
        let Some(fan_out) = &mut room.fan_out else {
            return true;
        };
        let (now, memory) = (self.wheel.now(), &self.memory);
        let started = Instant::now();
        let (mut writes, mut delivered, mut bytes) = (0, 0, 0);
        while writes < SLICE_WRITES && fan_out.cursor < room.members.len() {
            if writes % LOOK_EVERY == LOOK_EVERY - 1 && started.elapsed() > SLICE_TIME {
                break;
            }
            let slot = room.members[fan_out.cursor].slot;
            fan_out.cursor += 1;
            writes += 1;
            let Some(connection) = self.connections.get_mut(slot as usize) else {
                continue;
            };
            if !connection.receives() {
                continue;
            }
            if fan_out.skips.is_empty() || !fan_out.skips.contains(&connection.session.connection())
            {
                let joined = |bytes| Chunk::new(bytes, memory.clone());
                let frames = fan_out.frames(connection.encoding, &mut self.deflater, joined);
                bytes += connection.write(frames, now);
            } else {
                let mut own = Vec::new();
                for batch in &fan_out.batches {
                    let id = connection.session.connection();
                    batch.encode_without(id, connection.encoding, &mut self.deflater, &mut own);
                }
                if !own.is_empty() {
                    bytes += connection.write_private(&own, memory, now);
                }
            }
            delivered += 1;
            if connection.backlog.is_some() || !connection.receives() {
                self.troubled.push(slot);
            }
        }
        let messages = fan_out.messages;
        let done = fan_out.cursor >= room.members.len();
        self.metrics.messages_out.add(delivered * messages);
        self.metrics.bytes_out.add(bytes as u64);
        self.metrics
            .delivery
            .observe(fan_out.received.elapsed(), delivered * messages);
        self.look_at_troubled();
        done
    }

    fn finish_fan_out(&mut self, key: usize) {
        if let Some(fan_out) = self.rooms.rooms[key].fan_out.take() {
            self.taken(fan_out.weight);
        }
    }

    fn do_item(&mut self, name: &RoomName, item: Item) {
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

/// Whether the next item of a room's queue is no batch, and no batch is on its way.
fn room_is_between(room: &Room) -> bool {
    room.fan_out.is_none()
        && room
            .queue
            .front()
            .is_some_and(|item| !matches!(item, Item::Messages(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> RoomName {
        RoomName::parse("r").unwrap()
    }

    fn with_members(count: u32, cursor: usize) -> Rooms {
        let mut rooms = Rooms::default();
        for slot in 0..count {
            rooms.add(&name(), slot, false);
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
        let place = rooms.add(&name(), 1, false);
        rooms.remove(&name(), place);
        assert!(rooms.keys.is_empty() && rooms.rooms.is_empty());
    }
}
