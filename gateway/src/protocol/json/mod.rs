//! `linnet.v1.json`: one flat JSON object per text frame, told apart by `type`.

mod decode;
mod encode;
mod fields;

#[cfg(test)]
mod tests;

use super::{ErrorCode, Fault, Frame, FrameSink, Handshake, Protocol, Reply, Request, Verdict};
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

    fn decode(&self, frame: Frame<'_>, _handshake: &Handshake) -> Result<Request, Fault> {
        match frame {
            Frame::Text(text) => decode::request(text),
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

    fn encode_message(&self, message: &Message, out: &mut dyn FrameSink) {
        out.text(&encode::message(message));
    }

    fn encode_reply(&self, reply: &Reply<'_>, out: &mut dyn FrameSink) -> Verdict {
        out.text(&encode::reply(reply));
        Verdict::Continue
    }
}
