//! What the gateways of a channel say of themselves.
//!
//! `reading` is what one of them answers, and why one does not; `poll` asks all of them at once. `thin` has
//! one of them move connections away.

mod exchange;
mod poll;
mod reading;
mod thin;

pub use poll::{Target, poll};
pub use reading::{Missing, Reading, Readings};
pub use thin::thin;

#[cfg(test)]
mod tests;
