//! The newest messages of a room, and the floor above which none is missing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::message::Message;
use crate::names::Offset;
use crate::protocol::HistoryRange;

/// Most messages of a page.
pub const PAGE_MESSAGES: usize = 100;
/// Most bytes of a page, unless one message alone is larger.
pub const PAGE_BYTES: usize = 256 * 1024;
/// Bytes of a page that a message takes beside its payload and what its publisher says of itself.
const BESIDE: usize = 128;
/// Memory of a room that keeps messages, beside them: its entries in the hub's tables and the ring itself.
const RING_FOOTPRINT: usize = 704;
/// Memory of a message's place in a ring that has grown by doubling.
const SLOT_FOOTPRINT: usize = 16;

/// A room's newest messages, ascending by offset.
#[derive(Debug)]
pub struct Ring {
    messages: VecDeque<Arc<Message>>,
    footprint: usize,
    floor: Offset,
    whole: bool,
}

/// A run of messages and whether more follow in the same direction.
#[derive(Debug)]
pub struct Page {
    /// Ascending.
    pub messages: Vec<Arc<Message>>,
    /// Whether the ring has more.
    pub more: bool,
}

impl Ring {
    /// An empty ring in which nothing above `floor` is missing; `whole` where nothing below it is stored either.
    pub fn new(floor: Offset, whole: bool) -> Self {
        Self {
            messages: VecDeque::new(),
            footprint: 0,
            floor,
            whole,
        }
    }

    /// All messages of the room above this offset are in the ring.
    pub fn floor(&self) -> Offset {
        self.floor
    }

    /// Whether it holds all that is stored of the room.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Bytes of memory that it takes.
    pub fn footprint(&self) -> usize {
        self.footprint
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Timestamp of the oldest message.
    pub fn oldest(&self) -> Option<u64> {
        self.messages.front().map(|message| message.timestamp)
    }

    /// Adds the newest message and lets go what is over `max`.
    pub fn push(&mut self, message: Arc<Message>, max: usize) {
        if self.messages.is_empty() {
            self.footprint = RING_FOOTPRINT;
        }
        self.footprint += message.footprint() + SLOT_FOOTPRINT;
        self.messages.push_back(message);
        self.truncate(max);
    }

    /// Lets go the oldest beyond `max`.
    pub fn truncate(&mut self, max: usize) {
        while self.messages.len() > max {
            self.pop();
        }
    }

    /// Lets go what is older than `max_age` at `now`, in milliseconds since the Unix epoch. Gives how many messages went.
    pub fn expire(&mut self, now: u64, max_age: Duration) -> usize {
        let before = self.messages.len();
        let oldest = now.saturating_sub(max_age.as_millis() as u64);
        while self
            .messages
            .front()
            .is_some_and(|message| message.timestamp < oldest)
        {
            self.pop();
        }
        before - self.messages.len()
    }

    /// Lets go everything; nothing at or below `floor` can be proven complete from now on.
    pub fn clear(&mut self, floor: Offset) {
        let last = self
            .messages
            .back()
            .and_then(|message| message.offset)
            .unwrap_or_default();
        *self = Self::new(self.floor.max(last).max(floor), false);
    }

    /// Where it holds `kept` messages, the most that the store keeps, others before them may be gone.
    pub fn trimmed(&mut self, kept: usize) {
        let first = self.messages.front().and_then(|message| message.offset);
        if let Some(first) = first.filter(|_| self.messages.len() >= kept) {
            self.floor = self.floor.max(Offset(first.0 - 1));
        }
    }

    fn pop(&mut self) {
        if let Some(message) = self.messages.pop_front() {
            self.footprint -= message.footprint() + SLOT_FOOTPRINT;
            self.floor = message.offset.unwrap_or(self.floor);
        }
        if self.messages.is_empty() {
            *self = Self::new(self.floor, self.whole);
        }
    }

    /// The messages after `since`: at most `limit` and `bytes`, at least one.
    pub fn after(&self, since: Offset, limit: usize, bytes: usize) -> Page {
        let start = self
            .messages
            .partition_point(|message| message.offset <= Some(since));
        let messages = bounded(self.messages.range(start..), limit, bytes);
        let more = start + messages.len() < self.messages.len();
        Page { messages, more }
    }

    /// The messages after `since`, as they were read from a store up to `reach`; `None` where what follows it is gone.
    pub fn after_read(
        &self,
        read: &[Arc<Message>],
        since: Offset,
        reach: Offset,
        bytes: usize,
    ) -> Option<Page> {
        let start = read.partition_point(|message| message.offset <= Some(since));
        let messages = bounded(read[start..].iter(), PAGE_MESSAGES, bytes);
        let joined = self.floor <= reach;
        if messages.is_empty() {
            return joined.then(|| self.after(since, PAGE_MESSAGES, bytes));
        }
        let more = start + messages.len() < read.len() || !self.is_empty() || !joined;
        Some(Page { messages, more })
    }

    /// A page of the room's messages for `history`.
    pub fn read(&self, range: HistoryRange, limit: usize, bytes: usize) -> Page {
        let before = match range {
            HistoryRange::After(after) => return self.after(after, limit, bytes),
            HistoryRange::Newest => self.messages.len(),
            HistoryRange::Before(before) => self
                .messages
                .partition_point(|message| message.offset < Some(before)),
        };
        newest(self.messages.range(..before), limit, bytes)
    }

    /// Whether that page, as it was read, is what a store would give.
    pub fn covers(&self, range: HistoryRange, limit: usize, page: &Page) -> bool {
        let full = page.more || page.messages.len() >= limit.min(PAGE_MESSAGES);
        self.whole
            || match range {
                HistoryRange::After(after) => after >= self.floor,
                HistoryRange::Newest | HistoryRange::Before(_) => full,
            }
    }
}

/// A page of what was read from a store for `history`.
pub fn read_page(read: &[Arc<Message>], range: HistoryRange, limit: usize, bytes: usize) -> Page {
    match range {
        HistoryRange::After(_) => {
            let messages = bounded(read.iter(), limit, bytes);
            let more = messages.len() < read.len();
            Page { messages, more }
        }
        HistoryRange::Newest | HistoryRange::Before(_) => newest(read.iter(), limit, bytes),
    }
}

/// The last of these messages that fit a page.
fn newest<'a>(
    messages: impl DoubleEndedIterator<Item = &'a Arc<Message>> + ExactSizeIterator,
    limit: usize,
    bytes: usize,
) -> Page {
    let all = messages.len();
    let mut messages = bounded(messages.rev(), limit, bytes);
    messages.reverse();
    let more = messages.len() < all;
    Page { messages, more }
}

/// Takes messages while they fit a page, at least one.
fn bounded<'a>(
    messages: impl Iterator<Item = &'a Arc<Message>>,
    limit: usize,
    bytes: usize,
) -> Vec<Arc<Message>> {
    let mut taken = 0;
    let fits = |message: &&Arc<Message>| {
        let first = taken == 0;
        taken += message.data.len() + BESIDE + message.info.as_ref().map_or(0, |info| info.len());
        first || taken <= bytes
    };
    messages
        .take(limit.min(PAGE_MESSAGES))
        .take_while(fits)
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Payload;
    use crate::names::{ConnectionId, RoomName, UserId};

    fn message(offset: u64, size: usize) -> Arc<Message> {
        Arc::new(Message {
            room: RoomName::parse("r").unwrap(),
            offset: Some(Offset(offset)),
            timestamp: offset,
            from: Some(UserId::anonymous(ConnectionId::random())),
            event: None,
            data: Payload::Text("x".repeat(size).into()),
            info: None,
            skip: None,
            trace: None,
        })
    }

    fn ring(offsets: &[u64], max: usize) -> Ring {
        let mut ring = Ring::new(Offset(0), true);
        for offset in offsets {
            ring.push(message(*offset, 10), max);
        }
        ring
    }

    fn offsets(page: &Page) -> Vec<u64> {
        page.messages
            .iter()
            .map(|message| message.offset.unwrap().0)
            .collect()
    }

    #[test]
    fn the_floor_is_the_newest_message_that_was_let_go() {
        let ring = ring(&[3, 5, 9, 12], 2);
        assert_eq!(ring.floor(), Offset(5));
        assert_eq!(offsets(&ring.after(Offset(5), 100, PAGE_BYTES)), [9, 12]);
    }

    #[test]
    fn pages_end_at_the_limit_or_at_256_kib_and_say_whether_more_follows() {
        let all: Vec<u64> = (1..=250).collect();
        let ring = ring(&all, 1000);
        let page = ring.after(Offset(0), 1000, PAGE_BYTES);
        assert_eq!((page.messages.len(), page.more), (100, true));
        let page = ring.after(Offset(200), 100, PAGE_BYTES);
        assert_eq!((page.messages.len(), page.more), (50, false));

        let mut large = Ring::new(Offset(0), true);
        for offset in 1..=3 {
            large.push(message(offset, 200 * 1024), 10);
        }
        assert_eq!(offsets(&large.after(Offset(0), 100, PAGE_BYTES)), [1]);
        assert!(large.after(Offset(0), 100, PAGE_BYTES).more);
    }

    #[test]
    fn history_reads_newest_before_and_after_in_ascending_order() {
        let ring = ring(&[1, 2, 3, 4, 5], 100);
        let newest = ring.read(HistoryRange::Newest, 2, PAGE_BYTES);
        assert_eq!((offsets(&newest), newest.more), (vec![4, 5], true));
        let before = ring.read(HistoryRange::Before(Offset(3)), 5, PAGE_BYTES);
        assert_eq!((offsets(&before), before.more), (vec![1, 2], false));
        let after = ring.read(HistoryRange::After(Offset(3)), 1, PAGE_BYTES);
        assert_eq!((offsets(&after), after.more), (vec![4], true));
    }

    #[test]
    fn expiry_lets_go_what_is_too_old_and_raises_the_floor() {
        let mut ring = ring(&[1000, 2000, 3000], 100);
        ring.expire(3500, Duration::from_secs(1));
        assert_eq!((ring.floor(), ring.is_empty()), (Offset(2000), false));
        ring.expire(9000, Duration::from_secs(1));
        assert_eq!(
            (ring.floor(), ring.is_empty(), ring.footprint()),
            (Offset(3000), true, 0)
        );
    }

    #[test]
    fn a_ring_that_is_full_from_the_start_proves_nothing_before_its_first_message() {
        let mut full = ring(&[3, 5, 9], 100);
        full.trimmed(4);
        assert_eq!(full.floor(), Offset(0), "the store would have kept more");
        full.trimmed(3);
        assert_eq!((full.floor(), full.is_whole()), (Offset(2), true));
    }

    #[test]
    fn a_cleared_ring_proves_nothing_up_to_its_last_message() {
        let mut ring = ring(&[1, 7], 100);
        ring.clear(Offset(0));
        assert_eq!((ring.floor(), ring.footprint()), (Offset(7), 0));
    }
}
