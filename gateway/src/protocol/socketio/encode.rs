//! Messages and answers as packets.

use super::dialogue::Dialogue;
use super::packet::begin;
use crate::message::{Message, Payload};
use crate::protocol::engineio::Open;
use crate::protocol::json::encode::{
    ack_fields, error_fields, gap_fields, greeting_fields, joined_fields, presence_fields,
    unsubscribed_fields,
};
use crate::protocol::json::object::{Object, push_string};
use crate::protocol::{
    AckBody, ErrorCode, FrameSink, Greeting, PacketAnswer, PacketId, Refusal, Reply, RequestId,
};

/// The event of a message that names none.
const MESSAGE: &str = "message";
/// The event of a message to one user.
const DIRECT: &str = "direct";
/// What stands for the bytes of a message.
const PLACEHOLDER: &str = r#"{"_placeholder":true,"num":0}"#;

/// Names that a client of the reference implementation closes its connection for, if an event has one.
pub(super) fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "connect"
            | "connect_error"
            | "disconnect"
            | "disconnecting"
            | "newListener"
            | "removeListener"
    )
}

/// Names of events that the gateway itself sends: a message must not pass for one.
fn is_ours(name: &str) -> bool {
    matches!(
        name,
        "connected"
            | "direct"
            | "error"
            | "gap"
            | "presence"
            | "subscribed"
            | "token_expiring"
            | "unsubscribed"
    )
}

/// The first packet of a session.
pub(super) fn open(greeting: &Greeting) -> String {
    Open::of(greeting, &greeting.connection_id.to_string()).packet()
}

/// A live message, where its room is seen without the first `prefix` bytes of its name.
pub(super) fn message(message: &Message, prefix: usize, out: &mut dyn FrameSink) {
    let (namespace, room) = seen(message.room.as_str(), prefix);
    let event = own_event(message).unwrap_or(MESSAGE);
    content(event, message, &namespace, Some(room), out);
}

/// The name that a message gives itself, if it may go by it.
fn own_event(message: &Message) -> Option<&str> {
    let event = message.event.as_deref();
    event.filter(|event| !is_reserved(event) && !is_ours(event))
}

/// The namespace that a room is seen in, and what it is called there.
fn seen(room: &str, prefix: usize) -> (String, &str) {
    match room.split_at_checked(prefix) {
        Some((prefix, room)) if !prefix.is_empty() => {
            (format!("/{}", &prefix[..prefix.len() - 1]), room) // it ends with a slash
        }
        _ => ("/".into(), room),
    }
}

/// A message as an event: its data, and behind it what else is known of it.
fn content(
    event: &str,
    message: &Message,
    namespace: &str,
    room: Option<&str>,
    out: &mut dyn FrameSink,
) {
    let mut text = String::with_capacity(128 + message.data.len());
    let bytes = match &message.data {
        Payload::Binary(bytes) => Some(bytes),
        _ => None,
    };
    let digit = if bytes.is_some() { "51-" } else { "2" };
    begin(digit, namespace, None, &mut text);
    text.push('[');
    push_string(&mut text, event);
    text.push(',');
    argument(&message.data, &mut text);
    text.push(',');
    let mut about = Object::behind(text);
    if let Some(room) = room {
        about.string("room", room);
    }
    if let Some(offset) = message.offset {
        about.number("offset", offset.0);
    }
    if let Some(from) = &message.from {
        about.string("from", from.as_str());
    }
    if let Some(name) = message.event.as_deref().filter(|name| *name != event) {
        about.string("event", name);
    }
    about.number("timestamp", message.timestamp);
    if let Some(info) = &message.info
        && !(bytes.is_some() && may_stand_for_bytes(info))
    {
        about.raw("info", format_args!("{info}"));
    }
    let mut text = about.finish();
    text.push(']');
    out.text(text.as_bytes());
    if let Some(bytes) = bytes {
        out.binary(bytes);
    }
}

/// Whether a client could take a part of this JSON for bytes of the packet that it stands in. It would get others, or
/// close its connection over a number that there is not: what a publisher says of itself must not do that to everyone.
fn may_stand_for_bytes(json: &str) -> bool {
    json.contains("_placeholder") || json.contains('\\')
}

/// Anything else that is told to one connection.
pub(super) fn reply(
    reply: &Reply<'_>,
    dialogue: &mut Dialogue,
    prefix: usize,
    out: &mut dyn FrameSink,
) {
    match reply {
        Reply::Ack { id, body } => ack(*id, body, dialogue, out),
        Reply::Error(refusal) => error(refusal, dialogue, out),
        Reply::Direct(message) => {
            // What comes from a service goes by its own name; what comes from anybody else says that it is no message of
            // a room.
            let event = match message.from {
                None => own_event(message).unwrap_or(DIRECT),
                Some(_) => DIRECT,
            };
            if let Some(main) = dialogue.main() {
                content(event, message, main, None, out);
            }
        }
        Reply::Subscribed { room, position } => {
            let (namespace, room) = seen(room.as_str(), prefix);
            event("subscribed", &namespace, out, |object| {
                joined_fields(object, room, *position);
            });
        }
        Reply::Presence { room, change } => {
            let (namespace, room) = seen(room.as_str(), prefix);
            event("presence", &namespace, out, |object| {
                presence_fields(object, room, change);
            });
        }
        Reply::Gap {
            room,
            reason,
            position,
        } => {
            let (namespace, room) = seen(room.as_str(), prefix);
            event("gap", &namespace, out, |object| {
                gap_fields(object, room, *reason, *position);
            });
        }
        Reply::Unsubscribed { room, code } => {
            let (namespace, room) = seen(room.as_str(), prefix);
            event("unsubscribed", &namespace, out, |object| {
                unsubscribed_fields(object, room, *code);
            });
        }
        Reply::TokenExpiring { within_ms } => {
            if let Some(main) = dialogue.main() {
                event("token_expiring", main, out, |object| {
                    object.number("within_ms", *within_ms);
                });
            }
        }
        // The greeting comes with the answer to the first `connect`. Who moves to another gateway learns of it by the
        // close: its client connects again by itself. A client pings nobody.
        Reply::Connected(_) | Reply::GoAway { .. } | Reply::Pong { .. } => {}
    }
}

fn ack(
    id: Option<&RequestId>,
    body: &AckBody<'_>,
    dialogue: &mut Dialogue,
    out: &mut dyn FrameSink,
) {
    let Some(RequestId::Packet(PacketId {
        namespace, answer, ..
    })) = id
    else {
        return;
    };
    match answer {
        PacketAnswer::Connect => {
            dialogue.entered(*namespace);
            let (name, sid) = (dialogue.name(*namespace), dialogue.connection());
            packet("0", name, None, out, |object| {
                object.string("sid", &sid.to_string());
            });
            if let AckBody::Connected(greeting) = body {
                event("connected", name, out, |object| {
                    greeting_fields(object, greeting);
                });
            }
        }
        PacketAnswer::Ack(id) if let AckBody::Answered(data) = body => {
            answered(dialogue.name(*namespace), *id, *data, out);
        }
        PacketAnswer::Ack(id) => {
            array(
                "3",
                dialogue.name(*namespace),
                Some(*id),
                None,
                out,
                |object| {
                    ack_fields(object, body);
                },
            );
        }
        PacketAnswer::None => {}
    }
}

/// The handler's answer: the acknowledgement's only argument, or none.
fn answered(namespace: &str, id: u64, data: Option<&Payload>, out: &mut dyn FrameSink) {
    let bytes = match data {
        Some(Payload::Binary(bytes)) => Some(bytes),
        _ => None,
    };
    let mut text = String::with_capacity(32 + data.map_or(0, Payload::len));
    let digit = if bytes.is_some() { "61-" } else { "3" };
    begin(digit, namespace, Some(id), &mut text);
    text.push('[');
    match data {
        None => {}
        Some(data) => argument(data, &mut text),
    }
    text.push(']');
    out.text(text.as_bytes());
    if let Some(bytes) = bytes {
        out.binary(bytes);
    }
}

/// Data as an argument; bytes follow in a frame of their own.
fn argument(data: &Payload, text: &mut String) {
    match data {
        Payload::Json(json) => text.push_str(json),
        Payload::Text(data) => push_string(text, data),
        Payload::Binary(_) => text.push_str(PLACEHOLDER),
    }
}

fn error(refusal: &Refusal, dialogue: &Dialogue, out: &mut dyn FrameSink) {
    let Some(RequestId::Packet(PacketId {
        namespace, answer, ..
    })) = refusal.id
    else {
        if let Some(main) = dialogue.main() {
            event("error", main, out, |object| error_fields(object, refusal));
        }
        return;
    };
    let name = dialogue.name(namespace);
    match answer {
        PacketAnswer::Connect => packet("4", name, None, out, |object| {
            object.string("message", &refusal.message);
            object.object("data", |data| error_fields(data, refusal));
        }),
        PacketAnswer::Ack(id) => array("3", name, Some(id), None, out, |object| {
            object.object("error", |error| error_fields(error, refusal));
        }),
        PacketAnswer::None => event("error", name, out, |object| error_fields(object, refusal)),
    }
}

/// What comes before the end of a connection that must not come back by itself: clients do so unless they are told that
/// the server has disconnected them.
pub(super) fn farewell(code: ErrorCode, dialogue: &Dialogue, out: &mut dyn FrameSink) {
    if !(4000..4100).contains(&code.close_code()) {
        return;
    }
    for name in dialogue.namespaces() {
        event("error", name, out, |object| {
            object.string("code", code.as_str());
            object.string("message", code.advice());
        });
        let mut text = String::new();
        begin("1", name, None, &mut text);
        out.text(text.as_bytes());
    }
}

/// An event with one argument, an object.
fn event(name: &str, namespace: &str, out: &mut dyn FrameSink, fields: impl FnOnce(&mut Object)) {
    array("2", namespace, None, Some(name), out, fields);
}

/// A packet that carries an array: a name if there is one, and an object.
fn array(
    digit: &str,
    namespace: &str,
    id: Option<u64>,
    name: Option<&str>,
    out: &mut dyn FrameSink,
    fields: impl FnOnce(&mut Object),
) {
    let mut text = String::with_capacity(192);
    begin(digit, namespace, id, &mut text);
    text.push('[');
    if let Some(name) = name {
        push_string(&mut text, name);
        text.push(',');
    }
    let mut object = Object::behind(text);
    fields(&mut object);
    let mut text = object.finish();
    text.push(']');
    out.text(text.as_bytes());
}

/// A packet that carries an object.
fn packet(
    digit: &str,
    namespace: &str,
    id: Option<u64>,
    out: &mut dyn FrameSink,
    fields: impl FnOnce(&mut Object),
) {
    let mut text = String::with_capacity(128);
    begin(digit, namespace, id, &mut text);
    let mut object = Object::behind(text);
    fields(&mut object);
    out.text(object.finish().as_bytes());
}
