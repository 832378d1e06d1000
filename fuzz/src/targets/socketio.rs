//! Socket.IO: a conversation of several frames, in which packets have attachments.

use std::sync::Arc;

use linnet_gateway::names::{ConnectionId, SessionSecret};
use linnet_gateway::protocol::{
    AckBody, Frame, FrameSink, Greeting, Heard, Memory, PROTOCOLS, Refusal, Reply, RequestId,
    SOCKET_IO,
};

use super::commands::check;

/// Ends a frame; the byte before it says what it is: text, or with 1 binary.
const END: u8 = 0xff;
/// Most bytes of a packet.
const LARGEST: usize = 4096;

/// Frames from a client that is let in everywhere.
pub fn run(data: &[u8]) {
    let protocol = PROTOCOLS[usize::from(SOCKET_IO)];
    let greeting = Greeting {
        connection_id: ConnectionId::from_bytes([7; 16]),
        session: SessionSecret::random(),
        user_id: None,
        gateway: Arc::from("fuzz"),
        ping: 25,
        timeout: 20,
        message_size: LARGEST,
        messages_per_second: 1,
        message_burst: 1,
        rooms_per_connection: 1,
        data: None,
    };
    let mut out = Written;
    let dialogue = protocol.begin(&greeting, LARGEST, &mut out);
    let mut memory = Memory {
        dialogue,
        ..Memory::default()
    };
    for part in data.split(|byte| *byte == END) {
        let frame = match part.split_last() {
            Some((1, bytes)) => Frame::Binary(bytes),
            Some((_, text)) => match std::str::from_utf8(text) {
                Ok(text) => Frame::Text(text),
                Err(_) => return,
            },
            None => Frame::Text(""),
        };
        match protocol.decode(frame, &mut memory) {
            Ok(Heard::Enter { prefix, request }) => {
                assert!(prefix.is_empty() || prefix.ends_with('/'));
                let reply = Reply::Ack {
                    id: request.id.as_ref(),
                    body: AckBody::Connected(&greeting),
                };
                protocol.encode_reply(&reply, &mut memory, 0, &mut out);
            }
            Ok(Heard::Request(request)) => {
                check(&request);
                let id = request.id.as_ref();
                let prefix = id.map_or(0, RequestId::prefix);
                assert!(prefix <= 100);
                let body = AckBody::Done;
                protocol.encode_reply(&Reply::Ack { id, body }, &mut memory, prefix, &mut out);
            }
            Ok(_) => {}
            Err(fault) if fault.fatal => {
                assert!(!fault.message.is_empty() && fault.message.len() <= 123);
                return;
            }
            Err(fault) => {
                let refusal = Refusal::from(fault);
                protocol.encode_reply(&Reply::Error(&refusal), &mut memory, 0, &mut out);
            }
        }
    }
}

/// Looks at what is written: packets of the protocol.
struct Written;

impl FrameSink for Written {
    fn text(&mut self, payload: &[u8]) {
        let text = std::str::from_utf8(payload).expect("text");
        assert!(text.starts_with('4') || text.starts_with("0{"), "{text}");
        let digits = |char: char| char.is_ascii_digit() || char == '-';
        let rest = text.trim_start_matches(digits);
        let json = match rest.strip_prefix('/') {
            Some(named) => named.split_once(',').map_or("", |(_, json)| json),
            None => rest,
        };
        let json = json.trim_start_matches(digits);
        let read = serde_json::from_str::<&serde_json::value::RawValue>(json);
        assert!(read.is_ok(), "{text}");
    }

    fn binary(&mut self, _: &[u8]) {
        panic!("nothing binary is answered");
    }
}
