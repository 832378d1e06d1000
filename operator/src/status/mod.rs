//! The fifth step: what is true of a channel, told in its status.
//!
//! `compose` puts the status together; each condition has a file; `write` sends what changed.

pub mod compose;
pub mod conditions;
pub mod configuration;
pub mod exposed;
pub mod gateways;
pub mod url;
pub mod write;

pub use compose::{Facts, compose};
pub use conditions::{Draft, Truth};
