//! Failed authentications of one address: some are free, then each costs a wait that doubles.

use std::time::{Duration, Instant};

/// Failures that cost nothing: people of one household or office with old tokens.
const FREE: u32 = 10;

/// After this time without a failure one is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(10);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(64);

/// What is remembered of an address's failures.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    last: Option<Instant>,
    until: Option<Instant>,
}

impl Backoff {
    /// Counts a failure.
    pub(super) fn failed(&mut self, now: Instant) {
        self.forget(now);
        // Bounded, so that who stops is forgiven within minutes, however long it was at it.
        self.failures = (self.failures + 1).min(FREE + 7);
        self.last = Some(now);
        if let Some(excess) = self.failures.checked_sub(FREE + 1) {
            let wait = Duration::from_secs(1 << excess).min(LONGEST);
            self.until = Some(now + wait);
        }
    }

    /// How long until another try is looked at.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let wait = self.until?.saturating_duration_since(now);
        (!wait.is_zero()).then_some(wait)
    }

    fn forget(&mut self, now: Instant) {
        let Some(last) = self.last else { return };
        let quiet = now.saturating_duration_since(last).as_secs() / FORGET_AFTER.as_secs();
        let quiet = u32::try_from(quiet).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_sub(quiet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(failures: u32) -> (Backoff, Instant) {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        for _ in 0..failures {
            backoff.failed(now);
        }
        (backoff, now)
    }

    #[test]
    fn some_failures_are_free_and_then_the_wait_doubles_up_to_a_bound() {
        for (failures, seconds) in [
            (1, 0),
            (10, 0),
            (11, 1),
            (12, 2),
            (13, 4),
            (17, 64),
            (500, 64),
        ] {
            let (backoff, now) = after(failures);
            let wait = backoff.wait(now).unwrap_or_default();
            assert_eq!(wait.as_secs(), seconds, "{failures}");
        }
    }

    #[test]
    fn who_waits_may_try_again_and_who_stops_is_forgiven() {
        let (mut backoff, now) = after(500);
        let later = now + LONGEST;
        assert_eq!(backoff.wait(later), None);
        backoff.failed(later);
        assert!(backoff.wait(later).is_some(), "one minute forgives six");
        let much_later = later + FORGET_AFTER * 20;
        for _ in 0..FREE {
            backoff.failed(much_later);
        }
        assert_eq!(backoff.wait(much_later), None);
    }
}
