//! One event loop per core that owns a part of the connections: no locks, no task per connection.
//!
//! - [`state`] is what a shard has; [`event_loop`] takes turns: sockets, commands, timers, then one slice of fan-out.
//! - [`beside`] is the loop where the thread is also that of a remote broker.
//! - [`accepting`] lets newcomers in, and [`arrival`] hears what they say first.
//! - [`inbound`] goes from bytes to frames, [`requests`] from frames to the hub, [`outbound`] from the hub to one connection.
//! - [`closing`], [`pressure`] and [`live`] end connections, watch what waits for slow ones, and apply changes;
//!   [`thinning`] moves some connections to other gateways.
//! - [`rooms`] has a room's members and keeps the order in it, [`fan_out`] sends messages to them in slices, rooms in turn.
//! - [`dialogues`] is for protocols whose frames depend on those before.
//! - [`connection`] is what is kept of a client, [`backlog`] what waits for one that takes no more; [`wire`] is a client
//!   that has no socket of ours.
//! - [`handle`], [`command`] and [`outlet`] are how the rest of the gateway talks to shards.

pub mod accepting;
pub mod arrival;
pub mod backlog;
pub mod batch;
mod beside;
mod closing;
pub mod command;
pub(crate) mod connection;
mod dialogues;
mod encoding;
mod event_loop;
mod expiry;
mod fan_out;
pub mod handle;
mod handling;
mod inbound;
mod live;
mod outbound;
pub mod outlet;
mod parking;
mod pressure;
mod requests;
mod rooms;
pub mod state;
mod thinning;
mod timers;
mod wheel;
pub mod wire;

pub use handle::{NewConnection, Opening, ShardHandle, Shards};
