//! How long to wait before something is tried again.

use std::time::Duration;

use rand::RngExt;

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);

/// The pause after so many failures in a row: it doubles up to 5 s, and is shortened by up to a half by chance, so that
/// many who wait do not come all at once.
#[must_use]
pub fn after(failures: u32) -> Duration {
    let doubled = SHORTEST * 2_u32.saturating_pow(failures.saturating_sub(1).min(10));
    doubled
        .min(LONGEST)
        .mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_seconds() {
        for (failures, longest) in [(1, 50), (2, 100), (5, 800), (8, 5_000), (u32::MAX, 5_000)] {
            let pause = after(failures);
            let longest = Duration::from_millis(longest);
            assert!(
                longest / 2 <= pause && pause <= longest,
                "{failures}: {pause:?}"
            );
        }
    }
}
