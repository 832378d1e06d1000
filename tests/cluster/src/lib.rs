//! The harness of the tests that need a cluster. `tests/run cluster` brings one up, installs the chart and runs them;
//! `cargo test` alone leaves them out.
#![allow(
    clippy::unwrap_used,
    reason = "a harness that can't go on ends the test where it stands"
)]

pub mod application;
pub mod audit;
pub mod channel;
pub mod cluster;
pub mod door;
pub mod edit;
pub mod guest;
pub mod helm;
pub mod image;
pub mod kubectl;
pub mod namespace;
pub mod obstacle;
pub mod operator;
pub mod stage;
pub mod weather;

pub use audit::Audit;
pub use cluster::Cluster;
pub use door::Door;
pub use guest::Guest;
pub use kubectl::Kubectl;
pub use linnet_tests::wait;
pub use namespace::Namespace;
pub use wait::scenario;
pub use weather::Weather;
