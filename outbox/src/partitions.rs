//! Sets of partitions.

use std::fmt;

/// How many partitions there are: the schema's hash has so many values.
pub const COUNT: u8 = 64;

/// A set of partitions.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Partitions(u64);

impl Partitions {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self(u64::MAX);

    /// The set whose bits are these.
    #[must_use]
    pub fn of_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The set as bits.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Adds one. One that there is not is left out.
    pub fn insert(&mut self, partition: u8) {
        self.0 |= bit(partition);
    }

    /// Takes one out.
    pub fn remove(&mut self, partition: u8) {
        self.0 &= !bit(partition);
    }

    /// Whether it is in the set.
    #[must_use]
    pub fn has(self, partition: u8) -> bool {
        self.0 & bit(partition) != 0
    }

    /// How many are in it.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in one or the other.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this one only.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is in both.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Its members, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..COUNT).filter(move |partition| self.has(*partition))
    }

    /// Its members as the database has them.
    #[must_use]
    pub fn numbers(self) -> Vec<i32> {
        self.iter().map(i32::from).collect()
    }
}

fn bit(partition: u8) -> u64 {
    1_u64.checked_shl(partition.into()).unwrap_or(0)
}

impl FromIterator<u8> for Partitions {
    fn from_iter<I: IntoIterator<Item = u8>>(members: I) -> Self {
        let mut set = Self::NONE;
        members.into_iter().for_each(|member| set.insert(member));
        set
    }
}

impl fmt::Debug for Partitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in_and_not_taken_out() {
        let mut set: Partitions = [0, 63, 7].into_iter().collect();
        set.remove(7);
        set.insert(64);
        assert_eq!(set.numbers(), [0, 63]);
        assert_eq!(set.len(), 2);
        let other: Partitions = [63, 1].into_iter().collect();
        assert_eq!(set.and(other).numbers(), [0, 1, 63]);
        assert_eq!(set.without(other).numbers(), [0]);
        assert_eq!(set.within(other).numbers(), [63]);
        assert_eq!(Partitions::ALL.len(), usize::from(COUNT));
    }
}
