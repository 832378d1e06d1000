//! `linnet.v1.json`: one flat JSON object per text frame, told apart by `type`.

pub(super) mod decode;
pub(super) mod encode;
pub(super) mod fields;
pub(super) mod object;
pub mod service;

#[cfg(test)]
mod tests;

pub use decode::{MAX_DEPTH, MAX_NAME, depth};

use super::{
    ErrorCode, Fault, Frame, FrameSink, Handshake, Heard, Memory, Protocol, Reply, Request, Verdict,
};
use crate::message::Message;

/// The JSON protocol.
pub struct Json;

impl Protocol for Json {
    fn subprotocol(&self) -> &'static str {
        "linnet.v1.json"
    }

    fn short_name(&self) -> &'static str {
        "json"
    }

    fn decode(&self, frame: Frame<'_>, _memory: &mut Memory) -> Result<Heard, Fault> {
        match frame {
            Frame::Text(text) => decode::request(text).map(Heard::Request),
            Frame::Binary(_) => Err(Fault {
                id: None,
                code: ErrorCode::BadRequest,
                message: "this protocol has text frames only: send binary as base64".into(),
                fatal: true,
            }),
        }
    }

    fn first_request(&self, _handshake: &Handshake) -> Option<Request> {
        None
    }

    fn encode_message(&self, message: &Message, _prefix: u8, out: &mut dyn FrameSink) {
        out.text(encode::message(message).as_bytes());
    }

    fn encode_reply(
        &self,
        reply: &Reply<'_>,
        _memory: &mut Memory,
        _prefix: u8,
        out: &mut dyn FrameSink,
    ) -> Verdict {
        out.text(encode::reply(reply).as_bytes());
        Verdict::Continue
    }
}
