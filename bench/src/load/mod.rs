//! The load generator: many WebSocket clients on one thread, at a fraction of what a server spends on them.
//!
//! [`Swarm`] owns connections in groups, [`Publisher`] sends at a rate on a thread of its own, and
//! [`control`](crate::control) makes both usable from another process.

pub mod calling;
mod connection;
pub mod frames;
pub mod handshake;
pub mod knocking;
pub mod marker;
mod plan;
mod polling;
mod publisher;
mod socketio;
pub mod streaming;
mod swarm;
mod track;

pub use plan::{Lengths, Opened, Plan, Protocol, Rooms, Since, Snapshot};
pub(crate) use publisher::push_publish;
pub use publisher::{Published, Publisher, Schedule};
pub use swarm::Swarm;
pub use track::{Delays, Latency, Tracker, delays};
