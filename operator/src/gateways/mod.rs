//! What the gateways of a channel say of themselves.
//!
//! `reading` is what one of them answers, and why one does not; `poll` asks all of them at once.

mod poll;
mod reading;

pub use poll::{Target, poll};
pub use reading::{Missing, Reading, Readings};

#[cfg(test)]
mod tests;
