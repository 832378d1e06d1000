//! What a shard keeps of one socket.

use std::io::{self, Write};
use std::sync::Arc;

use mio::net::TcpStream;

use super::backlog::{Backlog, Chunk, QueueMemory};
use super::encoding::Encoding;
use crate::protocol::Handshake;
use crate::session::Session;
use crate::traces::ConnectionTrace;
use crate::transport::address::addresses::Seat;
use crate::transport::websocket::reader::Reader;

/// One connection. Kept small: an idle one is mostly this.
pub struct Connection {
    /// The socket.
    pub socket: TcpStream,
    /// Tells users of the same slot apart.
    pub generation: u32,
    /// Its trace, where it is recorded.
    pub trace: Option<Box<ConnectionTrace>>,
    /// How frames are written.
    pub encoding: Encoding,
    /// How far it has come.
    pub state: State,
    /// What the socket could not take yet.
    pub backlog: Option<Box<Backlog>>,
    /// Assembles messages from what the client sends.
    pub reader: Reader,
    /// Who it is and what it may do.
    pub session: Box<Session>,
    /// Its place among the connections of its client's address.
    pub seat: Seat,
    /// What the handshake said, where the protocol needs it later.
    pub handshake: Option<Box<Handshake>>,
    /// Tick of the last sign of life.
    pub heard: u32,
    /// Whether a ping waits for an answer.
    pub pinged: bool,
    /// Tick at which the timer wheel looks at it next.
    pub looked_at: u32,
    /// Tick since which a message is being received.
    pub receiving_since: Option<std::num::NonZeroU32>,
    /// Ticks at which its token's end is announced, and comes.
    pub expiring: Option<(u32, u32)>,
    /// Ticks at which a gateway that drains, or has more than its part, says `goaway`, and closes.
    pub moving: Option<(u32, u32)>,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits for a `connect` with a token, until this tick.
    Awaiting {
        /// When it ends in any case.
        until: u32,
    },
    /// Open.
    Open,
    /// The client has closed; what it had asked for before is still on its way. Until this tick.
    Detaching {
        /// Whether the hub has said that everything is in the rooms' queues.
        told: bool,
        /// Rooms whose queues still hold something for it.
        rooms: u32,
        /// When it ends in any case.
        until: u32,
        /// The code to answer with, 0: none.
        code: u16,
    },
    /// A close frame was written or waits to be; it ends with the client's, or at this tick.
    Closing {
        /// When it ends in any case.
        until: u32,
        /// Whether the client has closed already, so that nothing more is expected of it.
        answered: bool,
    },
    /// The socket failed; taken away when the turn allows.
    Broken,
}

impl Connection {
    /// The id of its trace, for log lines, where it is recorded.
    pub fn trace_id(&self) -> Option<String> {
        self.trace.as_ref().map(|trace| trace.trace_id())
    }

    /// Whether frames are still sent to it.
    pub fn receives(&self) -> bool {
        matches!(self.state, State::Open | State::Detaching { .. })
    }

    /// Writes frames, or lets them wait. Gives the bytes that the socket took.
    pub fn write(&mut self, chunk: &Chunk, now: u32) -> usize {
        if let Some(backlog) = &mut self.backlog {
            backlog.push(chunk.clone());
            return 0;
        }
        let bytes = chunk.bytes();
        match self.try_write(bytes) {
            Some(taken) if taken == bytes.len() => taken,
            Some(taken) => {
                self.backlog = Some(Box::new(Backlog::new(chunk.clone(), taken, now)));
                taken
            }
            None => 0,
        }
    }

    /// Writes frames that are for this connection alone.
    pub fn write_private(&mut self, bytes: &[u8], memory: &Arc<QueueMemory>, now: u32) -> usize {
        if let Some(backlog) = &mut self.backlog {
            backlog.push(Chunk::new(bytes.to_vec(), memory.clone()));
            return 0;
        }
        match self.try_write(bytes) {
            Some(taken) if taken == bytes.len() => taken,
            Some(taken) => {
                let rest = Chunk::new(bytes.to_vec(), memory.clone());
                self.backlog = Some(Box::new(Backlog::new(rest, taken, now)));
                taken
            }
            None => 0,
        }
    }

    /// Writes what waits. Gives the bytes that the socket took.
    pub fn write_backlog(&mut self, now: u32) -> usize {
        let Some(backlog) = &mut self.backlog else {
            return 0;
        };
        let before = backlog.bytes();
        let outcome = backlog.write(&mut self.socket, now);
        let taken = before - backlog.bytes();
        match outcome {
            Ok(true) => self.backlog = None,
            Ok(false) => {}
            Err(_) => self.break_off(),
        }
        taken
    }

    /// Bytes that wait.
    pub fn waiting(&self) -> usize {
        self.backlog.as_ref().map_or(0, |backlog| backlog.bytes())
    }

    /// The socket is of no use any more.
    pub fn break_off(&mut self) {
        self.state = State::Broken;
        self.backlog = None;
    }

    fn try_write(&mut self, bytes: &[u8]) -> Option<usize> {
        loop {
            match self.socket.write(bytes) {
                Ok(taken) => return Some(taken),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.break_off();
                    return None;
                }
            }
        }
    }
}
