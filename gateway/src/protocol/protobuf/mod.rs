//! The messages of `linnet.v1` ([`linnet_proto`]): what services ask read, and what they are told written. No IO.
//!
//! [`Protobuf`] is the client protocol of a `Converse` stream: a frame is a message. It has no name that a handshake could
//! ask for.

pub mod command;
pub mod decode;
pub mod encode;
pub mod event;

use linnet_proto::v1::ConverseRequest;
use prost::Message as _;

use super::{
    ErrorCode, Fault, Frame, FrameSink, Handshake, Heard, Memory, Protocol, Reply, Request,
    RequestId, Verdict,
};
use crate::message::Message;

/// The protocol of a stream.
pub struct Protobuf;

impl Protocol for Protobuf {
    fn subprotocol(&self) -> &'static str {
        "linnet.v1.protobuf"
    }

    fn short_name(&self) -> &'static str {
        "protobuf"
    }

    fn decode(&self, frame: Frame<'_>, _memory: &mut Memory) -> Result<Heard, Fault> {
        let bytes = match frame {
            Frame::Binary(bytes) => bytes,
            Frame::Text(text) => text.as_bytes(),
        };
        let request = ConverseRequest::decode(bytes).map_err(|error| Fault {
            id: None,
            code: ErrorCode::BadRequest,
            message: format!("the message can't be read: {error}").into(),
            fatal: false,
        })?;
        let id = request.id.map(RequestId::Number);
        match command::command(request) {
            Ok(command) => Ok(Heard::Request(Request { id, command })),
            Err(wrong) => Err(Fault {
                id,
                code: wrong.code,
                message: wrong.message,
                fatal: false,
            }),
        }
    }

    fn first_request(&self, _handshake: &Handshake) -> Option<Request> {
        None
    }

    fn encode_message(&self, message: &Message, _prefix: u8, out: &mut dyn FrameSink) {
        out.binary(&event::live(message).encode_to_vec());
    }

    fn encode_reply(
        &self,
        reply: &Reply<'_>,
        _memory: &mut Memory,
        _prefix: u8,
        out: &mut dyn FrameSink,
    ) -> Verdict {
        out.binary(&event::reply(reply).encode_to_vec());
        Verdict::Continue
    }
}

#[cfg(test)]
mod tests;
