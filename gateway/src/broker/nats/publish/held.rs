//! What is held back: messages that a partition does not take just now, and all that came after them, in order.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::job::{Job, Sent};
use crate::broker::PublishError;

/// Pauses before what came back is sent again.
pub const PAUSES: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(125),
    Duration::from_millis(250),
];
/// The partitions that do not take messages just now.
#[derive(Default)]
pub struct HeldBack(HashMap<u16, Held>);

/// One of them.
#[derive(Default)]
pub struct Held {
    /// What came back, by its number: in the order in which they were sent first.
    pub again: BTreeMap<u64, Sent>,
    /// When they may be sent.
    until: Option<Instant>,
    /// Jobs that came later.
    pub later: VecDeque<Job>,
}

impl HeldBack {
    /// Keeps a job back if its partition is; gives it back otherwise.
    pub fn keep(&mut self, job: Job) -> Option<Job> {
        match self.0.get_mut(&job.partition) {
            Some(held) => {
                held.later.push_back(job);
                None
            }
            None => Some(job),
        }
    }

    /// Holds back what the server does not take just now, and all that follows it.
    pub fn hold(&mut self, number: u64, sent: Sent) {
        let held = self.0.entry(sent.job.partition).or_default();
        let pause = PAUSES[sent.tries.min(PAUSES.len() - 1)];
        held.until = held.until.max(Some(Instant::now() + pause));
        held.again.insert(number, sent);
    }

    /// Holds back what found no place in the window, until there is one.
    pub fn hold_later(&mut self, partition: u16, later: VecDeque<Job>) {
        if !later.is_empty() {
            let held = self.0.entry(partition).or_default();
            (held.until, held.later) = (Some(Instant::now()), later);
        }
    }

    /// Takes out the partitions that may be tried again: nothing of theirs is under way, so nothing can be overtaken.
    pub fn take_ready(
        &mut self,
        now: Instant,
        is_under_way: impl Fn(u16) -> bool,
    ) -> Vec<(u16, Held)> {
        let ready =
            |partition: &u16, held: &mut Held| held.until <= Some(now) && !is_under_way(*partition);
        self.0.extract_if(ready).collect()
    }

    /// When something may be tried again; what waits for answers is looked at when they come, or at their deadline.
    pub fn wake(&self, is_under_way: impl Fn(u16) -> bool) -> Option<Instant> {
        let waiting = self
            .0
            .iter()
            .filter(|(partition, _)| !is_under_way(**partition));
        waiting.filter_map(|(_, held)| held.until).min()
    }

    /// Takes out what has come to its deadline; `why` says of each partition what is the matter.
    pub fn take_late(
        &mut self,
        now: Instant,
        why: impl Fn(u16) -> PublishError,
    ) -> Vec<(Job, PublishError)> {
        let mut late = Vec::new();
        for (partition, held) in &mut self.0 {
            let again = held
                .again
                .extract_if(.., |_, sent| sent.job.deadline() <= now);
            late.extend(again.map(|(_, sent)| sent.refused(why(*partition))));
            while held.later.front().is_some_and(|job| job.deadline() <= now) {
                late.extend(held.later.pop_front().map(|job| (job, why(*partition))));
            }
        }
        late
    }

    /// Takes out everything, which `error` keeps from being sent.
    pub fn take_all(&mut self, error: PublishError) -> Vec<(Job, PublishError)> {
        let all = std::mem::take(&mut self.0).into_values();
        all.flat_map(|held| {
            let again = held
                .again
                .into_values()
                .map(move |sent| sent.refused(error));
            again.chain(held.later.into_iter().map(move |job| (job, error)))
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;
    use bytes::Bytes;

    use super::*;

    fn job(token: u64, partition: u16, age: Duration) -> Job {
        Job {
            token,
            partition,
            subject: String::new(),
            headers: HeaderMap::new(),
            payload: Bytes::new(),
            at: Instant::now() - age,
        }
    }

    fn sent(token: u64, conflict: bool, age: Duration) -> Sent {
        Sent {
            job: job(token, 0, age),
            tries: 0,
            conflict,
            place: None,
        }
    }

    fn tokens(of: Vec<(Job, PublishError)>) -> Vec<(u64, PublishError)> {
        of.iter().map(|(job, error)| (job.token, *error)).collect()
    }

    const NEW: Duration = Duration::ZERO;
    const OLD: Duration = Duration::from_secs(60);

    #[test]
    fn what_comes_later_for_the_same_partition_is_kept_back_too() {
        let mut held = HeldBack::default();
        assert!(held.keep(job(1, 0, NEW)).is_some());
        held.hold(7, sent(2, false, NEW));
        assert!(held.keep(job(3, 0, NEW)).is_none());
        assert!(held.keep(job(4, 1, NEW)).is_some(), "another partition");
        held.hold(5, sent(1, false, NEW));
        let [(0, of)] = &held.take_ready(Instant::now() + OLD, |_| false)[..] else {
            panic!("one partition")
        };
        let again: Vec<u64> = of.again.values().map(|sent| sent.job.token).collect();
        assert_eq!(again, [1, 2], "in the order of their first sending");
        assert_eq!(of.later[0].token, 3);
    }

    #[test]
    fn nothing_is_tried_again_before_its_pause_or_while_others_of_its_partition_are_under_way() {
        let mut held = HeldBack::default();
        held.hold(1, sent(1, false, NEW));
        assert!(held.take_ready(Instant::now(), |_| false).is_empty());
        let later = Instant::now() + OLD;
        assert!(
            held.take_ready(later, |partition| partition == 0)
                .is_empty()
        );
        assert_eq!(held.wake(|_| true), None);
        assert!(held.wake(|_| false).is_some());
        assert_eq!(held.take_ready(later, |_| false).len(), 1);
    }

    #[test]
    fn at_its_deadline_a_message_that_may_be_stored_is_of_unknown_outcome_and_others_are_refused() {
        let mut held = HeldBack::default();
        held.hold(1, sent(1, false, OLD));
        held.hold(2, sent(2, true, OLD));
        held.hold(3, sent(3, false, NEW));
        held.keep(job(4, 0, OLD));
        held.keep(job(5, 0, NEW));
        let mut late = tokens(held.take_late(Instant::now(), |_| PublishError::NoStorage));
        late.sort_unstable_by_key(|(token, _)| *token);
        let unknown = PublishError::OutcomeUnknown;
        let refused = PublishError::NoStorage;
        assert_eq!(late, [(1, refused), (2, unknown), (4, refused)]);
        let rest = tokens(held.take_all(PublishError::Unavailable));
        let refused = PublishError::Unavailable;
        assert_eq!(rest, [(3, refused), (5, refused)]);
    }
}
