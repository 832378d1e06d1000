//! The public port: opening handshakes and the console, over HTTP/1.1.
//!
//! A connection's way: a shard accepts it through `door` and hears its first bytes by `caller`. A
//! handshake that is let in stays there. Anything else comes to [`server`] (`rewind`): `exchange`
//! answers its requests, `upgrade` decides about a handshake after `admission` has let it in, events go to
//! [`sse`](super::sse), sessions without a socket to [`polling`](super::polling), and everything else that the port serves
//! is `console`. `entrance` has the paths of handshakes. [`cors`] and `fetch` are for what pages ask for otherwise. `lease`
//! bounds the time of a connection.

mod admission;
mod caller;
mod console;
pub mod cors;
mod door;
mod entrance;
mod exchange;
pub(in crate::transport) mod fetch;
mod file_limit;
mod lease;
mod metrics;
mod page;
mod policy;
mod public;
mod refusal;
mod rewind;
pub mod server;
mod slots;
mod upgrade;

pub use file_limit::raise_file_limit;
pub(in crate::transport) use lease::Lease;
pub use metrics::{HttpMetrics, Passed, Reason};
pub(in crate::transport) use policy::Policy;
pub use public::{Home, Public};
pub(in crate::transport) use refusal::Refusal;
pub(in crate::transport) use upgrade::verb;

#[cfg(test)]
mod tests;
