//! Connections without a socket: the other end is a task of the tokio runtime.
//!
//! A [`Wire`] is what the task holds. What the shard writes arrives there frame by frame, and what the task sends arrives
//! at the shard as commands, in order. To sessions, rooms, limits, drains and traces it is a connection like any other:
//! [`pipe`] takes a few frames as a socket's buffer would, and what it does not take is the connection's backlog. So a
//! task that stops taking is a slow client, and is closed as one.
//!
//! There are no pings: whether the client lives its owner knows. Who drops the [`Wire`] ends the connection.
//!
//! [`framing`] is how frames lie in shared buffers, `plug` the shard's end, [`owner`] the task's.

pub(super) mod framing;
mod owner;
mod pipe;
pub(super) mod plug;

pub use framing::{Payload, WireFrame};
pub use owner::{Ended, Input, Over, Wire};
pub(super) use pipe::Pipe;
pub(super) use plug::{NewWire, Plug};

#[cfg(test)]
mod tests;
