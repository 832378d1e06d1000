//! What the server says, as JSON objects. Field order is that of `docs/protocol.md`; what is absent is left out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::object::Object;
use crate::broker::{GapReason, Member};
use crate::message::{Message, Payload};
use crate::names::{Epoch, Offset};
use crate::protocol::{
    AckBody, ErrorCode, Greeting, HistoryPage, PresenceChange, PresenceChangeKind, PresenceMembers,
    PresencePage, Refusal, Reply, RequestId, Subscribed,
};

/// A live message.
pub fn message(message: &Message) -> String {
    let mut object = Object::new(
        "message",
        96 + message.room.as_str().len() + message.data.len(),
    );
    object.string("room", message.room.as_str());
    message_fields(&mut object, message);
    object.finish()
}

/// Anything else.
pub fn reply(reply: &Reply<'_>) -> String {
    match reply {
        Reply::Connected(greeting) => {
            let mut object = Object::new("connected", 320);
            greeting_fields(&mut object, greeting);
            object.finish()
        }
        Reply::Ack { id, body } => ack(*id, body),
        Reply::Error(refusal) => error(refusal),
        Reply::Subscribed { room, position: at } => {
            let mut object = Object::new("subscribed", 128);
            joined_fields(&mut object, room.as_str(), *at);
            object.finish()
        }
        Reply::Direct(message) => {
            let mut object = Object::new("direct", 96 + message.data.len());
            content_fields(&mut object, message);
            object.finish()
        }
        Reply::Presence { room, change } => {
            let mut object = Object::new("presence", 128);
            presence_fields(&mut object, room.as_str(), change);
            object.finish()
        }
        Reply::Gap {
            room,
            reason,
            position,
        } => {
            let mut object = Object::new("gap", 128);
            gap_fields(&mut object, room.as_str(), *reason, *position);
            object.finish()
        }
        Reply::Unsubscribed { room, code } => {
            let mut object = Object::new("unsubscribed", 128);
            unsubscribed_fields(&mut object, room.as_str(), *code);
            object.finish()
        }
        Reply::TokenExpiring { within_ms } => {
            let mut object = Object::new("token_expiring", 56);
            object.number("within_ms", *within_ms);
            object.finish()
        }
        Reply::GoAway { within_ms } => {
            let mut object = Object::new("goaway", 48);
            object.number("within_ms", *within_ms);
            object.finish()
        }
        Reply::Pong { id } => {
            let mut object = Object::new("pong", 48);
            object.id(*id);
            object.finish()
        }
    }
}

fn ack(id: Option<&RequestId>, body: &AckBody<'_>) -> String {
    let mut object = Object::new("ack", 128);
    object.id(id);
    ack_fields(&mut object, body);
    object.finish()
}

fn error(refusal: &Refusal) -> String {
    let mut object = Object::new("error", 160);
    object.id(refusal.id.as_ref());
    error_fields(&mut object, refusal);
    object.finish()
}

/// A room that the connection was put in, by the name that the receiver has for it.
pub fn joined_fields(object: &mut Object, room: &str, at: Option<(&Epoch, Offset)>) {
    object.string("room", room);
    position(object, at);
}

/// What the greeting tells.
pub fn greeting_fields(object: &mut Object, greeting: &Greeting) {
    identity(object, greeting);
    object.string("gateway", &greeting.gateway);
    object.number("ping", greeting.ping);
    object.number("timeout", greeting.timeout);
    object.raw("limits", format_args!(
        r#"{{"message_size":{},"messages_per_second":{},"message_burst":{},"rooms_per_connection":{}}}"#,
        greeting.message_size, greeting.messages_per_second, greeting.message_burst, greeting.rooms_per_connection
    ));
    payload(object, greeting.data.as_ref());
}

/// Who came and went in a room, by the name that the receiver has for it.
pub fn presence_fields(object: &mut Object, room: &str, change: &PresenceChange) {
    object.string("room", room);
    object.number("version", change.version);
    match &change.kind {
        PresenceChangeKind::Members { join, leave } => {
            for (name, list) in [("join", join), ("leave", leave)] {
                if !list.is_empty() {
                    members(object, name, list);
                }
            }
        }
        PresenceChangeKind::Count(count) => object.number("count", *count as u64),
    }
}

/// What was missed in a room.
pub fn gap_fields(
    object: &mut Object,
    room: &str,
    reason: GapReason,
    at: Option<(&Epoch, Offset)>,
) {
    object.string("room", room);
    object.string("reason", reason.as_str());
    position(object, at);
}

/// Which subscription ended, and why.
pub fn unsubscribed_fields(object: &mut Object, room: &str, code: ErrorCode) {
    object.string("room", room);
    object.string("code", code.as_str());
    object.string("message", code.advice());
}

/// What an ack says beside its id.
pub fn ack_fields(object: &mut Object, body: &AckBody<'_>) {
    match body {
        AckBody::Done => {}
        AckBody::Connected(greeting) => {
            identity(object, greeting);
            payload(object, greeting.data.as_ref());
        }
        AckBody::Subscribed(subscribed) => subscribed_fields(object, subscribed),
        AckBody::Published {
            position: at,
            timestamp,
            duplicate,
            not_deduplicated,
        } => {
            position(object, *at);
            if let Some(timestamp) = timestamp {
                object.number("timestamp", *timestamp);
            }
            if *duplicate {
                object.raw("duplicate", format_args!("true"));
            }
            if *not_deduplicated {
                object.raw("deduplicated", format_args!("false"));
            }
        }
        AckBody::Sent { connections } => object.number("connections", *connections as u64),
        AckBody::History(HistoryPage {
            epoch,
            messages,
            more,
        }) => {
            object.string("epoch", epoch.as_str());
            page(object, messages, *more);
        }
        AckBody::Presence(PresencePage {
            version,
            members: list,
        }) => {
            object.number("version", *version);
            match list {
                PresenceMembers::Page {
                    members: list,
                    more,
                } => {
                    members(object, "members", list);
                    object.raw("more", format_args!("{more}"));
                }
                PresenceMembers::Count(count) => object.number("count", *count as u64),
            }
        }
        AckBody::Answered(data) => payload(object, *data),
    }
}

/// Why a request is refused.
pub fn error_fields(object: &mut Object, refusal: &Refusal) {
    object.string("code", refusal.code.as_str());
    object.string("message", &refusal.message);
    if let Some(reason) = &refusal.reason {
        object.string("reason", reason);
    }
    if let Some(milliseconds) = refusal.retry_after_ms {
        object.number("retry_after_ms", milliseconds);
    }
    if let Some(pointer) = &refusal.pointer {
        object.string("pointer", pointer);
    }
}

fn identity(object: &mut Object, greeting: &Greeting) {
    object.raw(
        "connection_id",
        format_args!("\"{}\"", greeting.connection_id),
    );
    object.string("session", &greeting.session.reveal());
    if let Some(user) = &greeting.user_id {
        object.string("user_id", user.as_str());
    }
}

fn subscribed_fields(object: &mut Object, subscribed: &Subscribed) {
    position(
        object,
        subscribed
            .position
            .as_ref()
            .map(|(epoch, offset)| (epoch, *offset)),
    );
    if let Some(recovered) = subscribed.recovered {
        object.raw("recovered", format_args!("{recovered}"));
        if subscribed.position.is_some() {
            page(object, &subscribed.messages, subscribed.more);
        }
    }
}

fn page(object: &mut Object, messages: &[std::sync::Arc<Message>], more: bool) {
    object.list("messages", messages, |object, message| {
        message_fields(object, message)
    });
    object.raw("more", format_args!("{more}"));
}

fn position(object: &mut Object, position: Option<(&Epoch, Offset)>) {
    if let Some((epoch, offset)) = position {
        object.string("epoch", epoch.as_str());
        object.number("offset", offset.0);
    }
}

fn message_fields(object: &mut Object, message: &Message) {
    if let Some(offset) = message.offset {
        object.number("offset", offset.0);
    }
    content_fields(object, message);
    if let Some(info) = &message.info {
        object.raw("info", format_args!("{info}"));
    }
}

fn content_fields(object: &mut Object, message: &Message) {
    if let Some(from) = &message.from {
        object.string("from", from.as_str());
    }
    if let Some(event) = &message.event {
        object.string("event", event);
    }
    payload(object, Some(&message.data));
    object.number("timestamp", message.timestamp);
}

fn payload(object: &mut Object, data: Option<&Payload>) {
    match data {
        None => {}
        Some(Payload::Json(json)) => object.raw("data", format_args!("{json}")),
        Some(Payload::Text(text)) => object.string("data", text),
        Some(Payload::Binary(bytes)) => {
            object.raw("data", format_args!("\"{}\"", STANDARD.encode(bytes)));
            object.string("encoding", "base64");
        }
    }
}

fn members(object: &mut Object, name: &str, list: &[Member]) {
    object.list(name, list, |object, member| {
        object.raw("connection_id", format_args!("\"{}\"", member.connection));
        if let Some(user) = &member.user {
            object.string("user_id", user.as_str());
        }
        if let Some(info) = &member.info {
            object.raw("info", format_args!("{info}"));
        }
    });
}
