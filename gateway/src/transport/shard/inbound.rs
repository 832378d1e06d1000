//! From bytes to frames: adopt a socket or a wire, read what comes.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::time::Duration;

use mio::{Interest, Token};

use super::connection::{Connection, Kept, Link, State};
use super::encoding::{Encoding, Framing};
use super::expiry::expiring;
use super::handle::{NewConnection, Opening};
use super::parking::{Known, Then};
use super::state::Shard;
use super::wheel::ticks;
use crate::logging::pace::SharedPace;
use crate::protocol::{Frame, Handshake, Memory};
use crate::session::Session;
use crate::traces::ConnectionTrace;
use crate::transport::websocket::frame::{self, Opcode};
use crate::transport::websocket::reader::{Event, ReadContext, ReadError, Reader};

/// Times that one socket is read before others have their turn.
const READS_PER_TURN: usize = 4;

impl Shard {
    /// Takes over a socket that HTTP has upgraded.
    pub(super) fn adopt(&mut self, new: NewConnection) {
        let socket = mio::net::TcpStream::from_std(new.stream);
        let mut early = new.early;
        self.open(socket, false, new.opening, &[], &mut early);
        self.uncount(); // whoever gave it has counted it
    }

    /// Makes a socket a connection and greets it, behind the rest of the handshake's answer.
    pub(super) fn open(
        &mut self,
        mut socket: mio::net::TcpStream,
        watched: bool,
        opening: Opening,
        response: &[u8],
        early: &mut [u8],
    ) {
        let interest = Interest::READABLE | Interest::WRITABLE;
        let token = Token(self.connections.vacant_key());
        let registry = self.poll.registry();
        let outcome = match watched {
            true => registry.reregister(&mut socket, token, interest),
            false => registry.register(&mut socket, token, interest),
        };
        if let Err(error) = outcome {
            static LINES: SharedPace = SharedPace::new();
            if let Some(count) = LINES.due() {
                tracing::warn!(%error, count, "a socket cannot be watched; its connection is dropped");
            }
            return;
        }
        let reader = Reader::new();
        let slot = self.begin(Link::Socket { socket, reader }, opening, response);
        if !early.is_empty() {
            self.received(slot, early);
        }
        // The token may have been judged before its user was revoked.
        self.cut_if_revoked(slot);
        self.flush_out(); // what the socket has already raises an event as soon as it is watched
    }

    /// Makes a link a connection and greets it, behind `response`. Gives its slot.
    pub(super) fn begin(&mut self, link: Link, opening: Opening, response: &[u8]) -> u32 {
        let client = opening.client;
        let transport = link.transport();
        let mut connection = self.connection(link, opening);
        let protocol = connection.encoding.protocol();
        let first = match &connection.kept {
            Some(kept) => protocol.first_request(&kept.memory.handshake),
            None => protocol.first_request(&Handshake::default()),
        };
        let connection_id = connection.session.connection();
        let name = transport.as_str();
        tracing::debug!(%connection_id, trace_id = connection.trace_id(), %client, transport = name, "connection opened");
        if let Some(trace) = &mut connection.trace {
            trace.opened(&connection.session, protocol, transport, client);
        }
        let slot = self.connections.insert(connection) as u32;
        self.count();
        self.metrics.connections.set(self.connections.len() as u64);
        self.metrics.transports[transport as usize].add(1);
        self.metrics.connections_opened.add(1);
        self.plan_move(slot);
        self.schedule(slot);
        self.open_out(slot);
        self.out.extend_from_slice(response);
        self.begin_dialogue(slot);
        if self.connections[slot as usize].state == State::Open {
            self.knock(slot, Then::Open(first));
        } else if let Some(request) = first {
            self.request(slot, request);
        }
        slot
    }

    fn connection(&mut self, link: Link, mut opening: Opening) -> Connection {
        let now = self.wheel.now();
        let mut session = Session::new(opening.info.clone(), &self.channel, self.now_ms());
        if let Some(identity) = opening.identity.take() {
            session.identify(identity);
        }
        if let Some(scope) = opening.service.take() {
            session.serve(scope);
        }
        let expiring = expiring(&session, now);
        let state = match session.is_identified() {
            true => State::Open,
            false => State::Awaiting {
                until: now + ticks(self.channel.heartbeat.timeout),
            },
        };
        let handshake = &opening.handshake;
        let framing = match (&link, opening.deflate) {
            (Link::Wire(_), _) => Framing::Wire,
            (Link::Socket { .. }, Some(window)) => Framing::Deflated(window),
            (Link::Socket { .. }, None) => Framing::WebSocket,
        };
        Connection {
            link,
            generation: self.next_generation(),
            trace: ConnectionTrace::begin(self.channel.telemetry, opening.caller),
            encoding: Encoding {
                protocol: opening.protocol,
                framing,
                prefix: 0,
            },
            state,
            backlog: None,
            session: Box::new(session),
            seat: opening.seat,
            kept: handshake.room.is_some().then(|| {
                let memory = Memory {
                    handshake: handshake.clone(),
                    dialogue: None,
                };
                let pulse = None;
                Box::new(Kept { memory, pulse })
            }),
            heard: now,
            pinged: false,
            looked_at: 0,
            receiving_since: None,
            expiring,
            parked: None,
            known: Known::Nobody,
            moving: None,
        }
    }

    /// Reads what a socket has.
    pub(super) fn read(&mut self, slot: u32) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut drained = false;
        for _ in 0..READS_PER_TURN {
            let Some(connection) = self.connections.get_mut(slot as usize) else {
                drained = true;
                break;
            };
            if connection.is_held_up() {
                drained = true; // the rest is read when the handler has decided
                break;
            }
            let Link::Socket { socket, .. } = &mut connection.link else {
                drained = true; // it has the slot of a socket that was told of
                break;
            };
            match socket.read(&mut scratch) {
                Ok(0) => {
                    self.gone(slot);
                    drained = true;
                }
                Ok(count) => {
                    self.metrics.bytes_in.add(count as u64);
                    if let Some(trace) = &mut connection.trace {
                        trace.read(count);
                    }
                    self.received(slot, &mut scratch[..count]);
                    drained = count < scratch.len();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => drained = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.gone(slot);
                    drained = true;
                }
            }
            if drained {
                break;
            }
        }
        self.scratch = scratch;
        if !drained && self.connections.contains(slot as usize) {
            self.unread.push_back(slot);
        }
    }

    pub(super) fn received(&mut self, slot: u32, bytes: &mut [u8]) {
        let now = self.wheel.now();
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        connection.heard = now;
        connection.pinged = false;
        let compressed = matches!(connection.encoding.framing, Framing::Deflated(_));
        let Link::Socket { reader, .. } = &mut connection.link else {
            return;
        };
        let mut reader = std::mem::take(reader);
        // Only where it is needed: an inflater is tens of kilobytes, and this is done for each read.
        let mut inflater = compressed.then(|| self.inflater.take().unwrap_or_default());
        let max = self.channel.limits.frame_size();
        let mut context = ReadContext {
            max_frame_payload: max,
            max_message: max,
            inflater: inflater.as_mut(),
        };
        let outcome = reader.read(bytes, &mut context, &mut |event| self.event(slot, event));
        if inflater.is_some() {
            self.inflater = inflater;
        }
        if let Some(connection) = self.connections.get_mut(slot as usize) {
            let receiving = reader.mid_message() || connection.mid_packet();
            connection.receiving(receiving, now);
            if let Link::Socket { reader: place, .. } = &mut connection.link {
                *place = reader;
            }
        }
        if let Err(ReadError { code, reason }) = outcome {
            self.close_with(slot, code, reason, None);
        }
    }

    fn event(&mut self, slot: u32, event: Event<'_>) -> ControlFlow<()> {
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return ControlFlow::Break(());
        };
        if let Event::Close { code, .. } = event {
            self.closed_by_client(slot, code);
            return ControlFlow::Break(());
        }
        if !connection.listens() {
            return ControlFlow::Continue(());
        }
        let is_message = matches!(event, Event::Text(_) | Event::Binary(_));
        if let Some(frame) = frame_of(&event)
            && connection.parked.is_some()
        {
            connection.receiving_since = None;
            return match self.park(slot, frame) {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            };
        }
        match event {
            Event::Text(text) => self.frame(slot, Frame::Text(text), text.len()),
            Event::Binary(bytes) => self.frame(slot, Frame::Binary(bytes), bytes.len()),
            Event::Ping(payload) => {
                if self.counts(slot) {
                    self.open_out(slot);
                    frame::encode(Opcode::Pong, false, payload, &mut self.out);
                }
            }
            Event::Pong(echo) => {
                self.ponged(echo);
                self.counts(slot);
            }
            Event::Empty => {
                self.counts(slot);
            }
            Event::Close { .. } => {}
        }
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return ControlFlow::Break(());
        };
        if is_message && !connection.mid_packet() {
            // A message that is complete ends the time that the next one may take. What stands between its fragments
            // does not: pings would keep a message unfinished for ever.
            connection.receiving_since = None;
        }
        match connection.listens() {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    }

    /// Measures the way there and back of a ping. What is no echo of one, or of a time to come, is nobody's.
    fn ponged(&self, echo: &[u8]) {
        let Ok(sent) = <[u8; 8]>::try_from(echo).map(u64::from_be_bytes) else {
            return;
        };
        let most = self.channel.heartbeat.timeout.as_micros() as u64;
        let now = self.started.elapsed().as_micros() as u64;
        if let Some(took) = now.checked_sub(sent).filter(|took| *took <= most) {
            self.metrics.ping.observe(Duration::from_micros(took), 1);
        }
    }
}

fn frame_of<'a>(event: &Event<'a>) -> Option<Frame<'a>> {
    match *event {
        Event::Text(text) => Some(Frame::Text(text)),
        Event::Binary(bytes) => Some(Frame::Binary(bytes)),
        _ => None,
    }
}
