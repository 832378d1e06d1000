//! Requests of both protocols.

use linnet_gateway::message::Payload;
use linnet_gateway::names::RoomName;
use linnet_gateway::protocol::{
    Command, Content, Frame, Handshake, Heard, Memory, PROTOCOLS, Request,
};

/// The bytes as one frame, text where they are that, of each protocol.
pub fn run(data: &[u8]) {
    let frames = [
        std::str::from_utf8(data).ok().map(Frame::Text),
        Some(Frame::Binary(data)),
    ];
    for protocol in PROTOCOLS {
        for frame in frames.into_iter().flatten() {
            let mut memory = Memory {
                handshake: Handshake {
                    room: RoomName::parse("room").ok(),
                    echo: true,
                },
                dialogue: None,
            };
            match protocol.decode(frame, &mut memory) {
                Ok(Heard::Request(request)) => check(&request),
                Ok(_) => {}
                Err(fault) => assert!(!fault.message.is_empty()),
            }
        }
    }
}

/// What holds for a request, whatever it came from.
pub fn check(request: &Request) {
    let content = match &request.command {
        Command::Publish { room, content, .. } => {
            assert!((1..=256).contains(&room.as_str().len()));
            content
        }
        Command::Send { content, .. } => content,
        _ => return,
    };
    let Content {
        event,
        data,
        message_id,
        caller: _,
    } = content;
    assert!(event.as_deref().is_none_or(|event| event.len() <= 64));
    assert!(message_id.as_deref().is_none_or(|id| id.len() <= 64));
    if let Payload::Json(text) = data {
        // What is passed on to others without a second look is JSON. A number may be beyond what this reader holds.
        if let Err(error) = serde_json::from_str::<&serde_json::value::RawValue>(text) {
            panic!("{error}: {text}");
        }
    }
}
