//! The addresses of the public port that take handshakes, and what each of them speaks.

use std::ops::Range;

use http::Method;
use http::header::HeaderMap;

use super::upgrade::verb;
use crate::protocol::engineio::Step;
use crate::protocol::{PROTOCOLS, SOCKET_IO};

/// Where a handshake came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entrance {
    /// At `ws`: a protocol of the client's choice.
    Socket,
    /// At `socket.io/`.
    SocketIo,
}

impl Entrance {
    /// Whether a request with GET is of a session by long-polling, or for one.
    pub(super) fn polls(self, query: Option<&str>, headers: &HeaderMap) -> bool {
        let step = Step::read(query.unwrap_or_default(), verb(&Method::GET, headers));
        self == Self::SocketIo && !matches!(step, Ok(Step::WebSocket) | Err(_))
    }

    /// The protocols that are spoken there, as a part of [`PROTOCOLS`].
    pub(super) fn protocols(self) -> Range<usize> {
        let own = usize::from(SOCKET_IO);
        match self {
            Self::Socket => 0..own,
            Self::SocketIo => own..PROTOCOLS.len(),
        }
    }
}

/// The paths of a port.
#[derive(Debug)]
pub(super) struct Entrances {
    socket: String,
    socket_io: String,
}

impl Entrances {
    /// Those below a channel's path, which ends with a slash.
    pub(super) fn below(path: &str) -> Self {
        Self {
            socket: format!("{path}ws"),
            socket_io: format!("{path}socket.io/"),
        }
    }

    /// What is at a path. Clients of Socket.IO may leave out the last slash.
    pub(super) fn at(&self, path: &str, socket_io: bool) -> Option<Entrance> {
        if path == self.socket {
            return Some(Entrance::Socket);
        }
        let rest = socket_io.then(|| self.socket_io.strip_prefix(path))??;
        matches!(rest, "" | "/").then_some(Entrance::SocketIo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_its_protocols() {
        let entrances = Entrances::below("/chat/");
        for (path, socket_io, entrance) in [
            ("/chat/ws", false, Some(Entrance::Socket)),
            ("/chat/socket.io/", true, Some(Entrance::SocketIo)),
            ("/chat/socket.io", true, Some(Entrance::SocketIo)),
            ("/chat/socket.io/", false, None),
            ("/chat/socket.i", true, None),
            ("/chat/socket.io/x", true, None),
            ("/chat/", true, None),
            ("/socket.io/", true, None),
            ("", true, None),
        ] {
            assert_eq!(entrances.at(path, socket_io), entrance, "{path}");
        }
        let [first, second] = [Entrance::Socket, Entrance::SocketIo].map(Entrance::protocols);
        assert_eq!((first.start, first.end), (0, second.start));
        assert_eq!(second.end, PROTOCOLS.len());
        assert_eq!(PROTOCOLS[second.start].short_name(), "socketio");
    }
}
