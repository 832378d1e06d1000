//! Moving some connections away: a gateway that has more than its part makes room after others were added.

use std::time::Duration;

use rand::seq::SliceRandom;

use super::state::Shard;
use super::timers::{SAID, draw};
use super::wheel::ticks;

/// What a shard is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thinning {
    /// So many connections stay.
    pub keep: usize,
    /// The moves are spread over this time.
    pub window: Duration,
}

/// How many connections each shard keeps, where all together keep `keep`: as many more as it has more.
pub fn shares(keep: usize, connections: &[usize]) -> Vec<usize> {
    let total: usize = connections.iter().sum();
    if total == 0 {
        return vec![keep; connections.len()];
    }
    // Of what comes before and including a shard, less what comes before it: so that the shares make `keep` exactly.
    let mut before = 0;
    let part = |connections: usize| {
        let part = keep as u128 * connections as u128 / total as u128;
        usize::try_from(part).unwrap_or(usize::MAX)
    };
    let share = connections.iter().map(|connections| {
        let begin = part(before);
        before += connections;
        part(before) - begin
    });
    share.collect()
}

impl Shard {
    /// Plans moves until `keep` connections are left that stay, or takes back such as nobody was told of. Gives how many
    /// are on their way.
    pub(super) fn thin(&mut self, Thinning { keep, window }: Thinning) -> usize {
        let (mut staying, mut planned, mut told) = (Vec::new(), Vec::new(), 0);
        for (slot, connection) in &self.connections {
            if !connection.listens() {
                continue;
            }
            match connection.moving {
                None => staying.push(slot as u32),
                Some((SAID, _)) => told += 1,
                Some(_) => planned.push(slot as u32),
            }
        }
        if self.draining_until.is_some() {
            return planned.len() + told; // all of them go
        }
        let mut chance = rand::rng();
        let now = self.wheel.now();
        let excess = staying.len().saturating_sub(keep);
        let back = keep.saturating_sub(staying.len()).min(planned.len());
        let (moves, _) = staying.partial_shuffle(&mut chance, excess);
        for &mut slot in moves {
            self.set_moving(slot, Some(draw(now, ticks(window))));
            self.schedule(slot);
        }
        let (stay, _) = planned.partial_shuffle(&mut chance, back);
        for &mut slot in stay {
            self.set_moving(slot, None);
        }
        planned.len() - back + excess + told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_keep_as_many_more_as_they_have_more() {
        assert_eq!(shares(50, &[30, 70]), [15, 35]);
        assert_eq!(shares(0, &[30, 70]), [0, 0]);
        assert_eq!(shares(1000, &[30, 70]), [300, 700]);
        assert_eq!(shares(usize::MAX, &[1, 1]).len(), 2);
    }

    #[test]
    fn shares_make_the_whole_however_it_divides() {
        for keep in 0..50 {
            let shares = shares(keep, &[1, 0, 7, 3]);
            assert_eq!(shares.iter().sum::<usize>(), keep);
            assert_eq!(shares[1], 0);
        }
    }

    #[test]
    fn where_nobody_is_everybody_may_stay() {
        assert_eq!(shares(3, &[0, 0]), [3, 3]);
    }
}
