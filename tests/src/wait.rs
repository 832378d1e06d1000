//! Deadlines: nothing here waits forever, and what ran out of time says what it was waiting for.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

/// How long one step of a test may take. Generous, for a loaded machine: it only bounds failures.
pub const STEP: u64 = 60;

/// How many times as long as on a machine of its own a test may take where others build and test beside it.
const HELD_UP: u64 = 3;

/// Runs one test that on a machine of its own takes `seconds` at most, under a deadline for the whole of it.
///
/// # Panics
/// When the deadline passes.
pub fn scenario<F: Future<Output = ()>>(seconds: u64, test: F) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(within("the whole test", HELD_UP * seconds, test));
}

/// Awaits `step` for at most `seconds`.
///
/// # Panics
/// When the deadline passes, saying `what` was awaited.
pub async fn within<T>(what: impl Debug, seconds: u64, step: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(seconds), step).await {
        Ok(value) => value,
        Err(_) => panic!("{what:?} did not happen within {seconds} s"),
    }
}

/// Asks `probe` again and again until it gives something, for state that can only be polled (`/status`, `/metrics`).
///
/// # Panics
/// When nothing came within [`STEP`] seconds, saying `what` was awaited.
pub async fn until<T, F: Future<Output = Option<T>>>(
    what: impl Debug,
    mut probe: impl FnMut() -> F,
) -> T {
    within(what, STEP, async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}
