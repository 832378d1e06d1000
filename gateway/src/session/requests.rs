//! What becomes of the requests that concern rooms and users: the rules are asked, and the hub gets what they allow.

use super::{Membership, Outcome, Session, Surroundings, data};
use crate::auth::Verb;
use crate::broker::DeduplicationKey;
use crate::config::{Channel, Limits};
use crate::hub::CommandKind;
use crate::message::{Message, Payload};
use crate::names::{ConnectionId, RoomName, UserId};
use crate::protocol::{Content, ErrorCode, Question, RequestId, Since};
use crate::traces::Trace;

impl Session {
    /// Whether the rules let the session stay in a room.
    pub fn may_stay(&mut self, room: &RoomName, channel: &Channel) -> bool {
        self.is_granted(room) || self.may(Verb::Subscribe, room, channel)
    }

    /// Whether one room more is too much.
    pub(super) fn is_full(&self, limits: &Limits) -> bool {
        let staying = self.rooms.values().filter(|membership| !membership.leaving);
        self.rooms.len() >= limits.rooms_per_connection
            && staying.count() >= limits.rooms_per_connection
    }

    pub(super) fn subscribe(
        &mut self,
        id: Option<RequestId>,
        room: RoomName,
        since: Option<Since>,
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
        if !known && self.is_full(limits) {
            return self.refuse(id, ErrorCode::TooManyRooms, around);
        }
        let membership = self.rooms.entry(room.clone());
        let membership = membership.or_insert(Membership::PENDING);
        (membership.leaving, membership.ended) = (false, None);
        membership.prefix = id.as_ref().map_or(0, RequestId::prefix);
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

    pub(super) fn publish(
        &mut self,
        id: Option<RequestId>,
        room: RoomName,
        content: Content,
        echo: bool,
        around: &Surroundings<'_>,
    ) -> Outcome {
        if let Err(refused) = self.may_say(&id, &content.data, around) {
            return refused;
        }
        let user = self.publisher();
        if !self.may(Verb::Publish, &room, around.channel) {
            return self.refuse(id, ErrorCode::Forbidden, around);
        }
        let rule = around.channel.rules.for_user(room.as_str(), user.as_str());
        if let Some(schema) = &rule.schema
            && let Err(fault) = data::check(schema, &content.data)
        {
            return self.fault(data::refusal(id, fault), around);
        }
        if around.hub_full {
            return self.refuse(id, ErrorCode::Overloaded, around);
        }
        let key = content
            .message_id
            .as_deref()
            .map(|message_id| self.deduplication_key(&room, message_id));
        let skip = (!echo).then_some(self.connection());
        let message = self.message(room, content, user, skip);
        Outcome::Hub(id, CommandKind::Publish { message, key })
    }

    pub(super) fn send(
        &mut self,
        id: Option<RequestId>,
        to: Box<str>,
        content: Content,
        around: &Surroundings<'_>,
    ) -> Outcome {
        if let Err(refused) = self.may_say(&id, &content.data, around) {
            return refused;
        }
        if around.hub_full {
            return self.refuse(id, ErrorCode::Overloaded, around);
        }
        let user = self.publisher();
        let message = self.message(RoomName::direct(), content, user, None);
        Outcome::Hub(id, CommandKind::Send { to, message })
    }

    /// A request for the channel's handler, if there is one that answers them.
    pub(super) fn question(
        &mut self,
        id: Option<RequestId>,
        question: Question,
        around: &Surroundings<'_>,
    ) -> Outcome {
        if let Err(refused) = self.may_say(&id, &question.data, around) {
            return refused;
        }
        let handler = around.channel.handler.as_ref();
        match handler.is_some_and(|handler| handler.request) {
            true => Outcome::Handler(id, question),
            false => self.refuse(id, ErrorCode::NoHandler, around),
        }
    }

    /// Counts a message, and bounds its size.
    fn may_say(
        &mut self,
        id: &Option<RequestId>,
        data: &Payload,
        around: &Surroundings<'_>,
    ) -> Result<(), Outcome> {
        self.count_message(id, around)?;
        match data.len() <= around.channel.limits.message_size {
            true => Ok(()),
            false => Err(self.refuse(id.clone(), ErrorCode::MessageTooLarge, around)),
        }
    }

    /// Presence and history are for those who may subscribe.
    pub(super) fn reading(
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
            caller,
        } = content;
        let info = self.member.info.clone();
        Box::new(Message {
            room,
            offset: None,
            timestamp: 0,
            from: (!self.is_service()).then_some(from),
            event,
            data,
            info,
            skip,
            trace: caller.map(|caller| Box::new(Trace::of_caller(*caller))),
        })
    }

    /// The publisher is the user, else whoever has the session's secret; `~` keeps a secret from spelling a user.
    fn deduplication_key(&self, room: &RoomName, message_id: &str) -> DeduplicationKey {
        let scope = match (&self.service, self.user()) {
            (Some(service), _) => service.to_vec(),
            (None, Some(user)) => user.as_str().as_bytes().to_vec(),
            (None, None) => [b"~", self.secret.as_bytes().as_slice()].concat(),
        };
        DeduplicationKey::new(room, &scope, message_id)
    }
}
