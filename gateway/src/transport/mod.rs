//! From sockets to protocol frames and back: HTTP and the opening handshake, WebSocket frames, and the shards that own
//! the connections.

pub mod http;
pub mod shard;
pub mod websocket;
