//! A connection whose client goes on over a socket.
//!
//! The connection stays where it is, on its shard and in its slot, and with it its session, rooms, identity and place among
//! those of its address; only its link is another. A task that had pumped frames between the wire and the socket would have
//! left the shard alone, but most clients of Socket.IO begin with long-polling and change at once: they would have cost,
//! for good, a task with buffers and a change of threads for each message. So the shard takes the socket into its own loop,
//! and from then on it is a WebSocket like any other.
//!
//! What the client has not taken by the old way is written first, in its order: what the owner had begun to take, what lay
//! ready for it, and the backlog. A fan-out that is under way finds the connection with frames of the new kind.

use std::net::TcpStream;

use mio::{Interest, Token};

use super::super::backlog::Backlog;
use super::super::connection::{Connection, Link, State};
use super::super::encoding::{FrameWriter, Framing};
use super::super::state::Shard;
use super::framing::{Frames, WireFrame};
use crate::protocol::FrameSink;
use crate::transport::Transport;
use crate::transport::websocket::reader::Reader;

/// A socket whose client has a connection already.
#[derive(Debug)]
pub struct NewSocket {
    /// The bare socket, non-blocking, which speaks WebSocket.
    pub stream: TcpStream,
    /// What the client sent there already and nobody has read.
    pub early: Vec<u8>,
    /// The server's window bits, where permessage-deflate was agreed on.
    pub deflate: Option<u8>,
    /// What the owner of the wire had begun to take.
    pub(super) rest: Option<Frames>,
}

impl NewSocket {
    /// A socket, as its handshake left it.
    pub fn new(stream: TcpStream, early: Vec<u8>, deflate: Option<u8>) -> Self {
        Self {
            stream,
            early,
            deflate,
            rest: None,
        }
    }
}

impl Shard {
    /// Gives a connection a socket in its wire's place.
    pub(super) fn switch(&mut self, slot: u32, new: NewSocket) {
        self.flush_out(); // what was said before comes before, and in the old form
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        let mut socket = mio::net::TcpStream::from_std(new.stream);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        if let Err(error) = registry.register(&mut socket, Token(slot as usize), interest) {
            tracing::debug!(%error, "a socket cannot be watched; its connection is dropped");
            return self.gone(slot);
        }
        let framing = match new.deflate {
            Some(window) => Framing::Deflated(window),
            None => Framing::WebSocket,
        };
        let mut waiting = Vec::new();
        let mut writer = FrameWriter {
            out: &mut waiting,
            framing,
            deflater: &mut self.deflater,
        };
        let mut close = None;
        for frame in untaken(connection, new.rest) {
            match frame {
                WireFrame::Text(payload) => writer.text(&payload),
                WireFrame::Binary(payload) => writer.binary(&payload),
                WireFrame::Close { code, reason } => close = Some((code, reason)),
            }
        }
        connection.encoding.framing = framing;
        if let Some((code, reason)) = close {
            let code = (code != 1005).then_some(code);
            connection.encoding.close(code, &reason, &mut waiting);
        }
        let (before, now) = (connection.link.transport(), self.wheel.now());
        let reader = Reader::new();
        connection.link = Link::Socket { socket, reader };
        connection.heard = now;
        connection.receiving(connection.mid_packet(), now);
        let after = connection.link.transport();
        self.metrics.transports[before as usize].subtract(1);
        self.metrics.transports[after as usize].add(1);
        self.told_of_switch(slot, after);
        self.write_first(slot, &waiting);
        let mut early = new.early;
        if !early.is_empty() {
            self.received(slot, &mut early);
        }
        self.schedule(slot);
        self.flush_out();
    }

    fn told_of_switch(&mut self, slot: u32, transport: Transport) {
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        let connection_id = connection.session.connection();
        let name = transport.as_str();
        tracing::debug!(%connection_id, trace_id = connection.trace_id(), transport = name, "connection goes on elsewhere");
        if let Some(trace) = &mut connection.trace {
            trace.switched(transport);
        }
    }

    /// Writes what the client has not had yet.
    fn write_first(&mut self, slot: u32, waiting: &[u8]) {
        self.waiting.remove(&slot);
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        if waiting.is_empty() {
            return;
        }
        let taken = connection.write_private(waiting, &self.memory, self.wheel.now());
        self.metrics.bytes_out.add(taken as u64);
        if let Some(trace) = &mut connection.trace {
            trace.wrote(taken);
        }
        match connection.state {
            State::Closing { .. } if connection.backlog.is_none() => self.half_close(slot),
            _ if connection.backlog.is_some() || connection.state == State::Broken => {
                self.troubled.push(slot);
                self.look_at_troubled();
            }
            _ => {}
        }
    }
}

/// All frames of a wire that its owner has not taken, in order.
fn untaken(connection: &mut Connection, rest: Option<Frames>) -> Vec<WireFrame> {
    let ready = match &connection.link {
        Link::Wire(plug) => plug.take_back(),
        Link::Socket { .. } => Vec::new(),
    };
    let backlog = connection.backlog.take();
    let backlog = backlog
        .into_iter()
        .flat_map(|backlog| Backlog::into_pieces(*backlog));
    let whole = ready.into_iter().chain(backlog).map(Frames::of);
    rest.into_iter().chain(whole).flatten().collect()
}
