//! The loop: watches channels and what belongs to them, and passes each that may have changed through the five steps.
//!
//! `run` wires it; `watches` are the streams; `pass` is the five steps; `backoff` and `again` say when the next pass
//! is; `events` tells people what happened.

pub mod again;
pub mod backoff;
pub mod context;
pub mod events;
pub mod pass;
pub mod run;
pub mod watches;

pub use context::Context;
pub use pass::{PassError, pass};
pub use run::{Scope, run};
