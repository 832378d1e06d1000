//! Chance that can be had again.

/// The seed of a test run: `LINNET_SEED`, else a new one. It is printed, so that a failing run can be repeated.
///
/// # Panics
/// When `LINNET_SEED` is no number.
#[must_use]
pub fn seed() -> u64 {
    let seed = match std::env::var("LINNET_SEED") {
        Ok(text) => text.parse().expect("LINNET_SEED is a number"),
        Err(_) => rand::random(),
    };
    println!("LINNET_SEED={seed} repeats this run");
    seed
}
