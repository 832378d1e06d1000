//! How often something may happen.

use std::time::{Duration, Instant};

/// A token bucket with room for one second's worth of tokens.
///
/// Kept as the generic cell rate algorithm (ITU-T I.371): one time, no number of tokens to refill,
/// and a rate that changes between two calls needs no conversion.
#[derive(Clone, Copy, Debug, Default)]
pub struct Throttle {
    /// When the bucket is full again.
    full: Option<Instant>,
}

impl Throttle {
    /// Takes a token of a bucket that gets `rate` a second; else says how long until there is one.
    ///
    /// # Errors
    /// That time.
    pub fn take(&mut self, rate: u32, now: Instant) -> Result<(), Duration> {
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
    use super::*;

    fn taken(throttle: &mut Throttle, rate: u32, now: Instant) -> usize {
        std::iter::from_fn(|| throttle.take(rate, now).ok()).count()
    }

    #[test]
    fn a_second_s_worth_comes_at_once_and_then_the_rate() {
        for rate in [1, 3, 7, 500, 30_001, 99_999, 100_000] {
            let mut throttle = Throttle::default();
            let start = Instant::now();
            assert_eq!(taken(&mut throttle, rate, start), rate as usize);
            let half = start + Duration::from_millis(500);
            let expected = rate as usize / 2;
            let got = taken(&mut throttle, rate, half);
            assert!(got.abs_diff(expected) <= 1, "{rate}: {got}");
            let late = start + Duration::from_secs(60);
            assert_eq!(
                taken(&mut throttle, rate, late),
                rate as usize,
                "no more saved"
            );
        }
    }

    #[test]
    fn who_waits_as_long_as_told_is_let_in() {
        let mut throttle = Throttle::default();
        let mut now = Instant::now();
        for rate in [3, 1, 250] {
            for _ in 0..1000 {
                if let Err(wait) = throttle.take(rate, now) {
                    assert!(wait <= Duration::from_secs(1), "{wait:?}");
                    now += wait;
                    throttle.take(rate, now).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_new_rate_holds_at_once() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        assert_eq!(taken(&mut throttle, 1, start), 1);
        assert!(
            taken(&mut throttle, 100, start) <= 1,
            "the second is used up"
        );
        let later = start + Duration::from_millis(500);
        assert!((49..=51).contains(&taken(&mut throttle, 100, later)));
        assert!(taken(&mut throttle, 1, later + Duration::from_secs(1)) == 1);
    }
}
