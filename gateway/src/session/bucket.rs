//! A token bucket: so many per second, so many at once.

/// Eight bytes, since every connection has several.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    tokens: f32,
    /// When the tokens were counted, in milliseconds; wraps after 49 days, which then counts as a short time.
    at: u32,
}

impl Bucket {
    /// A bucket that nothing was taken from.
    pub fn full(burst: f64, now_ms: u64) -> Self {
        Self {
            tokens: burst as f32,
            at: now_ms as u32,
        }
    }

    /// Takes `amount`; else gives the milliseconds after which it will be there. Rate and burst may differ from call
    /// to call, as the configuration changes.
    pub fn take(&mut self, amount: f64, rate: f64, burst: f64, now_ms: u64) -> Result<(), u64> {
        let elapsed = f64::from((now_ms as u32).wrapping_sub(self.at)) / 1000.0;
        let tokens = (f64::from(self.tokens) + elapsed * rate).min(burst);
        self.at = now_ms as u32;
        if tokens >= amount {
            self.tokens = (tokens - amount) as f32;
            return Ok(());
        }
        self.tokens = tokens as f32;
        Err((((amount - tokens) / rate) * 1000.0).ceil().max(1.0) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds_and_the_wait_is_told() {
        let mut bucket = Bucket::full(3.0, 0);
        for _ in 0..3 {
            assert_eq!(bucket.take(1.0, 10.0, 3.0, 0), Ok(()));
        }
        assert_eq!(bucket.take(1.0, 10.0, 3.0, 0), Err(100));
        let rest = bucket.take(1.0, 10.0, 3.0, 99);
        assert!(
            matches!(rest, Err(1..=2)),
            "a wait is never told too short: {rest:?}"
        );
        assert_eq!(bucket.take(1.0, 10.0, 3.0, 101), Ok(()));
        for _ in 0..3 {
            assert_eq!(
                bucket.take(1.0, 10.0, 3.0, 10_000),
                Ok(()),
                "never more than the burst"
            );
        }
        assert!(bucket.take(1.0, 10.0, 3.0, 10_000).is_err());
    }

    proptest::proptest! {
        #[test]
        fn who_waits_as_told_is_served(
            rate in 1.0f64..1e8, burst in 1.0f64..1e8, part in 0.0f64..=1.0, takes in 1usize..20, gap in 0u64..100,
        ) {
            let (mut bucket, mut now, amount) = (Bucket::full(burst, 0), 0, (burst * part).max(1.0));
            for _ in 0..takes {
                if let Err(wait) = bucket.take(amount, rate, burst, now) {
                    now += wait;
                    proptest::prop_assert_eq!(bucket.take(amount, rate, burst, now), Ok(()));
                }
                now += gap;
            }
        }
    }
}
