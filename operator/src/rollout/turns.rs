//! Channels whose pods a new release of the operator replaces take turns.
//!
//! A new default image concerns every channel that names none. If all rolled at once, every client of the cluster would
//! move at once, and an image that does not start would be everywhere. So only a few roll; one that does not come to
//! an end keeps its turn, and the release stops there.

use std::collections::BTreeSet;

/// Who rolls because of the release. Kept in memory: [`Turns::resume`] tells it again after a restart.
#[derive(Debug)]
pub struct Turns {
    most: usize,
    rolling: BTreeSet<String>,
}

/// An answer to who wants to roll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Now.
    Now,
    /// After one of these.
    After(Vec<String>),
}

impl Turns {
    /// At most `most` at once; 0 is taken for 1, or no release would ever arrive.
    pub fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            rolling: BTreeSet::new(),
        }
    }

    /// After a restart: these channels are rolling, and name no image.
    pub fn resume(&mut self, rolling: impl IntoIterator<Item = String>) {
        self.rolling.extend(rolling);
    }

    /// `channel` is to be rolled for no other reason than the release.
    pub fn ask(&mut self, channel: &str) -> Turn {
        if !self.rolling.contains(channel) {
            if self.rolling.len() >= self.most {
                return Turn::After(self.rolling.iter().cloned().collect());
            }
            self.rolling.insert(channel.to_owned());
        }
        Turn::Now
    }

    /// `channel` runs the release whole, or does not concern it any more: it names an image, is paused, or is deleted.
    pub fn done(&mut self, channel: &str) {
        self.rolling.remove(channel);
    }
}
