//! How long a channel waits after passes that failed: each for itself, so that one that can't work holds up no other.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use rand::RngExt;

/// After the first failure.
const FIRST: Duration = Duration::from_secs(1);

/// After many.
const LONGEST: Duration = Duration::from_secs(300);

/// Failures in a row, by the channel's uid or name.
#[derive(Debug, Default)]
pub struct Backoffs(Mutex<HashMap<String, u32>>);

impl Backoffs {
    /// A pass of `channel` failed: how long to wait for the next. Up to a fifth more or less, so that those who failed
    /// together do not come back together.
    pub fn failed(&self, channel: &str) -> Duration {
        let mut failures = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let times = failures.entry(channel.to_owned()).or_default();
        let wait = FIRST.saturating_mul(1 << (*times).min(16)).min(LONGEST);
        *times = times.saturating_add(1);
        wait.mul_f64(rand::rng().random_range(0.8..1.2))
    }

    /// A pass of `channel` did what it was to, or there is no such channel any more.
    pub fn reset(&self, channel: &str) {
        let mut failures = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        failures.remove(channel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_wait_of_its_channel_alone_up_to_a_bound() {
        let backoffs = Backoffs::default();
        let about = |wait: Duration, seconds: f64| {
            let ratio = wait.as_secs_f64() / seconds;
            assert!(
                (0.8..1.2).contains(&ratio),
                "{wait:?} is not about {seconds} s"
            );
        };
        for seconds in [1.0, 2.0, 4.0, 8.0] {
            about(backoffs.failed("a"), seconds);
        }
        about(backoffs.failed("b"), 1.0);
        for _ in 0..100 {
            backoffs.failed("a");
        }
        about(backoffs.failed("a"), 300.0);
        backoffs.reset("a");
        about(backoffs.failed("a"), 1.0);
    }
}
