//! Which partitions a relay should have: as many as any other, rounded up.
//!
//! Each decides for itself from the locks that everybody sees. Nobody gives away more than what is above the rounded share,
//! so nothing goes back and forth; and while a partition has no owner, somebody is below its share and takes it.

use rand::Rng;
use rand::seq::IteratorRandom;

use crate::partitions::{COUNT, Partitions};

/// Who has what, as one relay sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How many relays there are, this one included.
    pub relays: usize,
    /// What this one has.
    pub own: Partitions,
    /// What others have.
    pub others: Partitions,
}

/// What a relay should do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// Try to get these.
    pub take: Partitions,
    /// Let these go, once nothing of them is under way.
    pub release: Partitions,
}

impl Standing {
    /// What should change.
    #[must_use]
    pub fn change(self, random: &mut impl Rng) -> Change {
        let share = usize::from(COUNT).div_ceil(self.relays.max(1));
        let own = self.own.len();
        let free = Partitions::ALL.without(self.own).without(self.others);
        let mut some = |of: Partitions, count: usize| -> Partitions {
            of.iter().sample(random, count).into_iter().collect()
        };
        Change {
            take: some(free, share.saturating_sub(own)),
            release: some(self.own, own.saturating_sub(share)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    /// One step of each of the relays in turn; whether anything changed.
    fn round(relays: &mut [Partitions], random: &mut StdRng) -> bool {
        let mut changed = false;
        for number in 0..relays.len() {
            let others = relays.iter().enumerate();
            let others = others.filter(|(other, _)| *other != number);
            let others = others.fold(Partitions::NONE, |all, (_, one)| all.and(*one));
            let standing = Standing {
                relays: relays.len(),
                own: relays[number],
                others,
            };
            let Change { take, release } = standing.change(random);
            assert!(
                take.within(others.and(relays[number])).is_empty(),
                "only what is free"
            );
            assert!(release.within(relays[number]) == release, "only its own");
            changed |= take != release;
            relays[number] = relays[number].and(take).without(release);
        }
        changed
    }

    proptest! {
        #[test]
        fn relays_come_to_rest_with_equal_shares_of_everything(
            count in 1_usize..9,
            owners in prop::collection::vec(0_usize..10, usize::from(COUNT)),
            seed: u64,
        ) {
            let mut random = StdRng::seed_from_u64(seed);
            let mut relays = vec![Partitions::NONE; count];
            for (partition, owner) in owners.into_iter().enumerate() {
                if let Some(relay) = relays.get_mut(owner) {
                    relay.insert(partition as u8);
                }
            }
            prop_assert!((0..4).any(|_| !round(&mut relays, &mut random)), "it never rests: {relays:?}");
            let all = relays.iter().fold(Partitions::NONE, |all, one| all.and(*one));
            prop_assert_eq!(all, Partitions::ALL);
            let share = usize::from(COUNT).div_ceil(count);
            prop_assert!(relays.iter().all(|relay| relay.len() <= share), "{relays:?}");
        }
    }

    #[test]
    fn more_relays_than_partitions_is_no_trouble() {
        let standing = Standing {
            relays: 65,
            own: Partitions::NONE,
            others: Partitions::ALL,
        };
        let change = standing.change(&mut rand::rng());
        assert_eq!(change, Change::default());
    }
}
