//! Medians and spreads. A claim is always a median of repetitions shown with its extremes.

use serde::Serialize;

/// A set of repetitions of one measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Middle value (mean of the two middle ones for an even count).
    pub median: f64,
    /// Smallest value.
    pub low: f64,
    /// Largest value.
    pub high: f64,
    /// All values in the order in which they were taken.
    pub samples: Vec<f64>,
}

impl Summary {
    /// Sums up `samples`; `None` when there are none.
    pub fn of(samples: impl Into<Vec<f64>>) -> Option<Self> {
        let samples = samples.into();
        let mut sorted = samples.clone();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        };
        Some(Self {
            median,
            low,
            high,
            samples,
        })
    }

    /// Ratio of each measurement to the reference that was taken beside it. Pairing cancels what drifts between
    /// pairs (frequency, neighbours), which a ratio of two medians would keep.
    pub fn of_ratios(measured: &[f64], reference: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> = measured
            .iter()
            .zip(reference)
            .map(|(value, by)| value / by)
            .collect();
        Self::of(ratios)
    }

    /// Difference of each measurement to the reference that was taken beside it.
    pub fn of_differences(measured: &[f64], reference: &[f64]) -> Option<Self> {
        let differences: Vec<f64> = measured
            .iter()
            .zip(reference)
            .map(|(value, from)| value - from)
            .collect();
        Self::of(differences)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_odd_count_is_the_middle_value() {
        let summary = Summary::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((summary.median, summary.low, summary.high), (2.0, 1.0, 3.0));
        assert_eq!(summary.samples, [3.0, 1.0, 2.0]);
    }

    #[test]
    fn the_median_of_an_even_count_is_the_mean_of_the_middle_two() {
        assert_eq!(Summary::of([4.0, 1.0, 2.0, 9.0]).unwrap().median, 3.0);
    }

    #[test]
    fn nothing_measured_gives_no_summary() {
        assert_eq!(Summary::of([]), None);
        assert_eq!(Summary::of_ratios(&[1.0], &[]), None);
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        // The machine got half as fast in the second pair: the ratio stays.
        let summary = Summary::of_ratios(&[1.1, 2.2], &[1.0, 2.0]).unwrap();
        assert!((summary.median - 1.1).abs() < 1e-9 && (summary.high - summary.low).abs() < 1e-9);
        assert_eq!(
            Summary::of_differences(&[5.0, 7.0], &[4.0, 4.0])
                .unwrap()
                .median,
            2.0
        );
    }
}
