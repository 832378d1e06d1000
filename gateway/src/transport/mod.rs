//! From sockets to protocol frames and back: whose they are, HTTP and the opening handshake, WebSocket frames, and the
//! shards that own the connections.

pub mod address;
pub mod grpc;
pub mod http;
mod polling;
pub mod shard;
mod sse;
pub mod subprotocols;
mod throttle;
mod way;
pub mod websocket;

pub use way::{Role, Transport};
