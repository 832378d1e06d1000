//! What connections ask of the channel's handler, and what it has done with them.

use linnet_telemetry::Context;

use super::connection::{Connection, State};
use super::parking::Known;
use super::state::Shard;
use crate::handler::{Answer, Call, Emit, Failure, Full, Handled, Kind, Of, Reject};
use crate::message::{Message, unix_milliseconds};
use crate::names::RoomName;
use crate::protocol::{AckBody, ErrorCode, Memory, Question, Refusal, Reply, RequestId};
use crate::session::Outcome;
use crate::traces;
use crate::transport::{Role, Transport};

/// When it may be worth while to ask again after too much waited, in milliseconds.
const RETRY_MS: u64 = 1000;

impl Shard {
    /// Puts something into the connection's line.
    pub(super) fn call(
        &mut self,
        slot: u32,
        kind: Kind,
        caller: Option<Context>,
    ) -> Result<(), Full> {
        let (Some(way), Some(handler)) = (&self.handler, &self.channel.handler) else {
            return Err(Full);
        };
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return Ok(());
        };
        let span = traces::calls(connection, self.channel.telemetry, caller);
        let (generation, member) = (connection.generation, connection.session.member().clone());
        let call = Call {
            to: self.address(slot, generation),
            member,
            kind,
            span,
        };
        way.ask(call, handler, self.channel.limits.message_size)
    }

    /// A request that the session has let through.
    pub(super) fn ask_handler(&mut self, slot: u32, id: Option<RequestId>, question: Question) {
        let Question {
            event,
            data,
            caller,
        } = question;
        let kind = Kind::Request {
            id: id.clone(),
            event,
            data,
        };
        let caller = caller.map(|caller| *caller);
        if self.call(slot, kind, caller).is_err() {
            self.refuse(slot, &failure(id, Failure::Overloaded));
        }
    }

    /// The handler has answered, or can't.
    pub(super) fn handled(&mut self, handled: Handled) {
        let Some(slot) = self.find(handled.to) else {
            return;
        };
        match handled.of {
            Of::Connect => self.decided(slot, handled.outcome),
            Of::Request(id) => self.answered(slot, id, handled.outcome),
        }
        self.flush_out();
    }

    fn answered(&mut self, slot: u32, id: Option<RequestId>, outcome: Result<Answer, Failure>) {
        match outcome {
            Ok(Answer {
                reject: Some(reject),
                ..
            }) => self.refuse(slot, &rejection(id, Some(reject))),
            Ok(mut answer) => {
                let data = answer.data.take();
                self.obey(slot, answer);
                self.ack(slot, id.as_ref(), AckBody::Answered(data.as_ref()));
            }
            Err(reason) => self.refuse(slot, &failure(id, reason)),
        }
    }

    /// Does what an answer says beside its data. One that is about to leave is left alone.
    pub(super) fn obey(&mut self, slot: u32, answer: Answer) {
        let connection = self.connections.get(slot as usize);
        let stays = |state| matches!(state, State::Open | State::Deciding { greeted: true });
        let client = |connection: &Connection| connection.role() == Role::Client;
        if !connection.is_some_and(|connection| stays(connection.state) && client(connection)) {
            return;
        }
        for room in &answer.leave {
            let connection = self.connections.get_mut(slot as usize);
            if connection.is_some_and(|connection| connection.session.take_out(room)) {
                self.expel(slot, room, ErrorCode::Rejected);
            }
        }
        for room in answer.join {
            self.put_in(slot, room);
        }
        for Emit { event, data } in answer.emit {
            let message = Message {
                room: RoomName::direct(),
                offset: None,
                timestamp: unix_milliseconds(),
                from: None,
                event,
                data,
                info: None,
                skip: None,
                trace: None,
            };
            self.reply(slot, &Reply::Direct(&message));
        }
    }

    fn put_in(&mut self, slot: u32, room: RoomName) {
        let channel = self.channel.clone();
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        if connection.link.transport() == Transport::ServerSentEvents {
            return; // its cursor is one over the rooms that its address names
        }
        let mut none = Memory::default();
        let dialogue = connection.memory(&mut none).dialogue.as_ref();
        let prefix = dialogue.map_or(0, |dialogue| dialogue.sees(&room));
        match connection.session.put_in(room.clone(), prefix, &channel) {
            Ok(kind) => self.outcome(slot, Outcome::Hub(None, kind)),
            Err(code) => {
                let room = &room;
                self.reply(slot, &Reply::Unsubscribed { room, code });
            }
        }
    }

    /// Tells the handler that a connection which it knows has ended, once.
    pub(super) fn tell_handler_of_end(&mut self, slot: u32, code: u16, reason: &str) {
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        let known = std::mem::replace(&mut connection.known, Known::Nobody);
        let handler = self.channel.handler.as_ref();
        if known == Known::Nobody || !handler.is_some_and(|handler| handler.disconnect) {
            return;
        }
        let reason = reason.into();
        // Where too much waits it goes untold, and is counted.
        let _ = self.call(slot, Kind::Disconnect { code, reason }, None);
    }
}

/// What a client is told where there is no answer.
fn failure(id: Option<RequestId>, failure: Failure) -> Refusal {
    let retry = failure == Failure::Overloaded;
    Refusal {
        retry_after_ms: retry.then_some(RETRY_MS),
        ..Refusal::new(id, failure.code())
    }
}

/// What a client is told where the answer is no.
pub(super) fn rejection(id: Option<RequestId>, reject: Option<Reject>) -> Refusal {
    let mut refusal = Refusal::new(id, ErrorCode::Rejected);
    if let Some(Reject { code, message }) = reject {
        refusal.reason = code;
        if let Some(message) = message {
            refusal.message = message.into_string().into();
        }
    }
    refusal
}
