//! What is measured. `counters` counts, `queue` knows which channels wait for a pass, `exposition` writes it down for
//! Prometheus.

mod counters;
mod exposition;
mod queue;

pub use counters::{Metrics, Outcome};
pub use exposition::{Exposition, Objects};
pub use queue::Queue;

#[cfg(test)]
mod tests;
