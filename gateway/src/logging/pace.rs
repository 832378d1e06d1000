//! How many log lines of one kind there are: floods are what metrics are for.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines are counted anew after this time.
const WINDOW: Duration = Duration::from_secs(10);

/// The pace of one kind of line.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// When the first line of the window was written.
    since: Option<Instant>,
    /// Lines in the window.
    lines: u32,
    /// What has happened since the last line.
    untold: u64,
}

impl Pace {
    /// Nothing has happened yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            since: None,
            lines: 0,
            untold: 0,
        }
    }

    /// Something happens. Where it is worth a line, one of `most` in ten seconds, gives how many times it has happened since
    /// the line before, this time included.
    pub fn due(&mut self, most: u32, now: Instant) -> Option<u64> {
        self.untold += 1;
        let within = |since| now.saturating_duration_since(since) < WINDOW;
        if !self.since.is_some_and(within) {
            (self.since, self.lines) = (Some(now), 0);
        }
        if self.lines >= most {
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.untold))
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new()
    }
}

/// The pace of one kind of line that any thread may write, once in ten seconds.
#[derive(Debug)]
pub struct SharedPace(Mutex<Pace>);

impl SharedPace {
    /// Nothing has happened yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Pace::new()))
    }

    /// [`Pace::due`], now.
    pub fn due(&self) -> Option<u64> {
        let mut pace = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pace.due(1, Instant::now())
    }
}

impl Default for SharedPace {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_some_lines_in_ten_seconds_and_the_next_says_how_many_there_were_meanwhile() {
        let mut pace = Pace::new();
        let start = Instant::now();
        let mut at = |seconds| pace.due(2, start + Duration::from_secs(seconds));
        assert_eq!((at(0), at(1)), (Some(1), Some(1)));
        assert_eq!((at(2), at(9)), (None, None));
        assert_eq!((at(10), at(11), at(12)), (Some(3), Some(1), None));
        assert_eq!(at(1000), Some(2));
    }
}
