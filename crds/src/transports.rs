//! `spec.transports`: what is served beside plain WebSocket.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::toggle::Toggle;

/// The transports of a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Transports {
    /// WebSocket, always on.
    pub web_socket: WebSocket,

    /// Socket.IO v4 below `socket.io/`, and the plain protocol in Engine.IO below `engine.io/`.
    #[serde(rename = "socketIO")]
    pub socket_io: OptionalTransport,

    /// Server-sent events at `sse`.
    pub server_sent_events: OptionalTransport,
}

/// WebSocket's options.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WebSocket {
    /// PerMessage offers permessage-deflate without context takeover. It costs processor time for
    /// every message and pays for large texts.
    pub compression: Compression,
}

/// Compression of WebSocket messages (RFC 7692).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Compression {
    /// Not offered.
    #[default]
    Disabled,
    /// permessage-deflate without context takeover.
    PerMessage,
}

/// A transport that is off unless asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OptionalTransport {
    /// Whether it is served.
    pub mode: Toggle,
}
