//! What a gateway knows of its own lease and of others', and what it may conclude.

use std::time::Duration;

/// The own lease, as the bucket's watch shows it: that proves the whole way to the server and back.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Since when it has been renewed without a break.
    since: Option<Duration>,
    /// The last renewal seen.
    last: Duration,
}

impl Standing {
    /// A renewal has come back.
    pub fn confirm(&mut self, now: Duration, lease: Duration) {
        if now.saturating_sub(self.last) >= lease {
            self.since = None;
        }
        self.since.get_or_insert(now);
        self.last = now;
    }

    /// What went before counts no more.
    pub fn lapse(&mut self) {
        self.since = None;
    }

    /// Whether this gateway was able to keep a lease for the whole time of one: then so was any other that lives.
    pub fn judges(&self, now: Duration, lease: Duration) -> bool {
        let renewed = now.saturating_sub(self.last) < lease;
        renewed
            && self
                .since
                .is_some_and(|since| now.saturating_sub(since) >= lease)
    }
}

/// Another gateway's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lease {
    /// The gateway was heard, but its lease was not seen yet.
    Unseen {
        /// When it was first heard.
        since: Duration,
    },
    /// It is in the bucket.
    Held,
    /// It was, and is not.
    Gone {
        /// When that was noticed.
        since: Duration,
    },
}

impl Lease {
    /// Whether the gateway is taken for dead by one that may judge.
    pub fn is_over(self, now: Duration, lease: Duration, merge: Duration) -> bool {
        match self {
            Self::Held => false,
            Self::Unseen { since } => now.saturating_sub(since) >= lease,
            Self::Gone { since } => now.saturating_sub(since) >= merge,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn only_who_renewed_for_a_whole_lease_may_judge() {
        let mut standing = Standing::default();
        assert!(!standing.judges(s(100), LEASE));
        for at in [100, 105, 110, 114] {
            standing.confirm(s(at), LEASE);
            assert!(!standing.judges(s(at), LEASE), "{at}");
        }
        assert!(standing.judges(s(115), LEASE));
        assert!(standing.judges(s(128), LEASE));
        assert!(!standing.judges(s(129), LEASE), "a lease since the last");
        standing.confirm(s(130), LEASE);
        assert!(!standing.judges(s(131), LEASE));
        standing.confirm(s(140), LEASE);
        assert!(standing.judges(s(145), LEASE));
        standing.lapse();
        assert!(!standing.judges(s(146), LEASE));
    }
}
