//! One client connection: the steps from the upgrade to the acknowledged subscription, then counting.

mod packets;

use std::{
    io::{ErrorKind, Read, Write},
    time::Instant,
};

use mio::net::TcpStream;
use serde::{Deserialize, de::IgnoredAny};

use super::{
    frames::{self, Frame, Opcode},
    handshake,
    marker::Marker,
    plan::{Plan, Protocol, Since},
    polling::Poller,
    swarm::Tally,
    track::Tracker,
};
use crate::measure::monotonic_ns;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Connecting,
    Upgrading,
    Greeting,
    Subscribing,
    Ready,
    /// We sent a close frame; the end of the stream is expected.
    Closing,
}

/// What became of a connection when the socket had something to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Open,
    /// The peer ended it after we asked for that.
    Closed,
    /// It ended otherwise.
    Failed(String),
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: TcpStream,
    pub(super) group: usize,
    /// Its number in the group, from 0.
    number: usize,
    pub(super) stage: Stage,
    /// Subscriptions that wait for their ack until it is ready.
    subscriptions: usize,
    /// Messages received since the counters were last reset.
    pub(super) messages: u64,
    /// Boxed: most connections of a large group only count.
    pub(super) tracker: Option<Box<Tracker>>,
    started: Instant,
    /// Bytes of a frame whose rest has not arrived; empty at nearly all times.
    partial: Vec<u8>,
    /// How far it has come, where it polls.
    poller: Option<Box<Poller>>,
    /// What the close frame of the server said.
    close_reason: Option<String>,
}

/// The part of a server frame that a client needs to go on.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    /// Of a subscription's ack: whether all is there since the position that it asked from.
    recovered: Option<bool>,
    /// Of a subscription's ack: what was missed.
    #[serde(default)]
    messages: Vec<IgnoredAny>,
    /// Of a subscription's ack: whether there is more than these.
    #[serde(default)]
    more: bool,
}

impl Connection {
    pub(super) fn new(socket: TcpStream, group: usize, number: usize, verify: bool) -> Self {
        Self {
            socket,
            group,
            number,
            subscriptions: 0,
            stage: Stage::Connecting,
            messages: 0,
            tracker: verify.then(Box::default),
            started: Instant::now(),
            partial: Vec::new(),
            poller: None,
            close_reason: None,
        }
    }

    /// The socket became writable: the connection is established.
    pub(super) fn established(&mut self, plan: &Plan) -> Outcome {
        if let Ok(Some(error)) = self.socket.take_error() {
            return Outcome::Failed(format!("connect: {error}"));
        }
        // Not yet connected reads as no peer; the next writable event tells again.
        if self.socket.peer_addr().is_err() {
            return Outcome::Open;
        }
        // Small frames, each wanted at once: Nagle's algorithm would hold the subscribe for the server's ack.
        let _ = self.socket.set_nodelay(true);
        self.stage = Stage::Upgrading;
        self.send(&plan.upgrade(self.number))
    }

    /// Reads what there is; `ending`: up to the end of the stream. `scratch` is shared by all connections.
    pub(super) fn readable(
        &mut self,
        plan: &Plan,
        tally: &mut Tally,
        scratch: &mut [u8],
        ending: bool,
    ) -> Outcome {
        loop {
            match self.socket.read(scratch) {
                Ok(0) => return self.ended("the server ended the connection"),
                Ok(read) => {
                    match self.take(&scratch[..read], plan, tally) {
                        Outcome::Open => {}
                        end => return end,
                    }
                    // A short read has emptied the socket, and what comes later raises a new edge (epoll(7)); an
                    // end of stream that this edge has told already would not.
                    if read < scratch.len() && !ending {
                        return Outcome::Open;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Outcome::Open,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.ended(&error.to_string()),
            }
        }
    }

    /// Subscribes a connection that was held back.
    pub(super) fn subscribe(&mut self, plan: &Plan, since: Option<&Since>) -> Outcome {
        self.send(&plan.subscribe(self.number, since))
    }

    /// Sends a close frame; the server's end of stream completes it.
    pub(super) fn close(&mut self) -> Outcome {
        let mut out = Vec::new();
        frames::push_client_frame(&mut out, Opcode::Close, &1000_u16.to_be_bytes());
        self.stage = Stage::Closing;
        self.send(&out)
    }

    fn ended(&mut self, how: &str) -> Outcome {
        match (self.stage, self.close_reason.take()) {
            (Stage::Closing, None) => Outcome::Closed,
            (_, Some(reason)) => Outcome::Failed(reason),
            (stage, None) => Outcome::Failed(format!("{how} while {stage:?}")),
        }
    }

    fn take(&mut self, received: &[u8], plan: &Plan, tally: &mut Tally) -> Outcome {
        if self.partial.is_empty() {
            return match self.consume(received, plan, tally) {
                Ok(used) => {
                    self.partial.extend_from_slice(&received[used..]);
                    Outcome::Open
                }
                Err(reason) => Outcome::Failed(reason),
            };
        }
        let mut pending = std::mem::take(&mut self.partial);
        pending.extend_from_slice(received);
        match self.consume(&pending, plan, tally) {
            Ok(used) => {
                // A fresh vector where nothing is left: 10,000 of them must not keep their capacity.
                if used < pending.len() {
                    pending.drain(..used);
                    self.partial = pending;
                }
                Outcome::Open
            }
            Err(reason) => Outcome::Failed(reason),
        }
    }

    /// Takes all that is complete at the start of `bytes` and returns its length.
    fn consume(&mut self, bytes: &[u8], plan: &Plan, tally: &mut Tally) -> Result<usize, String> {
        if plan.protocol == Protocol::Polling {
            return self.poll(bytes, plan, tally);
        }
        let mut used = 0;
        if self.stage == Stage::Upgrading {
            let Some(length) = handshake::head_len(bytes) else {
                return Ok(0);
            };
            handshake::check(&bytes[..length])?;
            tally.lengths.head = length;
            used = length;
            match plan.protocol {
                Protocol::Json | Protocol::SocketIo => self.stage = Stage::Greeting,
                Protocol::Plain => self.ready(plan, tally)?,
                Protocol::Polling => {} // it upgrades nothing
            }
        }
        while let Some(frame) = frames::parse(&bytes[used..])
            .map_err(|_| "the server sent a malformed frame".to_owned())?
        {
            used += frame.wire;
            self.frame(&frame, plan, tally)?;
        }
        Ok(used)
    }

    fn frame(&mut self, frame: &Frame<'_>, plan: &Plan, tally: &mut Tally) -> Result<(), String> {
        match frame.opcode {
            Opcode::Text | Opcode::Binary | Opcode::Continuation => match plan.protocol {
                Protocol::Plain => self.message(frame, tally),
                Protocol::Json if frame.payload.starts_with(b"{\"type\":\"message\"") => {
                    self.message(frame, tally)
                }
                Protocol::Json => self.answer(frame, plan, tally)?,
                Protocol::SocketIo => self.packet(frame, plan, tally)?,
                Protocol::Polling => {}
            },
            Opcode::Ping => {
                tally.pings += 1;
                let mut out = Vec::new();
                frames::push_client_frame(&mut out, Opcode::Pong, frame.payload);
                self.send_or(&out)?;
            }
            Opcode::Pong => {}
            // The first close frame is the one that counts (RFC 6455 section 5.5.1).
            Opcode::Close if self.stage == Stage::Closing || self.close_reason.is_some() => {}
            Opcode::Close => {
                let code = frame
                    .payload
                    .first_chunk::<2>()
                    .map_or(1005, |code| u16::from_be_bytes(*code));
                let reason = String::from_utf8_lossy(frame.payload.get(2..).unwrap_or_default())
                    .into_owned();
                self.close_reason = Some(format!("the server closed with {code} {reason}"));
                let mut out = Vec::new();
                frames::push_client_frame(&mut out, Opcode::Close, frame.payload);
                self.send_or(&out)?;
            }
        }
        Ok(())
    }

    fn message(&mut self, frame: &Frame<'_>, tally: &mut Tally) {
        self.count(frame.payload, frame.wire, tally);
    }

    fn count(&mut self, payload: &[u8], wire: usize, tally: &mut Tally) {
        self.messages += 1;
        tally.messages += 1;
        tally.bytes += wire as u64;
        if let Some(tracker) = &mut self.tracker
            && let Some(marker) = Marker::find(payload)
        {
            tracker.see(marker.sequence);
            tally
                .delays
                .saturating_record(monotonic_ns().saturating_sub(marker.sent_ns));
        }
    }

    /// A JSON frame that is no message.
    fn answer(&mut self, frame: &Frame<'_>, plan: &Plan, tally: &mut Tally) -> Result<(), String> {
        let unexpected = || {
            format!(
                "unexpected frame: {}",
                String::from_utf8_lossy(frame.payload)
            )
        };
        let head: Head<'_> = serde_json::from_slice(frame.payload).map_err(|_| unexpected())?;
        match (self.stage, head.kind) {
            (Stage::Greeting, "connected") => {
                tally.lengths.greeting = frame.wire;
                self.subscriptions = plan.subscriptions();
                if self.subscriptions == 0 {
                    return self.ready(plan, tally);
                }
                self.stage = Stage::Subscribing;
                self.send_or(&plan.subscribe(self.number, None))
            }
            (Stage::Subscribing, "ack") => {
                tally.lengths.ack = frame.wire;
                self.subscriptions -= 1;
                match self.subscriptions {
                    0 => self.ready(plan, tally),
                    _ => Ok(()),
                }
            }
            // `type` need not come first; where it does, `frame` has seen to it without parsing.
            (Stage::Ready | Stage::Closing, "message") => {
                self.message(frame, tally);
                Ok(())
            }
            (Stage::Ready, "ack") if head.recovered == Some(true) && !head.more => {
                let missed = head.messages.len() as u64;
                self.messages += missed;
                tally.messages += missed;
                tally.bytes += frame.wire as u64;
                Ok(())
            }
            (Stage::Ready, "ack") if head.recovered.is_some() => Err(unexpected()),
            (Stage::Greeting | Stage::Subscribing, _) | (_, "error" | "gap" | "unsubscribed") => {
                Err(unexpected())
            }
            _ => {
                tally.others += 1;
                Ok(())
            }
        }
    }

    fn ready(&mut self, plan: &Plan, tally: &mut Tally) -> Result<(), String> {
        self.stage = Stage::Ready;
        tally.ready += 1;
        tally.setup.saturating_record(
            u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX),
        );
        if !plan.close_when_ready {
            return Ok(());
        }
        match self.close() {
            Outcome::Failed(reason) => Err(reason),
            Outcome::Open | Outcome::Closed => Ok(()),
        }
    }

    fn send_or(&mut self, bytes: &[u8]) -> Result<(), String> {
        match self.send(bytes) {
            Outcome::Failed(reason) => Err(reason),
            Outcome::Open | Outcome::Closed => Ok(()),
        }
    }

    /// What a client sends is a few bytes on an empty socket: a server that leaves no room for them is at fault.
    fn send(&mut self, bytes: &[u8]) -> Outcome {
        match self.socket.write(bytes) {
            Ok(written) if written == bytes.len() => Outcome::Open,
            Ok(_) => Outcome::Failed("the socket took a part of a small frame".to_owned()),
            Err(error) => self.ended(&error.to_string()),
        }
    }
}
