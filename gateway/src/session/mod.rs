//! The state machine of one connection, whatever its protocol and transport: who it is, which rooms it is in, and what
//! becomes of each request. No IO: a request goes in, an [`Outcome`] comes out. `requests` asks the rules, `data` a
//! room's schema, `rates` counts.

pub mod bucket;
pub mod data;
mod granted;
mod identity;
mod rates;
mod requests;
mod service;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::auth::{Identity, Tokens, Verdicts};
use crate::broker::Member;
use crate::config::Channel;
use crate::hub::CommandKind;
use crate::names::{ConnectionId, RoomName, SessionSecret, UserId};
use crate::protocol::{Command, ErrorCode, Question, Refusal, Request, RequestId};
use bucket::Bucket;
pub use rates::EmptyFrame;
use rates::byte_burst;

/// One connection's session.
pub struct Session {
    /// How others see the connection.
    member: Member,
    /// What its token says; absent for an anonymous one.
    identity: Option<Box<Identity>>,
    /// What it was told that it may do.
    verdicts: Verdicts,
    /// The publisher's name in messages; made when first needed.
    publisher: Option<UserId>,
    secret: SessionSecret,
    /// What tells the service apart whose session it is.
    service: Option<Box<[u8]>>,
    phase: Phase,
    /// Rooms that the channel's handler lets it be in, whatever the rules say. Few sessions have any.
    #[allow(
        clippy::box_collection,
        reason = "a set takes 48 bytes of every session"
    )]
    granted: Option<Box<HashSet<RoomName>>>,
    /// The rooms that it is in, joins or leaves.
    pub rooms: HashMap<RoomName, Membership>,
    messages: Bucket,
    subscribes: Bucket,
    questions: Bucket,
    bytes: Bucket,
    faults: Bucket,
}

/// How far a session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A `connect` with a token must come before anything else.
    AwaitingConnect,
    /// It has an identity; a `connect` may still come as the first request.
    Fresh,
    /// Requests have come.
    Open,
}

/// A room, from the side of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// What it gets.
    pub state: MembershipState,
    /// Whether it has asked to leave, and not to come back since.
    pub leaving: bool,
    /// Why the gateway has ended it, unless it has asked to come back since: what it had asked for before and the hub has
    /// not answered is refused.
    pub ended: Option<ErrorCode>,
    /// How many bytes of the room's name the client leaves out.
    pub prefix: u8,
    /// Whether the channel's handler has put it there and it was not told yet.
    pub untold: bool,
}

impl Membership {
    /// One that the hub does not know of yet.
    pub const PENDING: Self = Self {
        state: MembershipState::Pending,
        leaving: false,
        ended: None,
        prefix: 0,
        untold: false,
    };
}

/// What a connection gets of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MembershipState {
    /// Nothing yet: the hub was asked.
    Pending,
    /// Pages, when it asks for them; it must before this tick of the shard's clock.
    CatchingUp(u32),
    /// Everything; its place among the shard's members of the room.
    Live(u32),
}

/// What a session may look at while it handles a request.
pub struct Surroundings<'a> {
    /// The configuration.
    pub channel: &'a Channel,
    /// What knows whose token is whose.
    pub tokens: &'a Tokens,
    /// Milliseconds on a clock that never goes back.
    pub now_ms: u64,
    /// Whether the hub's queue is full.
    pub hub_full: bool,
    /// How long the client's address must wait before a token of it is looked at.
    pub token_wait: Option<Duration>,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Outcome {
    /// The hub does it, and answers with the id.
    Hub(Option<RequestId>, CommandKind),
    /// The channel's handler answers it.
    Handler(Option<RequestId>, Question),
    /// It is done, with nothing to tell.
    Done(Option<RequestId>),
    /// `connect` is done: tell who the session is.
    Identified(Option<RequestId>),
    /// `refresh` is done: it may be allowed less now.
    Refreshed(Option<RequestId>),
    /// The answer to `ping`.
    Pong(Option<RequestId>),
    /// It is refused.
    Refused(Refusal),
    /// It is refused for this, once too often: the connection must close.
    WornOut(ErrorCode),
}

impl Session {
    /// A session that has just been opened. Where anonymous ones are not allowed it waits for `connect`.
    pub fn new(info: Option<Arc<str>>, channel: &Channel, now_ms: u64) -> Self {
        let connection = ConnectionId::random();
        let limits = &channel.limits;
        Self {
            member: Member {
                connection,
                user: None,
                info,
            },
            identity: None,
            verdicts: Verdicts::default(),
            publisher: None,
            secret: SessionSecret::random(),
            service: None,
            phase: if channel.anonymous {
                Phase::Fresh
            } else {
                Phase::AwaitingConnect
            },
            granted: None,
            rooms: HashMap::new(),
            messages: Bucket::full(f64::from(limits.message_burst), now_ms),
            subscribes: Bucket::full(f64::from(limits.subscribes_per_second.unwrap_or(1)), now_ms),
            questions: Bucket::full(limits.questions_per_second() as f64, now_ms),
            bytes: Bucket::full(byte_burst(limits), now_ms),
            faults: Bucket::full(f64::from(limits.message_burst), now_ms),
        }
    }

    /// The connection's id.
    pub fn connection(&self) -> ConnectionId {
        self.member.connection
    }

    /// Its entry in the presence of rooms.
    pub fn member(&self) -> &Member {
        &self.member
    }

    /// The user of its token.
    pub fn user(&self) -> Option<&UserId> {
        self.member.user.as_ref()
    }

    /// The session's secret.
    pub fn secret(&self) -> SessionSecret {
        self.secret
    }

    /// Whether it has an identity, so that it may be greeted.
    pub fn is_identified(&self) -> bool {
        self.phase != Phase::AwaitingConnect
    }

    /// What the session is to rules and receivers: its user, or its own id.
    fn publisher(&mut self) -> UserId {
        let Member {
            connection, user, ..
        } = &self.member;
        let name = || {
            user.clone()
                .unwrap_or_else(|| UserId::anonymous(*connection))
        };
        self.publisher.get_or_insert_with(name).clone()
    }

    /// Handles one request.
    pub fn handle(&mut self, request: Request, around: &Surroundings<'_>) -> Outcome {
        let Request { id, command } = request;
        let first = self.phase == Phase::Fresh;
        match (&command, self.phase) {
            (Command::Connect { .. }, Phase::Open) => {
                return self.refuse(id, ErrorCode::AlreadyConnected, around);
            }
            (Command::Connect { .. }, _) => {}
            (_, Phase::AwaitingConnect) => {
                return self.refuse(id, ErrorCode::Unauthenticated, around);
            }
            _ => self.phase = Phase::Open,
        }
        if matches!(
            command,
            Command::Connect { .. }
                | Command::Enter { .. }
                | Command::Unsubscribe { .. }
                | Command::History { .. }
                | Command::Presence { .. }
                | Command::Refresh { .. }
                | Command::Ping
        ) && let Err(refused) = self.count_question(&id, around)
        {
            return refused;
        }
        match command {
            Command::Connect {
                token,
                session,
                info,
            } => {
                if let Some(token) = token {
                    if let Err(refused) = self.show(&id, &token, around) {
                        return refused;
                    }
                } else if !first {
                    return self.refuse(id, ErrorCode::Unauthenticated, around);
                }
                self.secret = session.unwrap_or(self.secret);
                self.member.info = info.or(self.member.info.take());
                self.phase = Phase::Open;
                Outcome::Identified(id)
            }
            Command::Subscribe {
                room,
                since,
                presence,
            } => self.subscribe(id, room, since, presence, around),
            Command::Unsubscribe { room } => match self.rooms.get_mut(&room) {
                Some(membership) => {
                    membership.leaving = true;
                    Outcome::Hub(
                        id,
                        CommandKind::Unsubscribe {
                            room,
                            connection: self.connection(),
                        },
                    )
                }
                None => Outcome::Done(id),
            },
            Command::Publish {
                room,
                content,
                echo,
            } => self.publish(id, room, content, echo, around),
            Command::Send { to, content } => self.send(id, to, content, around),
            Command::History { room, range, limit } => self.reading(id, room, around, |room| {
                CommandKind::History { room, range, limit }
            }),
            Command::Presence { room, after } => self.reading(id, room, around, |room| {
                CommandKind::Presence { room, after }
            }),
            Command::Request(question) => self.question(id, question, around),
            Command::Refresh { token } | Command::Enter { token: Some(token) } => {
                self.refresh(id, &token, around)
            }
            Command::Enter { token: None } => Outcome::Done(id),
            Command::Ping => Outcome::Pong(id),
        }
    }
}
