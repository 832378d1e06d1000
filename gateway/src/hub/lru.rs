//! Which room with messages was used least recently.

use std::collections::VecDeque;

use crate::names::RoomName;

/// Every room with messages stands here once, by an older use at the latest: a use costs nothing, and a room that was
/// used since it was queued goes to the back when it comes up.
#[derive(Debug, Default)]
pub struct Lru {
    queue: VecDeque<(u64, RoomName)>,
    clock: u64,
}

impl Lru {
    /// A stamp for a use that happens now.
    pub fn stamp(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Adds a room that has got its first message.
    pub fn add(&mut self, stamp: u64, room: RoomName) {
        self.queue.push_back((stamp, room));
    }

    /// Takes the room that was used least recently out. `last_use` tells a room's newest stamp; `None`: it is gone or
    /// empty, forget it.
    pub fn take(&mut self, mut last_use: impl FnMut(&RoomName) -> Option<u64>) -> Option<RoomName> {
        while let Some((queued, room)) = self.queue.pop_front() {
            match last_use(&room) {
                None => {}
                Some(used) if used == queued => return Some(room),
                Some(used) => self.queue.push_back((used, room)),
            }
        }
        None
    }

    /// Puts a room back that [`take`](Self::take) gave, as still the oldest.
    pub fn put_back(&mut self, stamp: u64, room: RoomName) {
        self.queue.push_front((stamp, room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_used_least_recently_comes_first() {
        let room = |name: &str| RoomName::parse(name).unwrap();
        let mut lru = Lru::default();
        for name in ["a", "b", "c"] {
            let stamp = lru.stamp();
            lru.add(stamp, room(name));
        }
        let uses = |name: &RoomName| match name.as_str() {
            "a" => Some(4),
            "b" => Some(2),
            _ => None,
        };
        assert_eq!(lru.take(uses), Some(room("b")));
        assert_eq!(lru.take(uses), Some(room("a")));
        assert_eq!(lru.take(uses), None);
    }
}
