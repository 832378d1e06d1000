//! From a client's words to the hub: decode, let the session decide, do what it decides.

use std::time::Instant;

use super::parking::Then;
use super::state::Shard;
use crate::hub::{Command, CommandKind};
use crate::protocol::{
    AckBody, ErrorCode, Fault, Frame, Heard, Memory, Refusal, Reply, Request, RequestId,
};
use crate::session::{EmptyFrame, Outcome, Surroundings};
use crate::traces;

impl Shard {
    /// A whole frame of the client's protocol, of `length` bytes.
    pub(super) fn frame(&mut self, slot: u32, frame: Frame<'_>, length: usize) {
        let mut around = Surroundings {
            channel: &self.channel,
            tokens: &self.tokens,
            now_ms: self.now_ms(),
            hub_full: self.hub.is_full(),
            token_wait: None,
        };
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        let protocol = connection.encoding.protocol();
        let mut none = Memory::default();
        let decoded = protocol.decode(frame, connection.memory(&mut none));
        let id = match &decoded {
            Ok(heard) => heard.id(),
            Err(fault) => fault.id.as_ref(),
        };
        if let Err(outcome) = connection.session.receive(length, id, &around) {
            if let Ok(Heard::Leave { prefix }) = decoded {
                self.leave_namespace(slot, &prefix); // for the protocol it is left already
            }
            return self.outcome(slot, outcome);
        }
        let decoded = match decoded {
            Ok(Heard::Enter { prefix, request }) if !self.channel.rules.reach(&prefix) => {
                let outcome =
                    (connection.session).refuse(request.id, ErrorCode::Forbidden, &around);
                return self.outcome(slot, outcome);
            }
            decoded => decoded,
        };
        match decoded {
            Ok(Heard::Request(request) | Heard::Enter { request, .. }) => {
                if request.command.shows_token() {
                    around.token_wait = connection.seat.wait(Instant::now());
                }
                let outcome = connection.session.handle(request, &around);
                self.outcome(slot, outcome);
            }
            Ok(Heard::Leave { prefix }) => self.leave_namespace(slot, &prefix),
            Ok(Heard::Part) => {}
            Ok(Heard::Pulse) => {
                self.counts(slot);
            }
            Ok(Heard::End) => self.close_with(slot, 1000, "", None),
            Err(Fault {
                fatal: true,
                code: code @ ErrorCode::MessageTooLarge,
                ..
            }) => self.close(slot, code),
            Err(Fault {
                fatal: true,
                message,
                ..
            }) => self.close_with(slot, 1003, &message, Some(ErrorCode::BadRequest)),
            Err(fault) => {
                let outcome = connection.session.fault(Refusal::from(fault), &around);
                self.outcome(slot, outcome);
            }
        }
    }

    /// Counts a frame that carries nothing. Whether it is to be answered; a flood of them closes the connection.
    pub(super) fn counts(&mut self, slot: u32) -> bool {
        let around = Surroundings {
            channel: &self.channel,
            tokens: &self.tokens,
            now_ms: self.now_ms(),
            hub_full: false,
            token_wait: None,
        };
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return false;
        };
        match connection.session.empty_frame(&around) {
            EmptyFrame::Fine => true,
            EmptyFrame::TooMany => false,
            EmptyFrame::Flood => {
                self.close(slot, ErrorCode::RateLimited);
                false
            }
        }
    }

    /// Lets the session decide on a request that no frame carried.
    pub(super) fn request(&mut self, slot: u32, request: Request) {
        let around = Surroundings {
            channel: &self.channel,
            tokens: &self.tokens,
            now_ms: self.now_ms(),
            hub_full: self.hub.is_full(),
            token_wait: None, // it shows no token
        };
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        let outcome = connection.session.handle(request, &around);
        self.outcome(slot, outcome);
    }

    pub(super) fn outcome(&mut self, slot: u32, outcome: Outcome) {
        match outcome {
            Outcome::Hub(id, mut kind) => {
                if let Some(connection) = self.connections.get_mut(slot as usize) {
                    traces::asked(connection, self.channel.telemetry, &mut kind);
                }
                if matches!(kind, CommandKind::Publish { .. } | CommandKind::Send { .. }) {
                    self.metrics.messages_in.add(1);
                }
                self.ask_hub(slot, id, kind);
            }
            Outcome::Handler(id, question) => self.ask_handler(slot, id, question),
            Outcome::Done(id) => self.ack(slot, id.as_ref(), AckBody::Done),
            Outcome::Refreshed(id) => {
                self.ack(slot, id.as_ref(), AckBody::Done);
                self.token_taken(slot);
                self.leave_forbidden(slot);
            }
            Outcome::Identified(id) => {
                self.token_taken(slot);
                self.knock(slot, Then::Connect(id));
            }
            Outcome::Pong(id) => self.reply(slot, &Reply::Pong { id: id.as_ref() }),
            Outcome::Refused(refusal) => {
                let waits = self.failed(slot, refusal.code);
                self.refuse(slot, &refusal);
                if waits {
                    self.close(slot, ErrorCode::RateLimited);
                }
            }
            Outcome::WornOut(code) => {
                self.failed(slot, code);
                self.close(slot, ErrorCode::RateLimited);
            }
        }
    }

    /// Counts what was refused against the client's address, if it was a token. Whether that has sent too many.
    fn failed(&self, slot: u32, code: ErrorCode) -> bool {
        let connection = self.connections.get(slot as usize);
        let connection = connection.filter(|_| code == ErrorCode::InvalidToken);
        connection.is_some_and(|connection| connection.seat.failed(Instant::now()).is_some())
    }

    /// Sends something of a connection to the hub, with the rest of the turn.
    pub(super) fn ask_hub(&mut self, slot: u32, id: Option<RequestId>, kind: CommandKind) {
        let Some(connection) = self.connections.get(slot as usize) else {
            return;
        };
        let from = self.address(slot, connection.generation);
        self.outbox.push(Command { from, id, kind });
    }
}
