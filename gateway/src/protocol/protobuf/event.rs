//! What a session is told, as messages of a `Converse` stream.

use linnet_proto::v1::converse_response::Event;
use linnet_proto::v1::{self, ConverseResponse, answer};

use super::encode::{history, member, message, presence};
use crate::message::{Message, Payload};
use crate::names::{Epoch, Offset, RoomName};
use crate::protocol::{
    AckBody, ErrorCode, Greeting, PresenceChange, PresenceChangeKind, Refusal, Reply, RequestId,
    Subscribed,
};

/// A live message.
#[must_use]
pub fn live(live: &Message) -> ConverseResponse {
    of(None, Event::Message(message(live)))
}

/// Anything else.
#[must_use]
pub fn reply(reply: &Reply<'_>) -> ConverseResponse {
    match reply {
        Reply::Connected(greeting) => of(None, Event::Connected(connected(greeting))),
        Reply::Ack { id, body } => of(*id, ack(body)),
        Reply::Error(refusal) => of(refusal.id.as_ref(), Event::Error(error(refusal))),
        Reply::Direct(direct) => of(None, Event::Direct(message(direct))),
        Reply::Subscribed { room, position } => of(
            None,
            Event::Entered(v1::Entered {
                room: room.to_string(),
                position: position.map(self::position),
            }),
        ),
        Reply::Presence { room, change } => of(None, Event::PresenceChange(changed(room, change))),
        Reply::Gap {
            room,
            reason,
            position,
        } => of(
            None,
            Event::Gap(v1::Gap {
                room: room.to_string(),
                reason: reason.as_str().to_owned(),
                position: position.map(self::position),
            }),
        ),
        Reply::Unsubscribed { room, code } => of(
            None,
            Event::Unsubscribed(v1::Unsubscribed {
                room: room.to_string(),
                error: Some(error_of(*code)),
            }),
        ),
        Reply::TokenExpiring { within_ms } => {
            let within_ms = *within_ms;
            of(None, Event::TokenExpiring(v1::TokenExpiring { within_ms }))
        }
        Reply::GoAway { within_ms } => {
            let within_ms = *within_ms;
            of(None, Event::GoAway(v1::GoAway { within_ms }))
        }
        Reply::Pong { id } => of(*id, Event::Pong(v1::Pong {})),
    }
}

fn of(id: Option<&RequestId>, event: Event) -> ConverseResponse {
    let id = match id {
        Some(RequestId::Number(number)) => Some(*number),
        _ => None, // a stream has no others
    };
    let event = Some(event);
    ConverseResponse { id, event }
}

fn ack(body: &AckBody<'_>) -> Event {
    match body {
        AckBody::Done => Event::Done(v1::Done {}),
        AckBody::Connected(greeting) => Event::Connected(connected(greeting)),
        AckBody::Subscribed(subscribed) => Event::Subscribed(joined(subscribed)),
        AckBody::Published {
            position,
            timestamp,
            duplicate,
            not_deduplicated,
        } => Event::Published(v1::PublishResponse {
            position: position.map(self::position),
            timestamp: *timestamp,
            duplicate: *duplicate,
            not_deduplicated: *not_deduplicated,
        }),
        AckBody::Sent { connections } => Event::Sent(v1::Sent {
            connections: *connections as u64,
        }),
        AckBody::History(page) => Event::History(history(page)),
        AckBody::Presence(page) => Event::Presence(presence(page)),
        AckBody::Answered(data) => Event::Answer(v1::Answer {
            data: data.map(|data| match data {
                Payload::Json(text) => answer::Data::Json(text.to_string()),
                Payload::Text(text) => answer::Data::Json(super::encode::quoted(text)),
                Payload::Binary(bytes) => answer::Data::Binary(bytes.to_vec()),
            }),
        }),
    }
}

fn connected(greeting: &Greeting) -> v1::Connected {
    let user = greeting.user_id.as_ref();
    v1::Connected {
        connection_id: greeting.connection_id.to_string(),
        user_id: user.map(|user| user.as_str().to_owned()),
        gateway: greeting.gateway.to_string(),
    }
}

fn joined(subscribed: &Subscribed) -> v1::Joined {
    let position = subscribed.position.as_ref();
    let messages = subscribed.messages.iter();
    v1::Joined {
        position: position.map(|(epoch, offset)| self::position((epoch, *offset))),
        recovered: subscribed.recovered,
        messages: messages.map(|kept| message(kept)).collect(),
        more: subscribed.more,
    }
}

fn changed(room: &RoomName, change: &PresenceChange) -> v1::PresenceChange {
    let mut told = v1::PresenceChange {
        room: room.to_string(),
        version: change.version,
        ..v1::PresenceChange::default()
    };
    match &change.kind {
        PresenceChangeKind::Members { join, leave } => {
            told.join = join.iter().map(member).collect();
            told.leave = leave.iter().map(member).collect();
        }
        PresenceChangeKind::Count(count) => told.count = Some(*count as u64),
    }
    told
}

fn error(refusal: &Refusal) -> v1::Error {
    let pointer = refusal.pointer.as_deref();
    v1::Error {
        code: refusal.code.as_str().to_owned(),
        message: refusal.message.to_string(),
        retry_after_ms: refusal.retry_after_ms,
        field: pointer.map(|pointer| pointer.trim_start_matches('/').to_owned()),
    }
}

fn error_of(code: ErrorCode) -> v1::Error {
    v1::Error {
        code: code.as_str().to_owned(),
        message: code.advice().to_owned(),
        ..v1::Error::default()
    }
}

fn position((epoch, offset): (&Epoch, Offset)) -> v1::Position {
    v1::Position {
        epoch: epoch.as_str().to_owned(),
        offset: offset.0,
    }
}
