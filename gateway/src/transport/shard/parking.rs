//! Connections that the channel's handler decides about. Until it has, what the client asks waits here, and no more of it
//! is read: the kernel holds it, and slows the client down.

use std::collections::VecDeque;

use super::connection::{Connection, State};
use super::handling::rejection;
use super::state::{SCRATCH, Shard};
use crate::handler::{Answer, Failure, Kind};
use crate::protocol::{AckBody, ErrorCode, Frame, Refusal, Request, RequestId};
use crate::session::Session;
use crate::transport::Role;

/// As whom the handler knows a connection, or would: it is asked again when somebody becomes known by a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Known {
    /// It does not.
    Nobody,
    /// As an anonymous one.
    Anonymous,
    /// As a user.
    User,
}

/// A connection that waits for the handler's word.
pub struct Parked {
    then: Then,
    held: VecDeque<Held>,
    /// Bytes of what is held.
    bytes: usize,
}

/// What goes on once it may.
pub enum Then {
    /// The handshake, with the request that it amounts to.
    Open(Option<Request>),
    /// The request `connect`.
    Connect(Option<RequestId>),
}

/// What a client has sent meanwhile.
enum Held {
    Text(Box<str>),
    Binary(Box<[u8]>),
}

impl Known {
    fn of(session: &Session) -> Self {
        match session.user() {
            Some(_) => Self::User,
            None => Self::Anonymous,
        }
    }
}

impl Parked {
    /// Waits for the handler's word.
    fn new(then: Then) -> Self {
        Self {
            then,
            held: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Keeps what has come, if it is not over `most` bytes. More than what was read with it does not come:
    /// [`Connection::is_held_up`]; but what was compressed may be a lot.
    pub fn hold(&mut self, frame: Frame<'_>, most: usize) -> bool {
        let held = match frame {
            Frame::Text(text) => Held::Text(text.into()),
            Frame::Binary(bytes) => Held::Binary(bytes.into()),
        };
        self.bytes += held.frame().1;
        self.held.push_back(held);
        self.bytes <= most
    }
}

impl Held {
    fn frame(&self) -> (Frame<'_>, usize) {
        match self {
            Self::Text(text) => (Frame::Text(text), text.len()),
            Self::Binary(bytes) => (Frame::Binary(bytes), bytes.len()),
        }
    }
}

impl Connection {
    /// Whether no more of it is read for now.
    pub fn is_held_up(&self) -> bool {
        let parked = self.parked.as_ref();
        parked.is_some_and(|parked| !parked.held.is_empty()) && self.listens()
    }
}

impl Shard {
    /// Somebody is known by now: asks the handler whether he may come in, where it wants to be asked, or lets him in.
    pub(super) fn knock(&mut self, slot: u32, then: Then) {
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        let whom = Known::of(&connection.session);
        let handler = self.channel.handler.as_ref();
        let asks = handler.is_some_and(|handler| handler.connect)
            && whom > connection.known
            && !connection.session.is_service();
        let greeted = connection.known != Known::Nobody;
        if !asks {
            return self.let_in(slot, greeted, then, Answer::default());
        }
        connection.known = whom;
        connection.state = State::Deciding { greeted };
        connection.parked = Some(Box::new(Parked::new(then)));
        let protocol = connection.encoding.protocol().subprotocol();
        if self.call(slot, Kind::Connect { protocol }, None).is_err() {
            self.decided(slot, Err(Failure::Overloaded));
        }
        self.schedule(slot);
    }

    /// Keeps what a connection sends while the handler decides. Whether it goes on: who sends too much is closed.
    pub(super) fn park(&mut self, slot: u32, frame: Frame<'_>) -> bool {
        let most = self.channel.limits.frame_size() + SCRATCH;
        let connection = self.connections.get_mut(slot as usize);
        let parked = connection.and_then(|connection| connection.parked.as_mut());
        if parked.is_some_and(|parked| parked.hold(frame, most)) {
            return true;
        }
        self.close(slot, ErrorCode::RateLimited);
        false
    }

    /// The handler has decided, or can't.
    pub(super) fn decided(&mut self, slot: u32, outcome: Result<Answer, Failure>) {
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        let State::Deciding { greeted } = connection.state else {
            return; // it has left meanwhile
        };
        let handler = self.channel.handler.as_ref();
        let answer = match outcome {
            Ok(answer) if answer.reject.is_some() => return self.show_out(slot, answer),
            Ok(answer) => answer,
            Err(_) if handler.is_none_or(|handler| handler.lets_in) => Answer::default(),
            Err(failure) => {
                let refusal = Refusal::new(None, failure.code());
                self.answer_connect(slot, refusal);
                return self.close(slot, failure.code());
            }
        };
        connection.state = State::Open;
        let Some(parked) = connection.parked.take() else {
            return;
        };
        self.let_in(slot, greeted, parked.then, answer);
        self.go_on(slot, parked.held);
    }

    /// Lets somebody in, and does what the handler wants done.
    fn let_in(&mut self, slot: u32, greeted: bool, then: Then, mut answer: Answer) {
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        connection.known = Known::of(&connection.session);
        connection.state = State::Open;
        let data = answer.data.take();
        let role = connection.role();
        match (role, greeted) {
            (Role::Visitor, _) => {} // nobody's connection: neither is it greeted, nor is the hub told
            (Role::Client, false) => self.identified(slot, data.as_ref()),
            (Role::Client, true) => self.enter_user(slot), // it was greeted as an anonymous one
        }
        if let Then::Connect(id) = &then {
            let Some(greeting) = self.greeting(slot, data.as_ref()) else {
                return;
            };
            self.ack(slot, id.as_ref(), AckBody::Connected(&greeting));
        }
        self.obey(slot, answer);
        if let Then::Open(Some(request)) = then {
            self.request(slot, request);
        }
    }

    /// Turns somebody away, in the handler's words.
    fn show_out(&mut self, slot: u32, answer: Answer) {
        let code = ErrorCode::Rejected;
        let refusal = rejection(None, answer.reject);
        let reason = refusal.message.clone();
        self.answer_connect(slot, refusal);
        if let Some(connection) = self.connections.get_mut(slot as usize) {
            connection.known = Known::Nobody; // it has said so itself
        }
        self.close_with(slot, code.close_code(), &reason, Some(code));
    }

    /// Answers the request `connect`, if it is one that waits.
    fn answer_connect(&mut self, slot: u32, mut refusal: Refusal) {
        let connection = self.connections.get_mut(slot as usize);
        let parked = connection.and_then(|connection| connection.parked.as_mut());
        if let Some(Then::Connect(id)) = parked.map(|parked| &mut parked.then) {
            refusal.id = id.take();
            self.refuse(slot, &refusal);
        }
    }

    /// Does what the client has asked meanwhile.
    fn go_on(&mut self, slot: u32, mut held: VecDeque<Held>) {
        if held.is_empty() {
            return;
        }
        while let Some(frame) = held.pop_front() {
            let (frame, length) = frame.frame();
            self.frame(slot, frame, length);
            let Some(connection) = self.connections.get_mut(slot as usize) else {
                return;
            };
            if let Some(parked) = &mut connection.parked {
                // It has become somebody else, and waits again.
                parked.bytes = held.iter().map(|held| held.frame().1).sum();
                parked.held.append(&mut held);
            }
            if !matches!(connection.state, State::Open) {
                return;
            }
        }
        if let Some(connection) = self.connections.get_mut(slot as usize) {
            (connection.heard, connection.receiving_since) = (self.wheel.now(), None);
            self.unread.push_back(slot);
        }
    }
}
