//! Connections without a socket: the other end is a task of the tokio runtime.
//!
//! A [`Wire`] is what the task holds. What the shard writes arrives there frame by frame, and what the task sends arrives
//! at the shard as commands, in order. To sessions, rooms, limits, drains and traces it is a connection like any other:
//! [`pipe`] takes a few frames as a socket's buffer would, and what it does not take is the connection's backlog. So a
//! task that stops taking is a slow client, and is closed as one.
//!
//! There are no pings but a protocol's own: whether the client lives its owner knows. Who drops the [`Wire`] ends the
//! connection.
//!
//! [`framing`] is how frames lie in shared buffers, `plug` the shard's end, [`owner`] the task's. `switch` gives a
//! connection a socket in a wire's place.

pub(super) mod framing;
mod owner;
mod pipe;
pub(super) mod plug;
mod switch;

pub use framing::{Payload, WireFrame};
pub use owner::{Breach, Ended, Input, Line, Over, Wire};
pub(super) use pipe::Pipe;
pub(super) use plug::{NewWire, Plug};
pub use switch::NewSocket;

#[cfg(test)]
mod tests;
