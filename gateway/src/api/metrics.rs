//! What becomes of calls.

use super::problem::Problem;
use crate::metrics::Counter;

/// Calls by outcome.
#[derive(Debug, Default)]
pub struct ApiMetrics {
    /// Done.
    pub done: Counter,
    /// Answered as before, by their Idempotency-Key.
    pub replayed: Counter,
    /// Not done, for reasons of the call (4xx).
    pub refused: Counter,
    /// Not done, or perhaps, for reasons of the gateway or its broker (5xx).
    pub failed: Counter,
}

impl ApiMetrics {
    /// Counts one: the outcome says whether it is a replay.
    pub(super) fn count(&self, outcome: &Result<bool, &Problem>) {
        let counter = match outcome {
            Ok(false) => &self.done,
            Ok(true) => &self.replayed,
            Err(problem) if problem.blames_caller() => &self.refused,
            Err(_) => &self.failed,
        };
        counter.add_shared(1);
    }
}
