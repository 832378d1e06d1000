//! How much a key, or the user of a token, may ask of this gateway: a bucket each.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::session::bucket::Bucket;

/// Messages and questions per second: far more than a service should need, and less than one that has run wild sends.
pub const PER_SECOND: f64 = 10_000.0;
/// How many of them may come at once.
pub const BURST: f64 = 10_000.0;
/// Callers that are remembered; keys are few, but anybody with a token may call.
const CALLERS: usize = 4096;

/// The buckets of all callers.
#[derive(Debug)]
pub(super) struct Rates {
    start: Instant,
    buckets: Mutex<HashMap<Vec<u8>, Bucket>>,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            buckets: Mutex::default(),
        }
    }
}

impl Rates {
    /// Counts `amount` for the caller with this scope.
    ///
    /// # Errors
    /// The milliseconds after which it may be asked again.
    pub(super) fn take(&self, caller: &[u8], amount: usize) -> Result<(), u64> {
        self.take_at(caller, amount, self.start.elapsed().as_millis() as u64)
    }

    fn take_at(&self, caller: &[u8], amount: usize, now_ms: u64) -> Result<(), u64> {
        // Nothing is half done between two calls, also if a thread has panicked.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get_mut(caller) {
            return bucket.take(amount as f64, PER_SECOND, BURST, now_ms);
        }
        if buckets.len() >= CALLERS {
            buckets.clear(); // all begin anew: a burst more each is what it may cost
        }
        let bucket = buckets.entry(caller.to_vec());
        let bucket = bucket.or_insert_with(|| Bucket::full(BURST, now_ms));
        bucket.take(amount as f64, PER_SECOND, BURST, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_has_a_burst_and_a_rate_of_its_own() {
        let rates = Rates::default();
        assert_eq!(rates.take_at(b"a", BURST as usize, 0), Ok(()));
        assert!(rates.take_at(b"a", 100, 0).is_err_and(|wait| wait == 10));
        assert_eq!(rates.take_at(b"b", 100, 0), Ok(()));
        assert_eq!(rates.take_at(b"a", 100, 11), Ok(()));
    }

    #[test]
    fn however_many_call_few_are_remembered() {
        let rates = Rates::default();
        for caller in 0..3 * CALLERS as u64 {
            rates.take_at(&caller.to_be_bytes(), 1, 0).unwrap();
        }
        assert!(rates.buckets.lock().unwrap().len() <= CALLERS);
    }
}
