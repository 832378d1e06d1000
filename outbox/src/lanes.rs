//! The rows in hand: one line for each aggregate. The first of a line is on its way, or waits; the others come after it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;
use uuid::Uuid;

use crate::doubt::Doubt;
use crate::partitions::{COUNT, Partitions};
use crate::row::Row;

/// A row, and what is known of its way so far.
#[derive(Debug, Clone)]
pub struct Held {
    /// The row.
    pub row: Arc<Row>,
    /// How often it could not be published.
    pub failures: u32,
    /// Set where it may have been published already.
    pub doubt: Option<Doubt>,
}

/// All rows in hand.
#[derive(Debug)]
pub struct Lanes {
    lanes: HashMap<Arc<str>, Lane>,
    /// Lanes whose first row may be sent, in the order in which they became so.
    ready: VecDeque<Arc<str>>,
    /// Lanes whose first row waits, and until when.
    waiting: BTreeSet<(Instant, Arc<str>)>,
    /// Every row in hand, and its partition.
    held: HashMap<Uuid, u8>,
    /// How many of each partition there are.
    count: [usize; COUNT as usize],
}

#[derive(Debug)]
struct Lane {
    rows: VecDeque<Held>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    UnderWay,
    Waiting(Instant),
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            waiting: BTreeSet::new(),
            held: HashMap::new(),
            count: [0; COUNT as usize],
        }
    }
}

impl Lanes {
    /// Adds a row behind those of its aggregate. One that is in hand already is not taken again.
    pub fn push(&mut self, row: Row, doubt: Option<Doubt>) {
        if self.held.insert(row.id, row.partition).is_some() {
            return;
        }
        self.count[usize::from(row.partition)] += 1;
        let key: Arc<str> = Arc::from(row.aggregate.as_str());
        let held = Held {
            row: Arc::new(row),
            failures: 0,
            doubt,
        };
        if let Some(lane) = self.lanes.get_mut(&key) {
            return lane.rows.push_back(held);
        }
        let lane = Lane {
            rows: VecDeque::from([held]),
            state: State::Ready,
        };
        self.lanes.insert(Arc::clone(&key), lane);
        self.ready.push_back(key);
    }

    /// The next row that may be sent; it is under way then, until [`Self::done`] or [`Self::again`].
    pub fn next(&mut self, now: Instant) -> Option<Held> {
        while let Some((until, _)) = self.waiting.first() {
            if *until > now {
                break;
            }
            if let Some((_, key)) = self.waiting.pop_first() {
                if let Some(lane) = self.lanes.get_mut(&key) {
                    lane.state = State::Ready;
                }
                self.ready.push_back(key);
            }
        }
        while let Some(key) = self.ready.pop_front() {
            let lane = self.lanes.get_mut(&key);
            let lane = lane.filter(|lane| lane.state == State::Ready);
            if let Some((lane, held)) = lane.and_then(|lane| {
                let held = lane.rows.front().cloned()?;
                Some((lane, held))
            }) {
                lane.state = State::UnderWay;
                return Some(held);
            }
        }
        None
    }

    /// When the next of those that wait may be sent.
    #[must_use]
    pub fn next_time(&self) -> Option<Instant> {
        self.waiting.first().map(|(until, _)| *until)
    }

    /// The row that is under way for `aggregate` is dealt with: the next of its line may be sent.
    pub fn done(&mut self, aggregate: &str) {
        let Some(lane) = self.lanes.get_mut(aggregate) else {
            return;
        };
        if let Some(held) = lane.rows.pop_front() {
            self.held.remove(&held.row.id);
            self.count[usize::from(held.row.partition)] -= 1;
        }
        if lane.rows.is_empty() {
            self.lanes.remove(aggregate);
        } else {
            lane.state = State::Ready;
            self.ready.push_back(Arc::from(aggregate));
        }
    }

    /// The row that is under way for `aggregate` was not published, and is to be sent again then; `doubt` is what is known
    /// of it now.
    pub fn again(&mut self, aggregate: &str, at: Instant, doubt: Option<Doubt>) {
        let Some(lane) = self.lanes.get_mut(aggregate) else {
            return;
        };
        if let Some(held) = lane.rows.front_mut() {
            held.failures = held.failures.saturating_add(1);
            held.doubt = doubt;
        }
        lane.state = State::Waiting(at);
        self.waiting.insert((at, Arc::from(aggregate)));
    }

    /// Lets go of all rows of these partitions but those under way.
    pub fn forget(&mut self, partitions: Partitions) {
        self.lanes.retain(|key, lane| {
            let ours = lane.rows.front();
            if !ours.is_some_and(|held| partitions.has(held.row.partition)) {
                return true;
            }
            let keep = usize::from(lane.state == State::UnderWay);
            for held in lane.rows.drain(keep..) {
                self.held.remove(&held.row.id);
                self.count[usize::from(held.row.partition)] -= 1;
            }
            if let State::Waiting(until) = lane.state {
                self.waiting.remove(&(until, Arc::clone(key)));
            }
            keep == 1
        });
    }

    /// How many rows of a partition are in hand.
    #[must_use]
    pub fn held(&self, partition: u8) -> usize {
        self.count[usize::from(partition)]
    }

    /// The rows of these partitions that are in hand.
    #[must_use]
    pub fn ids(&self, partitions: Partitions) -> Vec<Uuid> {
        let ours = self.held.iter();
        let ours = ours.filter(|(_, partition)| partitions.has(**partition));
        ours.map(|(id, _)| *id).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::row::testing::row;

    fn next(lanes: &mut Lanes) -> Option<i64> {
        lanes.next(Instant::now()).map(|held| held.row.seq)
    }

    #[test]
    fn aggregates_go_side_by_side_and_each_one_after_the_other() {
        let mut lanes = Lanes::default();
        for (aggregate, seq) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            lanes.push(row(aggregate, seq), None);
        }
        let sent: Vec<_> = std::iter::from_fn(|| next(&mut lanes)).collect();
        assert_eq!(sent, [1, 2, 4], "3 comes after 1");
        lanes.done("b");
        assert_eq!(next(&mut lanes), None);
        lanes.done("a");
        assert_eq!(next(&mut lanes), Some(3));
    }

    #[test]
    fn a_row_in_hand_is_not_taken_twice() {
        let mut lanes = Lanes::default();
        lanes.push(row("a", 1), None);
        lanes.push(row("a", 1), None);
        assert_eq!(lanes.held(1), 1);
        assert_eq!(next(&mut lanes), Some(1));
        lanes.push(row("a", 1), None);
        lanes.done("a");
        assert_eq!(next(&mut lanes), None);
        assert_eq!(lanes.held(1), 0);
    }

    #[test]
    fn one_that_waits_holds_up_its_aggregate_and_no_other() {
        let mut lanes = Lanes::default();
        lanes.push(row("a", 1), None);
        lanes.push(row("a", 2), None);
        lanes.push(row("b", 3), None);
        let now = Instant::now();
        assert_eq!(next(&mut lanes), Some(1));
        let later = now + Duration::from_secs(60);
        let doubt = Doubt::of_own(now);
        lanes.again("a", later, Some(doubt));
        assert_eq!(lanes.next_time(), Some(later));
        assert_eq!(next(&mut lanes), Some(3));
        assert_eq!(next(&mut lanes), None);
        let held = lanes.next(later).unwrap();
        assert_eq!((held.row.seq, held.failures), (1, 1));
        assert_eq!(held.doubt, Some(doubt));
        assert_eq!(lanes.next_time(), None);
    }

    #[test]
    fn what_is_forgotten_is_gone_but_for_what_is_under_way() {
        let mut lanes = Lanes::default();
        for (aggregate, seq) in [("a", 1), ("a", 2), ("bb", 3), ("a", 4), ("b", 5)] {
            lanes.push(row(aggregate, seq), None);
        }
        assert_eq!(next(&mut lanes), Some(1));
        lanes.again("a", Instant::now() + Duration::from_secs(1), None);
        assert_eq!(next(&mut lanes), Some(3));
        assert_eq!(next(&mut lanes), Some(5));
        let ones: Partitions = [1].into_iter().collect();
        lanes.forget(ones);
        assert_eq!(lanes.held(1), 1, "5 is under way");
        assert_eq!(lanes.ids(ones), [Uuid::from_u128(5)]);
        assert_eq!(lanes.held(2), 1);
        assert_eq!(lanes.next_time(), None);
        lanes.done("b");
        assert_eq!(lanes.held(1), 0);
        assert_eq!(next(&mut lanes), None);
    }

    proptest! {
        #[test]
        fn whatever_happens_each_aggregate_is_sent_in_order_and_once(
            steps in prop::collection::vec((0_u8..4, 0_u8..3), 1..200),
        ) {
            let mut lanes = Lanes::default();
            let mut done: HashMap<String, Vec<i64>> = HashMap::new();
            let mut under_way: Vec<Held> = Vec::new();
            let now = Instant::now();
            let mut seq = 0;
            for (kind, number) in steps {
                match kind {
                    0 | 1 => {
                        seq += 1;
                        lanes.push(row(&"x".repeat(usize::from(number) + 1), seq), None);
                    }
                    2 => under_way.extend(lanes.next(now)),
                    _ if under_way.is_empty() => {}
                    _ => {
                        let held = under_way.remove(usize::from(number) % under_way.len());
                        let aggregate = &held.row.aggregate;
                        if number == 0 {
                            lanes.again(aggregate, now, None);
                        } else {
                            lanes.done(aggregate);
                            done.entry(aggregate.clone()).or_default().push(held.row.seq);
                        }
                    }
                }
            }
            for held in under_way {
                lanes.again(&held.row.aggregate, now, None);
            }
            while let Some(held) = lanes.next(now) {
                lanes.done(&held.row.aggregate);
                done.entry(held.row.aggregate.clone()).or_default().push(held.row.seq);
            }
            let mut all: Vec<i64> = done.values().flatten().copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (1..=seq).collect::<Vec<_>>());
            for seqs in done.values() {
                prop_assert!(seqs.is_sorted(), "{:?}", seqs);
            }
        }
    }
}
