//! In which ways clients reach their connections, and what these are for.

use crate::config::Channel;

/// How a client reaches its connection, as metrics and traces name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Transport {
    /// A socket that a handshake made a WebSocket.
    WebSocket,
    /// A stream of events, and requests that publish beside it.
    ServerSentEvents,
    /// Requests that wait for what there is to tell, and others that say something.
    Polling,
    /// A stream of the server API.
    Grpc,
}

impl Transport {
    /// All of them, in order of their numbers.
    pub const ALL: [Self; 4] = [
        Self::WebSocket,
        Self::ServerSentEvents,
        Self::Polling,
        Self::Grpc,
    ];

    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::ServerSentEvents => "sse",
            Self::Polling => "polling",
            Self::Grpc => "grpc",
        }
    }

    /// Whether a channel has it served.
    #[must_use]
    pub fn is_served(self, channel: &Channel) -> bool {
        match self {
            Self::WebSocket | Self::Grpc => true,
            Self::ServerSentEvents => channel.server_sent_events,
            Self::Polling => channel.socket_io,
        }
    }

    /// The status of the answer that begins a connection.
    #[must_use]
    pub fn opening_status(self) -> u16 {
        match self {
            Self::WebSocket => 101,
            Self::ServerSentEvents | Self::Polling | Self::Grpc => 200,
        }
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A client's: it is greeted, others may send to it, and it is one of its user's.
    Client,
    /// One that asks and goes: nobody is told of it.
    Visitor,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_stand_in_the_order_of_their_numbers() {
        for (index, transport) in Transport::ALL.into_iter().enumerate() {
            assert_eq!(transport as usize, index);
        }
    }
}
