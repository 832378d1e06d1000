//! A session that goes on over a WebSocket.
//!
//! While its client goes on polling, this shows on the new socket that packets get through (`2probe`, `3probe`), has the
//! poll that waits come back, and waits for the client to say that it has changed (`5`). Then the socket is the shard's, and
//! the connection goes on over it where it stands; [`switch`](crate::transport::shard::wire::NewSocket) says why. What was
//! not polled goes over the socket first. As the client changes when its last poll and its last payload are answered, and
//! nobody takes anything of the wire after `5`, nothing is lost or told twice.
//!
//! Where any of that fails or takes long, the session stays as it is: only the new socket is closed.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::session::{Phase, Session, Sessions};
use crate::transport::shard::wire::NewSocket;
use crate::transport::websocket::deflate::Inflater;
use crate::transport::websocket::frame::{self, Opcode};
use crate::transport::websocket::reader::{Event, ReadContext, ReadError, Reader};

/// For all of it, as in the reference implementation.
const CHANGED_WITHIN: Duration = Duration::from_secs(10);
/// For a poll or a payload that should have been over before the client changed.
const RELEASED_WITHIN: Duration = Duration::from_secs(5);
/// For the close frame of a socket that was given up.
const CLOSED_WITHIN: Duration = Duration::from_secs(1);

/// Bytes of a message before the change; there are two, and they are short.
const LONGEST: usize = 125;
/// Bytes that are read at once.
const READ_AT_ONCE: usize = 4096;

/// A session that is about to go on over a socket, which was promised in a handshake. There is one at a time.
#[derive(Debug)]
pub(in crate::transport) struct Change {
    sessions: Arc<Sessions>,
    session: Arc<Session>,
    deflate: Option<u8>,
}

/// Why a session stays where it is.
enum Failed {
    /// The socket is gone.
    Over,
    /// The client must not do that.
    Broken(ReadError),
}

impl From<io::Error> for Failed {
    fn from(_: io::Error) -> Self {
        Self::Over
    }
}

impl From<ReadError> for Failed {
    fn from(error: ReadError) -> Self {
        Self::Broken(error)
    }
}

/// What a frame said.
enum Said {
    Probe,
    Upgrade,
    Ping(Vec<u8>),
    Nothing,
    Close,
    Other,
}

impl Change {
    /// Begins to change a session, unless somebody else does, or has.
    pub(in crate::transport) fn begin(
        sessions: &Arc<Sessions>,
        session: Arc<Session>,
        deflate: Option<u8>,
    ) -> Option<Self> {
        let begun = session.enter(Phase::Polling, Phase::Probing);
        begun.then(|| Self {
            sessions: Arc::clone(sessions),
            session,
            deflate,
        })
    }

    /// Takes the socket, and what was read of it. Gives it back where the session stays with polling.
    pub(in crate::transport) async fn run(
        self,
        mut stream: TcpStream,
        mut heard: Vec<u8>,
    ) -> Option<TcpStream> {
        let probed = timeout(CHANGED_WITHIN, self.probe(&mut stream, &mut heard)).await;
        let (code, reason) = match probed {
            Ok(Ok(())) => {
                self.go_on(stream, heard).await;
                return None;
            }
            Ok(Err(Failed::Over)) => return Some(stream),
            Ok(Err(Failed::Broken(ReadError { code, reason }))) => (code, reason),
            Err(_) => (1008, "the change took too long"),
        };
        let mut close = Vec::new();
        frame::encode_close(code, reason, &mut close);
        // However that ends, the socket closes next.
        let _ = timeout(CLOSED_WITHIN, stream.write_all(&close)).await;
        Some(stream)
    }

    /// Shows that packets get through, until the client says that it has changed. What has come behind that is left in
    /// `heard`.
    async fn probe(&self, stream: &mut TcpStream, heard: &mut Vec<u8>) -> Result<(), Failed> {
        let mut reader = Reader::new();
        loop {
            while let Some(length) = first_frame(heard)? {
                let said = self.read(&mut reader, &mut heard[..length])?;
                heard.drain(..length);
                let mut out = Vec::new();
                match said {
                    Said::Probe if self.session.enter(Phase::Probing, Phase::Probed) => {
                        frame::encode(Opcode::Text, false, b"3probe", &mut out);
                    }
                    Said::Upgrade if self.session.phase() == Phase::Probed => return Ok(()),
                    Said::Ping(payload) => frame::encode(Opcode::Pong, false, &payload, &mut out),
                    Said::Nothing => {}
                    Said::Close => return Err(Failed::Over),
                    Said::Probe | Said::Upgrade | Said::Other => {
                        let reason = "2probe and 5 come first, in this order";
                        return Err(ReadError { code: 1003, reason }.into());
                    }
                }
                stream.write_all(&out).await?;
            }
            heard.reserve(READ_AT_ONCE);
            if stream.read_buf(heard).await? == 0 {
                return Err(Failed::Over);
            }
        }
    }

    /// Reads one whole frame.
    fn read(&self, reader: &mut Reader, frame: &mut [u8]) -> Result<Said, ReadError> {
        let mut inflater = self.deflate.map(|_| Inflater::new());
        let mut context = ReadContext {
            max_frame_payload: LONGEST,
            max_message: LONGEST,
            inflater: inflater.as_mut(),
        };
        let mut said = Said::Nothing;
        reader.read(frame, &mut context, &mut |event| {
            said = match event {
                Event::Text("2probe") => Said::Probe,
                Event::Text("5") => Said::Upgrade,
                Event::Ping(payload) => Said::Ping(payload.to_vec()),
                Event::Pong(_) | Event::Empty => Said::Nothing,
                Event::Close { .. } => Said::Close,
                Event::Text(_) | Event::Binary(_) => Said::Other,
            };
            ControlFlow::Continue(())
        })?;
        Ok(said)
    }

    /// Has the session go on over the socket.
    async fn go_on(&self, stream: TcpStream, early: Vec<u8>) {
        self.session.enter(Phase::Probed, Phase::Gone); // a poll that waits comes back, and none follows
        self.sessions.end(self.session.sid());
        let released = async {
            let place = self.session.tell().await;
            (place, self.session.hear().await)
        };
        let Ok((mut place, _hearing)) = timeout(RELEASED_WITHIN, released).await else {
            return self.session.broken("a poll or payload is under way still");
        };
        // Both end the connection where they fail: its wire is dropped.
        if let (Some(mouth), Ok(stream)) = (place.take(), stream.into_std()) {
            let socket = NewSocket::new(stream, early, self.deflate);
            mouth.wire.switch(socket);
        }
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        let session = &self.session;
        let _ = session.enter(Phase::Probed, Phase::Polling)
            || session.enter(Phase::Probing, Phase::Polling);
    }
}

/// The length of the first frame, if it has come whole.
fn first_frame(heard: &[u8]) -> Result<Option<usize>, ReadError> {
    let Some((header, before)) = frame::parse(heard)? else {
        return Ok(None);
    };
    match usize::try_from(header.len) {
        Ok(length) if length <= LONGEST => {
            let whole = before + length;
            Ok((heard.len() >= whole).then_some(whole))
        }
        _ => {
            let reason = "message too big";
            Err(ReadError { code: 1009, reason })
        }
    }
}
