//! The end of a wire that a shard has.

use std::sync::Arc;

use super::super::backlog::Chunk;
use super::super::connection::Link;
use super::super::handle::Opening;
use super::super::state::Shard;
use super::owner::{Breach, Input};
use super::pipe::{Pipe, Taken};
use crate::protocol::{ErrorCode, Frame};
use crate::traces::{self, End};
use crate::transport::{Role, Transport};

/// A wire on its way to a shard.
#[derive(Debug)]
pub struct NewWire {
    /// What was agreed on before there was a connection.
    pub opening: Opening,
    /// The shard's end.
    pub(in super::super) plug: Plug,
}

/// What a shard has in a socket's place.
#[derive(Debug)]
pub struct Plug {
    pipe: Arc<Pipe>,
    /// How the client is reached.
    pub transport: Transport,
    /// Whether it is somebody's connection.
    pub role: Role,
    /// What the owner had taken when the shard last looked.
    seen: u64,
    /// Tick at which it was last seen that the owner takes what lies there.
    pub moved: u32,
}

impl Plug {
    pub(in super::super) fn new(pipe: Arc<Pipe>, transport: Transport, role: Role) -> Self {
        Self {
            pipe,
            transport,
            role,
            seen: 0,
            moved: 0,
        }
    }

    /// Gives frames to the owner, all or none; if none, the owner tells when there is room.
    pub fn offer(&self, chunk: &Chunk) -> bool {
        self.pipe.offer(chunk)
    }

    /// Bytes that the owner has not taken.
    pub fn waiting(&self) -> usize {
        self.pipe.level().0
    }

    /// Looks whether the owner has taken something since the last look, or there is nothing that it could.
    pub fn moves(&mut self, now: u32) -> bool {
        let (bytes, taken) = self.pipe.level();
        let before = std::mem::replace(&mut self.seen, taken);
        let moves = bytes == 0 || taken != before;
        if moves {
            self.moved = now;
        }
        moves
    }

    /// What the owner has not taken, and now never will.
    pub(super) fn take_back(&self) -> Vec<Chunk> {
        std::iter::from_fn(|| match self.pipe.take() {
            Taken::Chunk { chunk, .. } => Some(chunk),
            Taken::Nothing | Taken::Ended => None,
        })
        .collect()
    }
}

impl Drop for Plug {
    fn drop(&mut self) {
        self.pipe.end();
    }
}

impl Shard {
    /// Makes a wire a connection.
    pub(in super::super) fn plug_in(&mut self, new: NewWire) {
        let NewWire { opening, mut plug } = new;
        plug.moved = self.wheel.now();
        let pipe = Arc::clone(&plug.pipe);
        self.flush_out();
        let slot = self.begin(Link::Wire(Box::new(plug)), opening, &[]);
        let generation = self.connections.get(slot as usize);
        if let Some(generation) = generation.map(|connection| connection.generation) {
            let _ = pipe.home.set(self.address(slot, generation)); // it has one home only
        }
        self.cut_if_revoked(slot);
        self.flush_out();
        self.uncount(); // whoever gave it has counted it
    }

    /// Does what a wire's owner says.
    pub(in super::super) fn heed(&mut self, pipe: &Pipe, input: Input) {
        if matches!(input, Input::Text(_) | Input::Binary(_)) {
            pipe.places.add_permits(1);
        }
        let Some(slot) = pipe.home.get().and_then(|home| self.find(*home)) else {
            return;
        };
        let connection = self.connections.get(slot as usize);
        if !connection.is_some_and(|connection| matches!(connection.link, Link::Wire(_))) {
            return; // it goes on over a socket
        }
        match input {
            Input::Text(text) => self.heard_on_wire(slot, Frame::Text(&text), text.len()),
            Input::Binary(bytes) => self.heard_on_wire(slot, Frame::Binary(&bytes), bytes.len()),
            Input::Close(code) => self.closed_by_client(slot, Some(code)),
            Input::Broken(Breach { code, reason }) => {
                let error = match code {
                    1009 => ErrorCode::MessageTooLarge,
                    _ => ErrorCode::BadRequest,
                };
                self.close_with(slot, code, reason, Some(error));
            }
            Input::Socket(socket) => self.switch(slot, *socket),
            Input::Room => self.flush_backlog(slot),
            Input::Dropped => self.unplugged(slot),
        }
    }

    fn heard_on_wire(&mut self, slot: u32, frame: Frame<'_>, length: usize) {
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        if !connection.listens() {
            return;
        }
        if connection.has_pulse() {
            connection.heard = self.wheel.now(); // elsewhere the owner shows whether the client is there
        }
        self.metrics.bytes_in.add(length as u64);
        if let Some(trace) = &mut connection.trace {
            trace.read(length);
        }
        if length > self.channel.limits.frame_size() {
            return self.close_with(slot, 1009, "message too big", None);
        }
        if self.connections[slot as usize].parked.is_some() {
            self.park(slot, frame);
            return;
        }
        self.frame(slot, frame, length);
        let now = self.wheel.now();
        if let Some(connection) = self.connections.get_mut(slot as usize) {
            connection.receiving(connection.mid_packet(), now);
        }
    }

    /// The owner is gone: the only way in which some clients can close.
    fn unplugged(&mut self, slot: u32) {
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        if connection.listens() {
            self.tell_handler_of_end(slot, 1005, "client");
            let Some(connection) = self.connections.get_mut(slot as usize) else {
                return;
            };
            let connection_id = connection.session.connection();
            tracing::debug!(%connection_id, trace_id = connection.trace_id(), "connection closed by the client");
            traces::closed(connection, 1005, End::Client);
        }
        self.leave_all(slot, false);
        self.forget(slot);
    }
}
