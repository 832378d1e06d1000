//! The state machine of one connection, whatever its protocol and transport: who it is, which rooms it is in, and what
//! becomes of each request. No IO: a request goes in, an [`Outcome`] comes out.

mod bucket;
pub mod identity;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;

use crate::broker::{DeduplicationKey, Member};
use crate::config::{Access, Channel};
use crate::hub::CommandKind;
use crate::message::Message;
use crate::names::{ConnectionId, RoomName, SessionSecret, UserId};
use crate::protocol::{Command, Content, ErrorCode, Refusal, Request, RequestId};
use bucket::Bucket;

/// One connection's session.
pub struct Session {
    /// How others see the connection.
    member: Member,
    /// The publisher's name in messages; made when first needed.
    publisher: Option<UserId>,
    secret: SessionSecret,
    phase: Phase,
    /// The rooms that it is in, joins or leaves.
    pub rooms: HashMap<RoomName, Membership>,
    messages: Bucket,
    subscribes: Bucket,
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
    /// Milliseconds on a clock that never goes back.
    pub now_ms: u64,
    /// Whether the hub's queue is full.
    pub hub_full: bool,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Outcome {
    /// The hub does it, and answers with the id.
    Hub(Option<RequestId>, CommandKind),
    /// It is done, with nothing to tell.
    Done(Option<RequestId>),
    /// `connect` is done: tell who the session is.
    Identified(Option<RequestId>),
    /// The answer to `ping`.
    Pong(Option<RequestId>),
    /// It is refused.
    Refused(Refusal),
    /// The connection must close.
    Close(ErrorCode),
}

impl Session {
    /// A session that has just been opened. Where anonymous ones are not allowed it waits for `connect`.
    pub fn new(info: Option<std::sync::Arc<str>>, channel: &Channel, now_ms: u64) -> Self {
        let connection = ConnectionId::random();
        let limits = &channel.limits;
        Self {
            member: Member {
                connection,
                user: None,
                info,
            },
            publisher: None,
            secret: SessionSecret::random(),
            phase: if channel.anonymous {
                Phase::Fresh
            } else {
                Phase::AwaitingConnect
            },
            rooms: HashMap::new(),
            messages: Bucket::full(f64::from(limits.message_burst), now_ms),
            subscribes: Bucket::full(f64::from(limits.subscribes_per_second.unwrap_or(1)), now_ms),
            bytes: Bucket::full(byte_burst(limits), now_ms),
            faults: Bucket::full(f64::from(limits.message_burst), now_ms),
        }
    }

    /// The connection's id.
    pub fn connection(&self) -> ConnectionId {
        self.member.connection
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

    /// Counts a frame's bytes. The refusal stands for the whole frame.
    pub fn receive(&mut self, bytes: usize, around: &Surroundings<'_>) -> Result<(), Outcome> {
        let Some(rate) = around.channel.limits.bytes_per_second else {
            return Ok(());
        };
        let burst = byte_burst(&around.channel.limits);
        match self
            .bytes
            .take(bytes as f64, rate as f64, burst, around.now_ms)
        {
            Ok(()) => Ok(()),
            Err(wait) => Err(self.rate_limited(None, wait, around)),
        }
    }

    /// Counts a faulty frame, and gives what to answer.
    pub fn fault(&mut self, refusal: Refusal, around: &Surroundings<'_>) -> Outcome {
        match self.charge_fault(around) {
            true => Outcome::Refused(refusal),
            false => Outcome::Close(ErrorCode::RateLimited),
        }
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
        match command {
            Command::Connect {
                token,
                session,
                info,
            } => {
                if let Some(token) = token {
                    match identity::authenticate(&token, around.channel) {
                        Ok(user) => self.member.user = Some(user),
                        Err(code) => return self.refuse(id, code, around),
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
            Command::Request => match self.count_message(&id, around) {
                Ok(()) => Outcome::Refused(Refusal::new(id, ErrorCode::NoHandler)),
                Err(refused) => refused,
            },
            Command::Refresh => self.refuse(id, ErrorCode::InvalidToken, around),
            Command::Ping => Outcome::Pong(id),
        }
    }

    /// Whether the rules let the session stay in a room.
    pub fn may_stay(&mut self, room: &RoomName, channel: &Channel) -> bool {
        let user = self.publisher();
        self.allows(
            channel
                .rules
                .for_user(room.as_str(), user.as_str())
                .subscribe,
        )
    }

    fn subscribe(
        &mut self,
        id: Option<RequestId>,
        room: RoomName,
        since: Option<crate::protocol::Since>,
        presence: bool,
        around: &Surroundings<'_>,
    ) -> Outcome {
        let limits = &around.channel.limits;
        if let Some(rate) = limits.subscribes_per_second {
            let rate = f64::from(rate);
            if let Err(wait) = self.subscribes.take(1.0, rate, rate, around.now_ms) {
                return self.rate_limited(id, wait, around);
            }
        }
        if !self.may_stay(&room, around.channel) {
            return self.refuse(id, ErrorCode::Forbidden, around);
        }
        let known = self
            .rooms
            .get(&room)
            .is_some_and(|membership| !membership.leaving);
        let staying = self.rooms.values().filter(|membership| !membership.leaving);
        if !known
            && self.rooms.len() >= limits.rooms_per_connection
            && staying.count() >= limits.rooms_per_connection
        {
            return self.refuse(id, ErrorCode::TooManyRooms, around);
        }
        let pending = Membership {
            state: MembershipState::Pending,
            leaving: false,
        };
        self.rooms.entry(room.clone()).or_insert(pending).leaving = false;
        Outcome::Hub(
            id,
            CommandKind::Subscribe {
                room,
                since,
                presence,
                member: self.member.clone(),
            },
        )
    }

    fn publish(
        &mut self,
        id: Option<RequestId>,
        room: RoomName,
        content: Content,
        echo: bool,
        around: &Surroundings<'_>,
    ) -> Outcome {
        if let Err(refused) = self.count_message(&id, around) {
            return refused;
        }
        if content.data.len() > around.channel.limits.message_size {
            return self.refuse(id, ErrorCode::MessageTooLarge, around);
        }
        let user = self.publisher();
        if !self.allows(
            around
                .channel
                .rules
                .for_user(room.as_str(), user.as_str())
                .publish,
        ) {
            return self.refuse(id, ErrorCode::Forbidden, around);
        }
        if around.hub_full {
            return Outcome::Refused(Refusal::new(id, ErrorCode::Overloaded));
        }
        let key = content
            .message_id
            .as_deref()
            .map(|message_id| self.deduplication_key(&room, message_id));
        let skip = (!echo).then_some(self.connection());
        let message = self.message(room, content, user, skip);
        Outcome::Hub(id, CommandKind::Publish { message, key })
    }

    fn send(
        &mut self,
        id: Option<RequestId>,
        to: Box<str>,
        content: Content,
        around: &Surroundings<'_>,
    ) -> Outcome {
        if let Err(refused) = self.count_message(&id, around) {
            return refused;
        }
        if content.data.len() > around.channel.limits.message_size {
            return self.refuse(id, ErrorCode::MessageTooLarge, around);
        }
        if around.hub_full {
            return Outcome::Refused(Refusal::new(id, ErrorCode::Overloaded));
        }
        let user = self.publisher();
        let message = self.message(RoomName::direct(), content, user, None);
        Outcome::Hub(id, CommandKind::Send { to, message })
    }

    /// Presence and history are for those who may subscribe.
    fn reading(
        &mut self,
        id: Option<RequestId>,
        room: RoomName,
        around: &Surroundings<'_>,
        command: impl FnOnce(RoomName) -> CommandKind,
    ) -> Outcome {
        if !self.may_stay(&room, around.channel) {
            return self.refuse(id, ErrorCode::Forbidden, around);
        }
        Outcome::Hub(id, command(room))
    }

    fn message(
        &self,
        room: RoomName,
        content: Content,
        from: UserId,
        skip: Option<ConnectionId>,
    ) -> Box<Message> {
        let Content {
            event,
            data,
            message_id: _,
        } = content;
        let info = self.member.info.clone();
        Box::new(Message {
            room,
            offset: None,
            timestamp: 0,
            from,
            event,
            data,
            info,
            skip,
        })
    }

    /// The publisher is the user, else whoever has the session's secret; `~` keeps a secret from spelling a user.
    fn deduplication_key(&self, room: &RoomName, message_id: &str) -> DeduplicationKey {
        let scope = match self.user() {
            Some(user) => user.as_str().as_bytes().to_vec(),
            None => [b"~", self.secret.as_bytes().as_slice()].concat(),
        };
        DeduplicationKey::new(room, &scope, message_id)
    }

    /// The step that decides by the rules.
    fn allows(&self, access: Access) -> bool {
        match access {
            Access::Everyone => true,
            Access::Authenticated => self.user().is_some(),
            Access::Claim | Access::Nobody => false,
        }
    }

    fn count_message(
        &mut self,
        id: &Option<RequestId>,
        around: &Surroundings<'_>,
    ) -> Result<(), Outcome> {
        let limits = &around.channel.limits;
        let (rate, burst) = (
            f64::from(limits.messages_per_second),
            f64::from(limits.message_burst),
        );
        let taken = self.messages.take(1.0, rate, burst, around.now_ms);
        taken.map_err(|wait| self.rate_limited(id.clone(), wait, around))
    }

    fn rate_limited(
        &mut self,
        id: Option<RequestId>,
        wait_ms: u64,
        around: &Surroundings<'_>,
    ) -> Outcome {
        let refusal = Refusal {
            retry_after_ms: Some(wait_ms),
            ..Refusal::new(id, ErrorCode::RateLimited)
        };
        self.fault(refusal, around)
    }

    /// Refuses a request that a well-behaved client would not send often.
    fn refuse(
        &mut self,
        id: Option<RequestId>,
        code: ErrorCode,
        around: &Surroundings<'_>,
    ) -> Outcome {
        let message = match code {
            ErrorCode::MessageTooLarge => {
                let limit = around.channel.limits.message_size;
                Cow::Owned(format!("the payload is over {limit} bytes: send less"))
            }
            _ => Cow::Borrowed(code.advice()),
        };
        self.fault(
            Refusal {
                id,
                code,
                message,
                retry_after_ms: None,
            },
            around,
        )
    }

    /// Whether there is patience left.
    fn charge_fault(&mut self, around: &Surroundings<'_>) -> bool {
        let limits = &around.channel.limits;
        let (rate, burst) = (
            f64::from(limits.messages_per_second),
            f64::from(limits.message_burst),
        );
        self.faults.take(1.0, rate, burst, around.now_ms).is_ok()
    }
}

/// One second's worth, and at least the largest frame.
fn byte_burst(limits: &crate::config::Limits) -> f64 {
    limits
        .bytes_per_second
        .map_or(0.0, |rate| (rate as f64).max(limits.frame_size() as f64))
}
