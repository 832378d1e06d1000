//! Channels whose pods a new release of the operator replaces take turns.
//!
//! A new default image concerns every channel that names none. If all rolled at once, every client of the cluster would
//! move at once, and an image that does not start would be everywhere. So only a few roll; one that does not come to
//! an end keeps its turn, and the release stops there.

use std::collections::BTreeSet;
use std::time::Duration;

/// Shortest wait until a channel that has to wait asks again.
const SOON: Duration = Duration::from_secs(5);
/// How many of those that wait may ask in a second. Each is a whole pass over the channel.
const ASKS_PER_SECOND: u32 = 10;

/// Who rolls because of the release. Kept in memory: [`Turns::resume`] tells it again after a restart.
#[derive(Debug)]
pub struct Turns {
    most: usize,
    rolling: BTreeSet<String>,
    waiting: BTreeSet<String>,
}

/// An answer to who wants to roll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Now.
    Now,
    /// After one of these. Ask again after this time: the more wait, the longer it is.
    After(Vec<String>, Duration),
}

impl Turns {
    /// At most `most` at once; 0 is taken for 1, or no release would ever arrive.
    pub fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            rolling: BTreeSet::new(),
            waiting: BTreeSet::new(),
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
                self.waiting.insert(channel.to_owned());
                let waiting = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
                let wait = SOON.max(Duration::from_secs(1) * (waiting / ASKS_PER_SECOND));
                return Turn::After(self.rolling.iter().cloned().collect(), wait);
            }
            self.waiting.remove(channel);
            self.rolling.insert(channel.to_owned());
        }
        Turn::Now
    }

    /// `channel` runs the release whole, or does not concern it any more: it names an image, is paused, or is deleted.
    pub fn done(&mut self, channel: &str) {
        self.rolling.remove(channel);
        self.waiting.remove(channel);
    }
}
