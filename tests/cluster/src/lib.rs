//! The harness of the tests that need a cluster. `tests/run cluster` brings one up, installs the chart and runs them;
//! `cargo test` alone leaves them out.
#![allow(
    clippy::unwrap_used,
    reason = "a harness that can't go on ends the test where it stands"
)]

pub mod cluster;
pub mod door;
pub mod guest;
pub mod kubectl;
pub mod namespace;
// The deadlines of the other whole-system tests, without the gateway that their harness is built with.
#[path = "../../src/wait.rs"]
pub mod wait;

pub use cluster::Cluster;
pub use door::Door;
pub use guest::Guest;
pub use kubectl::Kubectl;
pub use namespace::Namespace;
pub use wait::scenario;
