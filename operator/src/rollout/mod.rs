//! When gateways may be replaced, and when their number may fall.
//!
//! All of it is pure. `progress` tells from a Deployment and its pods how far a rollout is, `gates` what has to wait for
//! it, `turns` how many channels a new release replaces at once. Live configuration passes by all of this.

mod gates;
mod progress;
mod turns;

pub use gates::{Gate, Gates, gates};
pub use progress::{Pod, Progress, progress};
pub use turns::{Turn, Turns};

#[cfg(test)]
mod tests;
