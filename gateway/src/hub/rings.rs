//! Account of all rings: the memory they take, which was used least recently, and which holds the oldest message.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::ring::Ring;
use super::room::Room;
use crate::names::RoomName;

/// Every room with messages stands once in each order, by an earlier use or age at the latest: neither a use nor a
/// message costs anything here, and a room that comes up too early goes to where it belongs.
#[derive(Debug, Default)]
pub struct Rings {
    bytes: usize,
    clock: u64,
    by_use: BTreeSet<(u64, RoomName)>,
    by_age: BTreeSet<(u64, RoomName)>,
}

/// Where a room with messages stands.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Stamp of a use.
    used: u64,
    /// Timestamp of its oldest message, or of one before, in milliseconds since the Unix epoch.
    oldest: u64,
}

impl Rings {
    /// Bytes of memory that all rings take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A stamp for a use that happens now.
    pub fn stamp(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Changes a room's ring; every change goes this way.
    pub fn change<R>(&mut self, room: &mut Room, change: impl FnOnce(&mut Ring) -> R) -> R {
        let before = room.ring.footprint();
        let result = change(&mut room.ring);
        self.bytes = self.bytes + room.ring.footprint() - before;
        match (room.place, room.ring.oldest()) {
            (None, Some(oldest)) => {
                let used = room.used;
                self.by_use.insert((used, room.name.clone()));
                self.by_age.insert((oldest, room.name.clone()));
                room.place = Some(Place { used, oldest });
            }
            (Some(place), None) => {
                self.by_use.remove(&(place.used, room.name.clone()));
                self.by_age.remove(&(place.oldest, room.name.clone()));
                room.place = None;
            }
            _ => {}
        }
        result
    }

    /// Lets go what is older than `max_age` of one room at `now`, in milliseconds since the Unix epoch. Gives how many
    /// messages went.
    pub fn expire(&mut self, room: &mut Room, now: u64, max_age: Duration) -> usize {
        let gone = self.change(room, |ring| ring.expire(now, max_age));
        if let (Some(place), Some(oldest)) = (&mut room.place, room.ring.oldest())
            && place.oldest != oldest
        {
            self.by_age.remove(&(place.oldest, room.name.clone()));
            self.by_age.insert((oldest, room.name.clone()));
            place.oldest = oldest;
        }
        gone
    }

    /// A room that may hold a message older than `time`, in milliseconds since the Unix epoch.
    pub fn older_than(&self, time: u64) -> Option<RoomName> {
        let (oldest, name) = self.by_age.first()?;
        (*oldest < time).then(|| name.clone())
    }

    /// The room with messages that was used least recently.
    pub fn least_recently_used(&mut self, rooms: &mut HashMap<RoomName, Room>) -> Option<RoomName> {
        loop {
            let (stamp, name) = self.by_use.first()?;
            let room = rooms.get_mut(name)?;
            if room.used == *stamp {
                return Some(name.clone());
            }
            room.place.as_mut()?.used = room.used;
            let (_, name) = self.by_use.pop_first()?;
            self.by_use.insert((room.used, name));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::broker::Partition;
    use crate::config::Rules;
    use crate::message::{Message, Payload};
    use crate::names::{ConnectionId, Offset, UserId};

    /// Rooms, each with a message of that time, used in that order.
    fn with(rooms: &[(&str, u64)]) -> (Rings, HashMap<RoomName, Room>) {
        let (mut rings, mut all) = (Rings::default(), HashMap::new());
        for (name, timestamp) in rooms {
            let name = RoomName::parse(name).unwrap();
            let mut room = Room::new(
                name.clone(),
                &Rules::compile(&[], true),
                1,
                Partition(0),
                Ring::new(Offset(0), true),
            );
            room.used = rings.stamp();
            push(&mut rings, &mut room, *timestamp);
            all.insert(name, room);
        }
        (rings, all)
    }

    fn push(rings: &mut Rings, room: &mut Room, timestamp: u64) {
        let message = Message {
            room: room.name.clone(),
            offset: Some(Offset(timestamp)),
            timestamp,
            from: Some(UserId::anonymous(ConnectionId::random())),
            event: None,
            data: Payload::Text("x".into()),
            info: None,
            skip: None,
            trace: None,
        };
        rings.change(room, |ring| ring.push(Arc::new(message), 10));
    }

    fn name(name: &str) -> RoomName {
        RoomName::parse(name).unwrap()
    }

    #[test]
    fn the_room_used_least_recently_comes_first() {
        let (mut rings, mut rooms) = with(&[("a", 1), ("b", 1), ("c", 1)]);
        rooms.get_mut(&name("a")).unwrap().used = rings.stamp();
        let mut order = Vec::new();
        while let Some(name) = rings.least_recently_used(&mut rooms) {
            rings.change(rooms.get_mut(&name).unwrap(), |ring| ring.clear(Offset(0)));
            order.push(name);
        }
        assert_eq!(order, [name("b"), name("c"), name("a")]);
        assert_eq!(rings.bytes(), 0);
    }

    #[test]
    fn a_room_is_old_as_its_oldest_message_is() {
        let (mut rings, mut rooms) = with(&[("a", 300), ("b", 100), ("c", 200)]);
        assert_eq!(rings.older_than(100), None);
        assert_eq!(rings.older_than(101), Some(name("b")));
        let b = rooms.get_mut(&name("b")).unwrap();
        push(&mut rings, b, 400);
        assert_eq!(rings.expire(b, 1150, Duration::from_secs(1)), 1);
        assert_eq!(rings.older_than(250), Some(name("c")));
        let c = rooms.get_mut(&name("c")).unwrap();
        assert_eq!(rings.expire(c, 1250, Duration::from_secs(1)), 1);
        assert_eq!(rings.older_than(400), Some(name("a")));
        let a = rooms.get_mut(&name("a")).unwrap();
        assert_eq!(rings.expire(a, 9999, Duration::from_secs(1)), 1);
        assert_eq!(rings.older_than(400), None);
        assert_eq!(rings.older_than(401), Some(name("b")));
    }

    #[test]
    fn a_room_without_messages_stands_nowhere() {
        let (mut rings, mut rooms) = with(&[("a", 1), ("b", 2)]);
        for room in rooms.values_mut() {
            rings.change(room, |ring| ring.clear(Offset(9)));
        }
        assert_eq!(
            (rings.by_use.len(), rings.by_age.len(), rings.bytes()),
            (0, 0, 0)
        );
        let a = rooms.get_mut(&name("a")).unwrap();
        push(&mut rings, a, 7);
        assert_eq!((rings.by_use.len(), rings.by_age.len()), (1, 1));
    }
}
