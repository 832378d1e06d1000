//! The least that a server can do for the same bytes: what our ratios are taken against.

pub mod answer;
pub mod connect;
pub mod fanout;
pub mod heartbeat;
pub mod refuse;
pub mod relay;
mod socket;
pub mod stream;
pub mod text;

use serde::{Deserialize, Serialize};

/// What the fan-out reference is asked, one JSON line each.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Send {
    /// When and how much.
    pub schedule: crate::load::Schedule,
    /// Length of a frame on the wire, header included.
    pub frame_bytes: usize,
    /// One write a burst instead of one a message.
    pub joined: bool,
}

/// What it answers when everything is written.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Sent {
    /// Messages per connection.
    pub messages: u64,
    /// Writes that did not take everything: with any, the result is void.
    pub short_writes: u64,
}
