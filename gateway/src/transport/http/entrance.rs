//! The addresses of the public port that take handshakes, and what each of them speaks.

use std::ops::Range;

use http::Method;
use http::header::HeaderMap;

use super::upgrade::verb;
use crate::protocol::engineio::Step;
use crate::protocol::{ENGINE_IO, PROTOBUF, SOCKET_IO};

/// Where a handshake came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entrance {
    /// At `ws`: a protocol of the client's choice.
    Socket,
    /// At `socket.io/`.
    SocketIo,
    /// At `engine.io/`: the plain protocol.
    EngineIo,
}

impl Entrance {
    /// Whether a request with GET is of a session by long-polling, or for one.
    pub(super) fn polls(self, query: Option<&str>, headers: &HeaderMap) -> bool {
        let step = Step::read(query.unwrap_or_default(), verb(&Method::GET, headers));
        self != Self::Socket && !matches!(step, Ok(Step::WebSocket) | Err(_))
    }

    /// The protocols that are spoken there, as a part of [`PROTOCOLS`](crate::protocol::PROTOCOLS).
    pub(super) fn protocols(self) -> Range<usize> {
        let [socket_io, engine_io] = [SOCKET_IO, ENGINE_IO].map(usize::from);
        match self {
            Self::Socket => 0..socket_io,
            Self::SocketIo => socket_io..engine_io,
            Self::EngineIo => engine_io..usize::from(PROTOBUF),
        }
    }
}

/// The paths of a port.
#[derive(Debug)]
pub(super) struct Entrances {
    socket: String,
    socket_io: String,
    engine_io: String,
}

impl Entrances {
    /// Those below a channel's path, which ends with a slash.
    pub(super) fn below(path: &str) -> Self {
        Self {
            socket: format!("{path}ws"),
            socket_io: format!("{path}socket.io/"),
            engine_io: format!("{path}engine.io/"),
        }
    }

    /// What is at a path. Clients of Socket.IO may leave out the last slash.
    pub(super) fn at(&self, path: &str, socket_io: bool) -> Option<Entrance> {
        if path == self.socket {
            return Some(Entrance::Socket);
        }
        let is = |entrance: &str| matches!(entrance.strip_prefix(path), Some("" | "/"));
        match socket_io {
            true if is(&self.socket_io) => Some(Entrance::SocketIo),
            true if is(&self.engine_io) => Some(Entrance::EngineIo),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::PROTOCOLS;

    #[test]
    fn each_path_has_its_protocols() {
        let entrances = Entrances::below("/chat/");
        for (path, socket_io, entrance) in [
            ("/chat/ws", false, Some(Entrance::Socket)),
            ("/chat/socket.io/", true, Some(Entrance::SocketIo)),
            ("/chat/socket.io", true, Some(Entrance::SocketIo)),
            ("/chat/engine.io/", true, Some(Entrance::EngineIo)),
            ("/chat/engine.io", true, Some(Entrance::EngineIo)),
            ("/chat/engine.io/", false, None),
            ("/chat/socket.io/", false, None),
            ("/chat/socket.i", true, None),
            ("/chat/socket.io/x", true, None),
            ("/chat/", true, None),
            ("/socket.io/", true, None),
            ("", true, None),
        ] {
            assert_eq!(entrances.at(path, socket_io), entrance, "{path}");
        }
        let entrances = [Entrance::Socket, Entrance::SocketIo, Entrance::EngineIo];
        let [first, second, third] = entrances.map(Entrance::protocols);
        assert_eq!((first.start, first.end), (0, second.start));
        assert_eq!(second.end, third.start);
        assert_eq!(
            (third.end, third.end + 1),
            (usize::from(PROTOBUF), PROTOCOLS.len())
        );
        assert_eq!(PROTOCOLS[second.start].short_name(), "socketio");
    }
}
