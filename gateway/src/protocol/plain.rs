//! `linnet.v1.plain`: frames are payloads. What a client sends, everyone in its room gets, untouched. No greeting and no
//! answers: what cannot be done closes the connection.

use super::{
    Command, Content, ErrorCode, Fault, Frame, FrameSink, Handshake, Heard, Memory, Protocol,
    Reply, Request, Verdict,
};
use crate::message::{Message, Payload};

/// The plain protocol.
pub struct Plain;

impl Protocol for Plain {
    fn subprotocol(&self) -> &'static str {
        "linnet.v1.plain"
    }

    fn short_name(&self) -> &'static str {
        "plain"
    }

    fn decode(&self, frame: Frame<'_>, memory: &mut Memory) -> Result<Heard, Fault> {
        let handshake = &memory.handshake;
        let Some(room) = handshake.room.clone() else {
            let message = "the handshake named no room: add ?room=".into();
            return Err(Fault {
                id: None,
                code: ErrorCode::BadRoom,
                message,
                fatal: true,
            });
        };
        let data = match frame {
            Frame::Text(text) => Payload::Text(text.into()),
            Frame::Binary(bytes) => Payload::Binary(bytes.into()),
        };
        let content = Content {
            event: None,
            data,
            message_id: None,
            caller: None,
        };
        Ok(Heard::Request(Request {
            id: None,
            command: Command::Publish {
                room,
                content,
                echo: handshake.echo,
            },
        }))
    }

    fn first_request(&self, handshake: &Handshake) -> Option<Request> {
        let room = handshake.room.clone()?;
        Some(Request {
            id: None,
            command: Command::Subscribe {
                room,
                since: None,
                presence: false,
            },
        })
    }

    fn encode_message(&self, message: &Message, _prefix: u8, out: &mut dyn FrameSink) {
        match &message.data {
            Payload::Text(text) => out.text(text.as_bytes()),
            Payload::Binary(bytes) => out.binary(bytes),
            Payload::Json(json) => match json_string(json) {
                Some(text) => out.text(text.as_bytes()),
                None => out.text(json.as_bytes()),
            },
        }
    }

    fn encode_reply(
        &self,
        reply: &Reply<'_>,
        _memory: &mut Memory,
        prefix: u8,
        out: &mut dyn FrameSink,
    ) -> Verdict {
        match reply {
            Reply::Error(refusal) => Verdict::Close(refusal.code),
            Reply::Unsubscribed { code, .. } => Verdict::Close(*code),
            Reply::Gap { .. } => Verdict::Close(ErrorCode::Gap),
            Reply::Direct(message) => {
                self.encode_message(message, prefix, out);
                Verdict::Continue
            }
            Reply::Connected(_)
            | Reply::Ack { .. }
            | Reply::Subscribed { .. }
            | Reply::Presence { .. }
            | Reply::TokenExpiring { .. }
            | Reply::GoAway { .. }
            | Reply::Pong { .. } => Verdict::Continue,
        }
    }
}

/// The string that a JSON text is, if it is one and can be written in UTF-8 (`"\ud800"` cannot).
fn json_string(json: &str) -> Option<String> {
    json.starts_with('"')
        .then(|| serde_json::from_str(json).ok())?
}

#[cfg(test)]
mod tests;
