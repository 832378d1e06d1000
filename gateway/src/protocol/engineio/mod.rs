//! Engine.IO 4, what Socket.IO travels in: packets in WebSocket frames and in the bodies of long-polling. Pure. The
//! protocol: <https://github.com/socketio/engine.io-protocol>. `plain` is the plain protocol in such packets.

mod open;
mod packet;
mod payload;
mod plain;
mod request;

pub use open::{Open, polled};
pub use packet::{Data, Kind, Packet, PacketError};
pub use payload::{MOST_PACKETS, PayloadError, parse, write};
pub use plain::EngineIo;
pub use request::{Refused, Step, Verb};
