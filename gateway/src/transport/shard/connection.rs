//! What a shard keeps of one client.

use std::io::{self, Write};
use std::num::NonZeroU32;
use std::sync::Arc;

use mio::net::TcpStream;

use super::backlog::{Backlog, Chunk, QueueMemory};
use super::encoding::Encoding;
use super::parking::{Known, Parked};
use super::wire::Plug;
use crate::config::Heartbeat;
use crate::protocol::Memory;
use crate::session::Session;
use crate::traces::ConnectionTrace;
use crate::transport::address::addresses::Seat;
use crate::transport::websocket::reader::Reader;
use crate::transport::{Role, Transport};

/// One connection. Kept small: an idle one is mostly this.
pub struct Connection {
    /// The way to the client.
    pub link: Link,
    /// Tells users of the same slot apart.
    pub generation: u32,
    /// Its trace, where it is recorded.
    pub trace: Option<Box<ConnectionTrace>>,
    /// How frames are written.
    pub encoding: Encoding,
    /// How far it has come.
    pub state: State,
    /// What the client could not take yet.
    pub backlog: Option<Box<Backlog>>,
    /// Who it is and what it may do.
    pub session: Box<Session>,
    /// Its place among the connections of its client's address.
    pub seat: Seat,
    /// What is kept of it for its protocol, where that needs something.
    pub kept: Option<Box<Kept>>,
    /// Tick of the last sign of life.
    pub heard: u32,
    /// Whether a ping waits for an answer.
    pub pinged: bool,
    /// Tick at which the timer wheel looks at it next.
    pub looked_at: u32,
    /// Tick since which a message is being received.
    pub receiving_since: Option<NonZeroU32>,
    /// Ticks at which its token's end is announced, and comes.
    pub expiring: Option<(u32, u32)>,
    /// What waits for the handler's word on whether it may connect; there in [`State::Deciding`] alone.
    pub parked: Option<Box<Parked>>,
    /// As whom the handler knows it, or would.
    pub known: Known,
    /// Ticks at which a gateway that drains, or has more than its part, says `goaway`, and closes.
    pub moving: Option<(u32, u32)>,
}

/// The way to a client. No larger than a socket and its reader are.
pub enum Link {
    /// A socket that speaks WebSocket.
    Socket {
        /// The socket.
        socket: TcpStream,
        /// Assembles messages from what the client sends.
        reader: Reader,
    },
    /// A task that speaks for the client.
    Wire(Box<Plug>),
}

impl Link {
    /// How the client is reached.
    pub fn transport(&self) -> Transport {
        match self {
            Self::Socket { .. } => Transport::WebSocket,
            Self::Wire(plug) => plug.transport,
        }
    }

    /// Writes what it takes now; gives how many bytes that was.
    fn write(&mut self, chunk: &Chunk) -> io::Result<usize> {
        match self {
            Self::Socket { socket, .. } => try_write(socket, chunk.bytes()),
            Self::Wire(plug) => Ok(match plug.offer(chunk) {
                true => chunk.bytes().len(),
                false => 0,
            }),
        }
    }
}

/// What is kept of a connection for its protocol.
#[derive(Debug)]
pub struct Kept {
    /// What the protocol remembers.
    pub memory: Memory,
    /// The pings, where they are the protocol's own.
    pub pulse: Option<Pulse>,
}

/// Pings that a client waits for: it takes the connection for lost where none comes.
#[derive(Debug)]
pub struct Pulse {
    /// What the client was told.
    pub heartbeat: Heartbeat,
    /// Tick of the next one.
    pub next: u32,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits for a `connect` with a token, until this tick.
    Awaiting {
        /// When it ends in any case.
        until: u32,
    },
    /// The handler was asked whether it may connect.
    Deciding {
        /// Whether it is in already, as somebody else.
        greeted: bool,
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

    /// Whose connection it is.
    pub fn role(&self) -> Role {
        match &self.link {
            Link::Socket { .. } => Role::Client,
            Link::Wire(plug) => plug.role,
        }
    }

    /// What is kept of it, or, where that is nothing, `none`.
    pub fn memory<'a>(&'a mut self, none: &'a mut Memory) -> &'a mut Memory {
        self.kept
            .as_deref_mut()
            .map_or(none, |kept| &mut kept.memory)
    }

    /// Whether a packet of several messages has begun and is not whole.
    pub fn mid_packet(&self) -> bool {
        let kept = self.kept.as_ref();
        let dialogue = kept.and_then(|kept| kept.memory.dialogue.as_ref());
        dialogue.is_some_and(|dialogue| dialogue.mid_packet())
    }

    /// Whether its pings are the protocol's own.
    pub fn has_pulse(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.pulse.is_some())
    }

    /// Whether a message is being received now: its time runs from its first part on.
    pub fn receiving(&mut self, receiving: bool, now: u32) {
        let since = self.receiving_since.or(NonZeroU32::new(now.max(1)));
        self.receiving_since = if receiving { since } else { None };
    }

    /// Its heartbeat: what the client was told, or else what the channel says now.
    pub fn heartbeat(&self, channel: Heartbeat) -> Heartbeat {
        let pulse = self.kept.as_ref().and_then(|kept| kept.pulse.as_ref());
        pulse.map_or(channel, |pulse| pulse.heartbeat)
    }

    /// Whether frames are still sent to it.
    pub fn receives(&self) -> bool {
        matches!(
            self.state,
            State::Open | State::Detaching { .. } | State::Deciding { greeted: true }
        )
    }

    /// Whether what the client sends is looked at.
    pub fn listens(&self) -> bool {
        matches!(
            self.state,
            State::Open | State::Awaiting { .. } | State::Deciding { .. }
        )
    }

    /// Writes frames, or lets them wait. Gives the bytes that the client's link took.
    pub fn write(&mut self, chunk: &Chunk, now: u32) -> usize {
        if let Some(backlog) = &mut self.backlog {
            backlog.push(chunk.clone());
            return 0;
        }
        match self.link.write(chunk) {
            Ok(taken) if taken == chunk.bytes().len() => taken,
            Ok(taken) => {
                self.backlog = Some(Box::new(Backlog::new(chunk.clone(), taken, now)));
                taken
            }
            Err(_) => {
                self.break_off();
                0
            }
        }
    }

    /// Writes frames that are for this connection alone.
    pub fn write_private(&mut self, bytes: &[u8], memory: &Arc<QueueMemory>, now: u32) -> usize {
        let chunk = || Chunk::new(bytes.to_vec(), memory.clone());
        let Link::Socket { socket, .. } = &mut self.link else {
            return self.write(&chunk(), now);
        };
        if let Some(backlog) = &mut self.backlog {
            backlog.push(chunk());
            return 0;
        }
        match try_write(socket, bytes) {
            Ok(taken) if taken == bytes.len() => taken,
            Ok(taken) => {
                self.backlog = Some(Box::new(Backlog::new(chunk(), taken, now)));
                taken
            }
            Err(_) => {
                self.break_off();
                0
            }
        }
    }

    /// Writes what waits. Gives the bytes that the client's link took.
    pub fn write_backlog(&mut self, now: u32) -> usize {
        let Some(backlog) = &mut self.backlog else {
            return 0;
        };
        let before = backlog.bytes();
        let outcome = match &mut self.link {
            Link::Socket { socket, .. } => backlog.write(socket, now),
            Link::Wire(plug) => Ok(backlog.hand_over(now, |chunk| plug.offer(chunk))),
        };
        let taken = before - backlog.bytes();
        match outcome {
            Ok(true) => self.backlog = None,
            Ok(false) => {}
            Err(_) => self.break_off(),
        }
        taken
    }

    /// Bytes that wait: what the kernel has of a socket's is not known.
    pub fn waiting(&self) -> usize {
        let ready = match &self.link {
            Link::Socket { .. } => 0,
            Link::Wire(plug) => plug.waiting(),
        };
        ready + self.backlog.as_ref().map_or(0, |backlog| backlog.bytes())
    }

    /// The link is of no use any more.
    pub fn break_off(&mut self) {
        self.state = State::Broken;
        self.backlog = None;
    }
}

/// Writes what a socket takes now.
fn try_write(socket: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match socket.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
