//! Whose turn it is in this process: messages that were delivered before are handled alone.
//!
//! One of them may have killed the process before, and what else was in its hands then came again with it, at the same
//! time, and would so again and again until it goes to the dead letters too. So each of them runs while no other does. Who
//! was delivered more often goes first: an innocent that has been through more than the culprit is done before it, and one
//! that has been through less sees the culprit reach its last try before itself. Among equals who goes first changes with
//! each delivery, by number up, then by number down, so that the innocent is the first in one of two rounds. Who comes
//! later than the others is waited for a little while.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

/// Turns of one process. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// How many run side by side.
    together: usize,
    /// Whether one runs alone.
    alone: bool,
    /// Who is to run alone, the first first.
    line: BTreeSet<Rank>,
    /// How many of them have waited for others to come.
    ready: usize,
}

/// A place in the line.
type Rank = (u64, u64);

/// Ends with its drop.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Turns,
    alone: bool,
}

impl Turns {
    /// Awaits that a message may be handled; `gather` is how long one that was delivered before waits for others.
    pub async fn take(&self, deliveries: u64, sequence: u64, gather: Duration) -> Turn {
        let rank = rank(deliveries, sequence);
        let alone = deliveries > 1;
        if alone {
            self.lock().line.insert(rank);
            sleep(gather).await;
            self.lock().ready += 1;
        }
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            // Enabled before the look, or a change between look and wait would be missed.
            changed.as_mut().enable();
            if self.try_take(alone.then_some(rank)) {
                let turns = self.clone();
                return Turn { turns, alone };
            }
            changed.await;
        }
    }

    fn try_take(&self, rank: Option<Rank>) -> bool {
        let mut state = self.lock();
        match rank {
            Some(rank) => {
                let first = state.line.first() == Some(&rank);
                if !first || state.alone || state.together > 0 {
                    return false;
                }
                state.line.remove(&rank);
                state.ready -= 1;
                state.alone = true;
            }
            None => {
                if state.alone || state.ready > 0 {
                    return false;
                }
                state.together += 1;
            }
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole between two calls, also where a thread has panicked.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        match self.alone {
            true => state.alone = false,
            false => state.together -= 1,
        }
        drop(state);
        self.turns.0.changed.notify_waiters();
    }
}

/// Who was delivered more often goes first; among equals up in one round, down in the next.
fn rank(deliveries: u64, sequence: u64) -> Rank {
    let place = match deliveries % 2 {
        0 => sequence,
        _ => u64::MAX - sequence,
    };
    (u64::MAX - deliveries, place)
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const GATHER: Duration = Duration::from_millis(100);

    /// In which order messages with these deliveries and numbers run that come at the same time.
    async fn order(messages: &[(u64, u64)]) -> Vec<u64> {
        let turns = Turns::default();
        let ran = Arc::new(Mutex::new(Vec::new()));
        let tasks = messages.iter().map(|(deliveries, sequence)| {
            let (turns, ran) = (turns.clone(), Arc::clone(&ran));
            let (deliveries, sequence) = (*deliveries, *sequence);
            tokio::spawn(async move {
                let _turn = turns.take(deliveries, sequence, GATHER).await;
                ran.lock().unwrap().push(sequence);
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let ran = ran.lock().unwrap();
        ran.clone()
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_that_come_together_each_is_the_first_in_one_of_two_rounds() {
        for both in [[3, 7], [7, 3]] {
            let round = |deliveries| both.map(|sequence| (deliveries, sequence));
            assert_eq!(order(&round(2)).await, [3, 7]);
            assert_eq!(order(&round(3)).await, [7, 3]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_delivered_more_often_goes_first() {
        assert_eq!(order(&[(3, 2), (2, 9), (4, 1)]).await, [1, 2, 9]);
        assert_eq!(order(&[(2, 1), (1, 5)]).await, [5, 1], "a new one at once");
    }

    #[tokio::test(start_paused = true)]
    async fn new_messages_run_side_by_side_and_one_that_came_before_runs_alone() {
        let turns = Turns::default();
        let one = turns.take(1, 1, GATHER).await;
        let two = turns.take(1, 2, GATHER).await;
        let again = turns.clone();
        let mut third = tokio::spawn(async move { again.take(2, 3, GATHER).await });
        let soon = GATHER * 2;
        assert!(timeout(soon, &mut third).await.is_err(), "others run");
        let again = turns.clone();
        let mut fourth = tokio::spawn(async move { again.take(1, 4, GATHER).await });
        assert!(timeout(soon, &mut fourth).await.is_err(), "the third waits");
        drop((one, two));
        let third = third.await.unwrap();
        assert!(
            timeout(soon, &mut fourth).await.is_err(),
            "the third runs alone"
        );
        drop(third);
        fourth.await.unwrap();
    }
}
