//! Resuming: a position as a client writes it, against a room's recent messages.

use std::sync::Arc;

use linnet_gateway::hub::ring::Ring;
use linnet_gateway::message::{Message, Payload};
use linnet_gateway::names::{Offset, RoomName};
use linnet_gateway::protocol::{Command, Frame, Heard, Memory, PROTOCOLS};

/// The first two bytes say which messages there are, the rest is the value of `since`.
pub fn run(data: &[u8]) {
    let Some((&[count, step], since)) = data.split_first_chunk() else {
        return;
    };
    let Ok(since) = std::str::from_utf8(since) else {
        return;
    };
    let frame = format!(r#"{{"type":"subscribe","id":1,"room":"r","since":{since}}}"#);
    let heard = PROTOCOLS[0].decode(Frame::Text(&frame), &mut Memory::default());
    let Ok(Heard::Request(request)) = heard else {
        return;
    };
    let Command::Subscribe {
        since: Some(since), ..
    } = request.command
    else {
        return; // the value has closed the frame early, and what came is another request
    };
    let Ok(room) = RoomName::parse("r") else {
        return;
    };
    let mut ring = Ring::new(Offset(0), true);
    for n in 1..=u64::from(count) {
        let message = Message {
            room: room.clone(),
            offset: Some(Offset(n * (u64::from(step) + 1))),
            timestamp: n,
            from: None,
            event: None,
            data: Payload::Text("x".into()),
            info: None,
            skip: None,
            trace: None,
        };
        ring.push(Arc::new(message), 200);
    }
    let mut position = since.offset;
    for _ in 0..4 {
        let page = ring.after(position, 100, 1000);
        assert!(page.messages.len() <= 100);
        for message in &page.messages {
            assert!(
                message.offset > Some(position),
                "ascending, and after the position"
            );
            position = message.offset.unwrap_or_default();
        }
        assert!(!page.more || !page.messages.is_empty(), "a page leads on");
        if !page.more {
            break;
        }
    }
}
