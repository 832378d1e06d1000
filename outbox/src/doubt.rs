//! Whether a row may have been published before, so long ago that the room does not know its id any more.
//!
//! A room deduplicates inside a window. A row that is sent again within it is the same message, whoever sent it first. So
//! only what may have been sent earlier is in doubt: rows that were there when this relay took their partition, as another
//! may have sent them at any time since they were written; and rows that this relay has sent itself without hearing what
//! became of them. Those are looked up in the room's history first, once they are old.

use std::time::Duration;

use tokio::time::Instant;

/// A row may have been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt {
    /// How long before `since` that may have been, at most.
    age: Duration,
    /// Who looks into the room later than this sees it.
    pub since: Instant,
}

impl Doubt {
    /// Of a row that was written `age` ago, and was there when its partition was taken.
    #[must_use]
    pub fn of_another(age: Duration, taken: Instant, now: Instant) -> Self {
        Self {
            age: age.saturating_sub(now.saturating_duration_since(taken)),
            since: taken,
        }
    }

    /// Of a row that this relay has just sent.
    #[must_use]
    pub fn of_own(sent: Instant) -> Self {
        Self {
            age: Duration::ZERO,
            since: sent,
        }
    }

    /// Whether it may have been sent longer than `trusted` ago.
    #[must_use]
    pub fn is_old(&self, now: Instant, trusted: Duration) -> bool {
        self.age + now.saturating_duration_since(self.since) > trusted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_was_there_is_in_doubt_from_when_it_was_written() {
        let taken = Instant::now();
        let doubt = Doubt::of_another(50 * SECOND, taken, taken + 5 * SECOND);
        assert!(!doubt.is_old(taken + 14 * SECOND, 60 * SECOND));
        assert!(doubt.is_old(taken + 16 * SECOND, 60 * SECOND));
        assert_eq!(doubt.since, taken);
    }

    #[test]
    fn what_this_relay_sent_is_in_doubt_from_then_on() {
        let sent = Instant::now();
        let doubt = Doubt::of_own(sent);
        assert!(!doubt.is_old(sent + 60 * SECOND, 60 * SECOND));
        assert!(doubt.is_old(sent + 61 * SECOND, 60 * SECOND));
    }
}
