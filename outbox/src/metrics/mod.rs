//! What a relay measures.

mod counters;
mod exposition;

pub use counters::Metrics;
