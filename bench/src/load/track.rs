//! Loss, order and delay of what one connection receives.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Follows one room's sequence numbers on one connection. Numbers count from the first that is seen.
#[derive(Debug, Default)]
pub struct Tracker {
    next: Option<u64>,
    /// Skipped and not seen since; short, or something is badly wrong anyway.
    missing: Vec<u64>,
    reordered: u64,
    duplicated: u64,
}

impl Tracker {
    /// Takes the sequence number of a received message.
    pub fn see(&mut self, sequence: u64) {
        let next = *self.next.get_or_insert(sequence);
        if sequence >= next {
            self.missing.extend(next..sequence);
            self.next = Some(sequence + 1);
        } else if let Some(at) = self.missing.iter().position(|&number| number == sequence) {
            self.missing.swap_remove(at);
            self.reordered += 1;
        } else {
            self.duplicated += 1;
        }
    }

    /// Skipped numbers that never came.
    pub fn lost(&self) -> u64 {
        self.missing.len() as u64
    }

    /// Messages that came after a later one.
    pub fn reordered(&self) -> u64 {
        self.reordered
    }

    /// Messages that came again.
    pub fn duplicated(&self) -> u64 {
        self.duplicated
    }
}

/// Delays from 1 µs to a minute, to three digits.
pub type Delays = Histogram<u64>;

/// An empty histogram of delays in nanoseconds.
pub fn delays() -> Delays {
    // The bounds are constants that the crate accepts: low ≥ 1, high ≥ 2 × low, digits ≤ 5.
    Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("constant bounds are valid")
}

/// Quantiles of delays, in microseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Latency {
    /// Number of values.
    pub count: u64,
    /// Half were faster.
    pub p50: f64,
    /// One in a hundred was slower.
    pub p99: f64,
    /// One in a thousand was slower.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
    /// (quantile, microseconds) along the whole distribution, for plots.
    pub curve: Vec<(f64, f64)>,
}

/// Quantiles that [`Latency::curve`] holds.
const CURVE: [f64; 13] = [
    0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1.0,
];

impl From<&Delays> for Latency {
    fn from(delays: &Delays) -> Self {
        let at = |quantile: f64| delays.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            count: delays.len(),
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: at(1.0),
            curve: CURVE
                .iter()
                .map(|&quantile| (quantile, at(quantile)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(numbers: &[u64]) -> (u64, u64, u64) {
        let mut tracker = Tracker::default();
        numbers.iter().for_each(|&number| tracker.see(number));
        (tracker.lost(), tracker.reordered(), tracker.duplicated())
    }

    #[test]
    fn messages_in_order_from_any_start_are_clean() {
        assert_eq!(seen(&[7, 8, 9]), (0, 0, 0));
    }

    #[test]
    fn loss_disorder_and_repeats_are_told_apart() {
        assert_eq!(seen(&[1, 2, 5]), (2, 0, 0));
        assert_eq!(seen(&[1, 3, 2, 4]), (0, 1, 0));
        assert_eq!(seen(&[1, 2, 2, 1]), (0, 0, 2));
    }

    #[test]
    fn merged_histograms_have_the_quantiles_of_all_values() {
        let (mut one, mut two) = (delays(), delays());
        (1..=50).for_each(|ms| one.saturating_record(ms * 1_000_000));
        (51..=100).for_each(|ms| two.saturating_record(ms * 1_000_000));
        one.add(&two).unwrap();
        let latency = Latency::from(&one);
        assert_eq!(latency.count, 100);
        assert!(
            (latency.p50 / 50_000.0 - 1.0).abs() < 0.002,
            "{}",
            latency.p50
        );
        assert!((latency.p99 / 99_000.0 - 1.0).abs() < 0.002);
        assert!((latency.max / 100_000.0 - 1.0).abs() < 0.002);
    }
}
