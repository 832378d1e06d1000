//! The plain protocol in Engine.IO: a message's text or bytes are a payload. So plain clients have long-polling too, and
//! pings that they can see.

use super::{Data, Kind, Open, Packet};
use crate::message::Message;
use crate::protocol::plain::Plain;
use crate::protocol::socketio::Dialogue;
use crate::protocol::{
    ErrorCode, Fault, Frame, FrameSink, Greeting, Handshake, Heard, Memory, Protocol, Reply,
    Request, Verdict,
};

/// The plain protocol in packets.
pub struct EngineIo;

/// The room of a client that names none.
const ROOM: &str = "lobby";

impl Protocol for EngineIo {
    fn subprotocol(&self) -> &'static str {
        "engine.io.v4"
    }

    fn short_name(&self) -> &'static str {
        "engineio"
    }

    fn default_room(&self) -> Option<&'static str> {
        Some(ROOM)
    }

    fn pings(&self) -> bool {
        true
    }

    fn begin(
        &self,
        greeting: &Greeting,
        _largest: usize,
        out: &mut dyn FrameSink,
    ) -> Option<Dialogue> {
        let sid = greeting.connection_id.to_string();
        out.text(Open::of(greeting, &sid).packet().as_bytes());
        None
    }

    fn decode(&self, frame: Frame<'_>, memory: &mut Memory) -> Result<Heard, Fault> {
        let broken = |message: String| Fault {
            id: None,
            code: ErrorCode::BadRequest,
            message: message.into(),
            fatal: true,
        };
        let packet = Packet::from_frame(frame).map_err(|error| broken(error.to_string()))?;
        match (packet.kind, packet.data) {
            (Kind::Message, Data::Text(text)) => Plain.decode(Frame::Text(text), memory),
            (Kind::Message, Data::Binary(bytes)) => Plain.decode(Frame::Binary(bytes), memory),
            (Kind::Pong, Data::Text("")) => Ok(Heard::Pulse),
            (Kind::Close, Data::Text("")) => Ok(Heard::End),
            _ => Err(broken("a client sends no such Engine.IO packet".into())),
        }
    }

    fn first_request(&self, handshake: &Handshake) -> Option<Request> {
        Plain.first_request(handshake)
    }

    fn encode_message(&self, message: &Message, prefix: u8, out: &mut dyn FrameSink) {
        Plain.encode_message(message, prefix, &mut Messages(out));
    }

    fn encode_reply(
        &self,
        reply: &Reply<'_>,
        memory: &mut Memory,
        prefix: u8,
        out: &mut dyn FrameSink,
    ) -> Verdict {
        Plain.encode_reply(reply, memory, prefix, &mut Messages(out))
    }
}

/// Makes payloads messages.
struct Messages<'a>(&'a mut dyn FrameSink);

impl FrameSink for Messages<'_> {
    fn text(&mut self, payload: &[u8]) {
        let mut packet = Vec::with_capacity(1 + payload.len());
        packet.push(Kind::Message.digit());
        packet.extend_from_slice(payload);
        self.0.text(&packet);
    }

    fn binary(&mut self, payload: &[u8]) {
        self.0.binary(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Payload;
    use crate::names::RoomName;
    use crate::protocol::{Command, Content};

    fn memory() -> Memory {
        Memory {
            handshake: Handshake {
                room: RoomName::parse("a").ok(),
                echo: true,
            },
            dialogue: None,
        }
    }

    fn hear(frame: Frame<'_>) -> Result<Heard, Fault> {
        EngineIo.decode(frame, &mut memory())
    }

    #[test]
    fn a_message_is_a_payload() {
        for (frame, payload) in [
            (Frame::Text("4hé"), Payload::Text("hé".into())),
            (Frame::Text("4"), Payload::Text("".into())),
            (Frame::Binary(b"4x"), Payload::Binary(b"4x"[..].into())),
        ] {
            let Ok(Heard::Request(Request { command, .. })) = hear(frame) else {
                panic!("no request: {frame:?}")
            };
            let Command::Publish {
                content: Content { data, .. },
                ..
            } = command
            else {
                panic!("no publish: {frame:?}")
            };
            assert_eq!(data, payload);
        }
        assert!(matches!(hear(Frame::Text("3")), Ok(Heard::Pulse)));
        assert!(matches!(hear(Frame::Text("1")), Ok(Heard::End)));
    }

    #[test]
    fn what_no_client_says_breaks_it() {
        for text in ["", "0", "2", "2probe", "5", "6", "7", "x", "1x"] {
            let fault = hear(Frame::Text(text)).unwrap_err();
            assert!(fault.fatal, "{text}");
        }
    }
}
