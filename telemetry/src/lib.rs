//! Traces and metrics of Linnet's processes on their way to an OTLP collector.
//!
//! [`context`] is what of a trace travels with a message, [`span`] a piece of work that is over, as data. [`queue`] takes
//! spans from threads that must not wait, [`exporter`] sends them from a thread of its own, by [`settings`] that [`env`]
//! and the manifest decide. [`exposition`] answers scrapes. [`layer`] makes spans of `tracing`, for processes without a hot path.

pub mod context;
mod convert;
pub mod env;
pub mod exporter;
pub mod exposition;
pub mod layer;
pub mod metric;
pub mod queue;
mod send;
pub mod settings;
pub mod span;
mod tls;
mod transfer;

pub use context::Context;
pub use exporter::Exporter;
pub use queue::{emit, stats};
pub use settings::Settings;
pub use span::{Kind, Span, Value};
