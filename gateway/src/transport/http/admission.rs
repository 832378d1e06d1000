//! Who is let in before any work is done for them: a rate, and a number of places.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::refusal::Refusal;
use crate::config::Limits;

/// Files that connections leave free: for listeners, epoll, the manifest, the internal port, and
/// HTTP connections that have not become a WebSocket.
pub(super) const RESERVED_FILES: usize = 512;

/// Lets handshakes in.
#[derive(Debug)]
pub(super) struct Admission {
    pace: Mutex<Pace>,
    /// Handshakes that were let in and are not with the shards yet.
    underway: Arc<AtomicUsize>,
    most: usize,
}

/// A place for one connection, held from its admission until a shard has it.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Admission {
    /// Admission for a process that may open `file_limit` files.
    pub(super) fn new(file_limit: usize) -> Self {
        Self {
            pace: Mutex::default(),
            underway: Arc::default(),
            most: file_limit.saturating_sub(RESERVED_FILES),
        }
    }

    /// Handshakes that were let in and are not with the shards yet.
    pub(super) fn underway(&self) -> usize {
        self.underway.load(Ordering::Acquire)
    }

    /// Lets a handshake in, or says what to answer. `connections` are those that shards have.
    pub(super) fn admit(
        &self,
        limits: &Limits,
        connections: usize,
        now: Instant,
    ) -> Result<Place, Refusal> {
        // Places first: who finds none must not use up the rate of those who come when there are.
        let most = self.most.min(limits.connections_per_gateway);
        if connections + self.underway() >= most {
            return Err(Refusal::full());
        }
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.take(limits.connects_per_second, now)
            .map_err(Refusal::rate)?;
        self.underway.fetch_add(1, Ordering::AcqRel);
        Ok(Place(Arc::clone(&self.underway)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A token bucket with room for one second's worth of tokens.
///
/// Kept as the generic cell rate algorithm (ITU-T I.371): one time, no number of tokens to refill,
/// and a rate that changes between two calls needs no conversion.
#[derive(Debug, Default)]
struct Pace {
    /// When the bucket is full again.
    full: Option<Instant>,
}

impl Pace {
    /// Takes a token of a bucket that gets `rate` a second; else says how long until there is one.
    fn take(&mut self, rate: u32, now: Instant) -> Result<(), Duration> {
        let rate = rate.max(1);
        let token = Duration::from_secs(1) / rate;
        // Of whole tokens, so that rounding does not cost one.
        let bucket = token * rate;
        let full = self.full.map_or(now, |full| full.max(now)) + token;
        match full.saturating_duration_since(now).checked_sub(bucket) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.full = Some(full);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use linnet_crds::limits::Limits as Spec;

    use super::*;

    fn taken(pace: &mut Pace, rate: u32, now: Instant) -> usize {
        std::iter::from_fn(|| pace.take(rate, now).ok()).count()
    }

    #[test]
    fn a_second_s_worth_comes_at_once_and_then_the_rate() {
        for rate in [1, 3, 7, 500, 30_001, 99_999, 100_000] {
            let mut pace = Pace::default();
            let start = Instant::now();
            assert_eq!(taken(&mut pace, rate, start), rate as usize);
            let half = start + Duration::from_millis(500);
            let expected = rate as usize / 2;
            let got = taken(&mut pace, rate, half);
            assert!(got.abs_diff(expected) <= 1, "{rate}: {got}");
            let late = start + Duration::from_secs(60);
            assert_eq!(taken(&mut pace, rate, late), rate as usize, "no more saved");
        }
    }

    #[test]
    fn who_waits_as_long_as_told_is_let_in() {
        let mut pace = Pace::default();
        let mut now = Instant::now();
        for rate in [3, 1, 250] {
            for _ in 0..1000 {
                if let Err(wait) = pace.take(rate, now) {
                    assert!(wait <= Duration::from_secs(1), "{wait:?}");
                    now += wait;
                    pace.take(rate, now).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_new_rate_holds_at_once() {
        let mut pace = Pace::default();
        let start = Instant::now();
        assert_eq!(taken(&mut pace, 1, start), 1);
        assert!(taken(&mut pace, 100, start) <= 1, "the second is used up");
        let later = start + Duration::from_millis(500);
        assert!((49..=51).contains(&taken(&mut pace, 100, later)));
        assert!(taken(&mut pace, 1, later + Duration::from_secs(1)) == 1);
    }

    #[test]
    fn places_are_counted_from_admission_on_and_the_file_limit_bounds_them() {
        let mut limits = Limits::compile(&Spec::default());
        limits.connections_per_gateway = 3;
        let now = Instant::now();
        let admission = Admission::new(10_000);
        let place = admission.admit(&limits, 1, now).unwrap();
        let _other = admission.admit(&limits, 1, now).unwrap();
        assert_eq!(admission.underway(), 2);
        assert_eq!(
            admission.admit(&limits, 1, now).unwrap_err().reason,
            super::super::Reason::Full
        );
        drop(place);
        assert!(admission.admit(&limits, 1, now).is_ok());

        let narrow = Admission::new(RESERVED_FILES + 2);
        assert!(narrow.admit(&limits, 1, now).is_ok());
        assert!(narrow.admit(&limits, 2, now).is_err());
        assert!(Admission::new(100).admit(&limits, 0, now).is_err());
    }

    #[test]
    fn a_full_gateway_does_not_use_up_the_rate() {
        let mut limits = Limits::compile(&Spec::default());
        limits.connects_per_second = 1;
        limits.connections_per_gateway = 1;
        let admission = Admission::new(10_000);
        let now = Instant::now();
        for _ in 0..10 {
            assert!(admission.admit(&limits, 1, now).is_err());
        }
        assert!(admission.admit(&limits, 0, now).is_ok());
    }
}
