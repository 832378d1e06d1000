//! What the server says, as JSON objects. Field order is that of `docs/protocol.md`; what is absent is left out.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::broker::Member;
use crate::message::{Message, Payload};
use crate::names::{Epoch, Offset};
use crate::protocol::{
    AckBody, Greeting, HistoryPage, PresenceChangeKind, PresenceMembers, PresencePage, Refusal,
    Reply, RequestId, Subscribed,
};

/// A live message.
pub fn message(message: &Message) -> Vec<u8> {
    let mut object = Object::new(
        "message",
        96 + message.room.as_str().len() + message.data.len(),
    );
    object.string("room", message.room.as_str());
    message_fields(&mut object, message);
    object.finish()
}

/// Anything else.
pub fn reply(reply: &Reply<'_>) -> Vec<u8> {
    match reply {
        Reply::Connected(greeting) => {
            let mut object = Object::new("connected", 320);
            identity(&mut object, greeting);
            object.string("gateway", &greeting.gateway);
            object.number("ping", greeting.ping);
            object.number("timeout", greeting.timeout);
            object.raw("limits", format_args!(
                r#"{{"message_size":{},"messages_per_second":{},"message_burst":{},"rooms_per_connection":{}}}"#,
                greeting.message_size, greeting.messages_per_second, greeting.message_burst, greeting.rooms_per_connection
            ));
            object.finish()
        }
        Reply::Ack { id, body } => ack(*id, body),
        Reply::Error(refusal) => error(refusal),
        Reply::Direct(message) => {
            let mut object = Object::new("direct", 96 + message.data.len());
            content_fields(&mut object, message);
            object.finish()
        }
        Reply::Presence { room, change } => {
            let mut object = Object::new("presence", 128);
            object.string("room", room.as_str());
            object.number("version", change.version);
            match &change.kind {
                PresenceChangeKind::Members { join, leave } => {
                    for (name, list) in [("join", join), ("leave", leave)] {
                        if !list.is_empty() {
                            members(&mut object, name, list);
                        }
                    }
                }
                PresenceChangeKind::Count(count) => object.number("count", *count as u64),
            }
            object.finish()
        }
        Reply::Gap {
            room,
            reason,
            position: at,
        } => {
            let mut object = Object::new("gap", 128);
            object.string("room", room.as_str());
            object.string("reason", reason.as_str());
            position(
                &mut object,
                at.as_ref().map(|(epoch, offset)| (*epoch, *offset)),
            );
            object.finish()
        }
        Reply::Unsubscribed { room, code } => {
            let mut object = Object::new("unsubscribed", 128);
            object.string("room", room.as_str());
            object.string("code", code.as_str());
            object.string("message", code.advice());
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

fn ack(id: Option<&RequestId>, body: &AckBody<'_>) -> Vec<u8> {
    let mut object = Object::new("ack", 128);
    object.id(id);
    match body {
        AckBody::Done => {}
        AckBody::Connected(greeting) => identity(&mut object, greeting),
        AckBody::Subscribed(subscribed) => subscribed_fields(&mut object, subscribed),
        AckBody::Published {
            position: at,
            timestamp,
            duplicate,
            not_deduplicated,
        } => {
            position(&mut object, *at);
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
            page(&mut object, messages, *more);
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
                    members(&mut object, "members", list);
                    object.raw("more", format_args!("{more}"));
                }
                PresenceMembers::Count(count) => object.number("count", *count as u64),
            }
        }
    }
    object.finish()
}

fn error(refusal: &Refusal) -> Vec<u8> {
    let mut object = Object::new("error", 160);
    object.id(refusal.id.as_ref());
    object.string("code", refusal.code.as_str());
    object.string("message", &refusal.message);
    if let Some(milliseconds) = refusal.retry_after_ms {
        object.number("retry_after_ms", milliseconds);
    }
    if let Some(pointer) = &refusal.pointer {
        object.string("pointer", pointer);
    }
    object.finish()
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
    match &message.data {
        Payload::Json(json) => object.raw("data", format_args!("{json}")),
        Payload::Text(text) => object.string("data", text),
        Payload::Binary(bytes) => {
            object.raw("data", format_args!("\"{}\"", STANDARD.encode(bytes)));
            object.string("encoding", "base64");
        }
    }
    object.number("timestamp", message.timestamp);
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

/// A JSON object that is being written.
struct Object {
    text: String,
    first: bool,
}

impl Object {
    fn new(kind: &str, capacity: usize) -> Self {
        let mut object = Self {
            text: String::with_capacity(capacity),
            first: true,
        };
        object.text.push('{');
        object.string("type", kind);
        object
    }

    fn key(&mut self, name: &str) {
        if !std::mem::take(&mut self.first) {
            self.text.push(',');
        }
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
    }

    fn number(&mut self, name: &str, value: u64) {
        self.raw(name, format_args!("{value}"));
    }

    /// A value that is JSON text already.
    fn raw(&mut self, name: &str, json: std::fmt::Arguments<'_>) {
        self.key(name);
        let _ = self.text.write_fmt(json); // writing to a String cannot fail
    }

    fn string(&mut self, name: &str, value: &str) {
        self.key(name);
        push_string(&mut self.text, value);
    }

    fn id(&mut self, id: Option<&RequestId>) {
        match id {
            None => {}
            Some(RequestId::Number(number)) => self.number("id", *number),
            Some(RequestId::Text(text)) => self.string("id", text),
        }
    }

    fn list<T>(&mut self, name: &str, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.key(name);
        self.text.push('[');
        for (index, item) in items.iter().enumerate() {
            self.text.push_str(if index > 0 { ",{" } else { "{" });
            self.first = true;
            write(self, item);
            self.text.push('}');
        }
        self.text.push(']');
        self.first = false;
    }

    fn finish(mut self) -> Vec<u8> {
        self.text.push('}');
        self.text.into_bytes()
    }
}

/// Appends a JSON string (RFC 8259 §7).
fn push_string(out: &mut String, value: &str) {
    out.push('"');
    let mut rest = value;
    while let Some(at) = rest
        .bytes()
        .position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            control => {
                let _ = write!(out, "\\u{control:04x}"); // writing to a String cannot fail
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}
