//! Packets with attachments.

use super::*;

const PLACEHOLDER: &str = r#"{"_placeholder":true,"num":0}"#;

fn announce(conversation: &mut Conversation, frame: &str) {
    assert_eq!(conversation.text(frame), Ok(Heard::Part));
    assert!(conversation.memory.dialogue.as_ref().unwrap().mid_packet());
}

fn publish(data: &str) -> String {
    format!(r#"451-7["message",{{"room":"a","data":{data}}}]"#)
}

#[test]
fn the_bytes_of_a_message_are_its_data() {
    for (event, rest) in [("message", r#""room":"a""#), ("send", r#""to":"bob""#)] {
        let mut conversation = Conversation::within(&["/"]);
        let frame = format!(r#"451-7["{event}",{{{rest},"event":"file","data":{PLACEHOLDER}}}]"#);
        announce(&mut conversation, &frame);
        let heard = conversation.hear(Frame::Binary(&[1, 2])).unwrap();
        let Heard::Request(Request { id, command }) = heard else {
            panic!("{heard:?}");
        };
        assert_eq!(id, Some(answered(PacketAnswer::Ack(7))));
        let (Command::Publish { content, .. } | Command::Send { content, .. }) = command else {
            panic!("{command:?}");
        };
        assert_eq!(content.data, Payload::Binary([1, 2].into()));
        assert_eq!(content.event.as_deref(), Some("file"));
        assert!(!conversation.memory.dialogue.unwrap().mid_packet());
    }
}

#[test]
fn bytes_for_the_handler_are_an_events_only_argument() {
    let mut conversation = Conversation::within(&["/"]);
    announce(
        &mut conversation,
        &format!(r#"451-["photo",{PLACEHOLDER}]"#),
    );
    let heard = conversation.hear(Frame::Binary(&[1, 2])).unwrap();
    let Heard::Request(Request {
        command: Command::Request(question),
        ..
    }) = heard
    else {
        panic!("{heard:?}");
    };
    assert_eq!(&*question.event, "photo");
    assert_eq!(question.data, Payload::Binary([1, 2].into()));
}

#[test]
fn bytes_in_other_places_are_refused() {
    for (count, frame) in [
        (1, format!(r#"451-7["photo",{PLACEHOLDER},1]"#)),
        (1, format!(r#"451-7["photo",{{"a":{PLACEHOLDER}}}]"#)),
        (1, r#"451-7["photo"]"#.into()),
        (1, publish(r#"{"file":{"_placeholder":true,"num":0}}"#)),
        (1, publish(r#"{"_placeholder":true,"num":1}"#)),
        (1, publish(r#"{"_placeholder":false,"num":0}"#)),
        (1, publish(r#"{"_placeholder":true,"num":0,"more":1}"#)),
        (1, publish(r#"[true,0]"#)),
        (1, publish("1")),
        (1, r#"451-7["message",{"room":"a"}]"#.into()),
        (
            1,
            format!(r#"451-7["message",{{"room":"a","data":{PLACEHOLDER},"encoding":"base64"}}]"#),
        ),
        (1, format!(r#"451-7["join",{{"room":{PLACEHOLDER}}}]"#)),
        (
            1,
            format!(r#"451-7["join",{{"room":"a","data":{PLACEHOLDER}}}]"#),
        ),
        (2, publish(PLACEHOLDER).replace("451-", "452-")),
    ] {
        let mut conversation = Conversation::within(&["/"]);
        announce(&mut conversation, &frame);
        for _ in 1..count {
            assert_eq!(conversation.hear(Frame::Binary(b"x")), Ok(Heard::Part));
        }
        let fault = conversation.hear(Frame::Binary(b"x")).unwrap_err();
        assert_eq!(
            (fault.code, fault.fatal),
            (ErrorCode::BadRequest, false),
            "{frame}"
        );
        assert_eq!(fault.id, Some(answered(PacketAnswer::Ack(7))), "{frame}");
    }
}

#[test]
fn what_only_looks_like_bytes_is_data() {
    let mut conversation = Conversation::within(&["/"]);
    let frame = format!(r#"42["message",{{"room":"a","data":{PLACEHOLDER}}}]"#);
    let Command::Publish { content, .. } = conversation.request(&frame).command else {
        panic!()
    };
    assert_eq!(content.data, Payload::Json(PLACEHOLDER.into()));
}

#[test]
fn bytes_that_nobody_announced_end_the_connection() {
    Conversation::within(&["/"]).breaks(Frame::Binary(b"x"));
    Conversation::new().breaks(Frame::Binary(b"x"));
}

#[test]
fn text_among_the_bytes_of_a_packet_ends_the_connection() {
    let mut conversation = Conversation::within(&["/"]);
    announce(&mut conversation, &publish(PLACEHOLDER));
    assert_eq!(conversation.text("3"), Ok(Heard::Pulse), "a heartbeat may");
    conversation.breaks(Frame::Text(r#"42["leave","a"]"#));
}

#[test]
fn a_packet_is_bounded_with_all_its_bytes() {
    let mut conversation = Conversation::within(&["/"]);
    let frame = publish(PLACEHOLDER);
    let left = LARGEST - (frame.len() - 1);
    announce(&mut conversation, &frame);
    let heard = conversation.hear(Frame::Binary(&vec![0; left]));
    assert!(matches!(heard, Ok(Heard::Request(_))), "{heard:?}");
    announce(&mut conversation, &frame);
    let fault = conversation.hear(Frame::Binary(&vec![0; left + 1]));
    let fault = fault.unwrap_err();
    assert_eq!(
        (fault.code, fault.fatal),
        (ErrorCode::MessageTooLarge, true)
    );
}

#[test]
fn bytes_of_an_acknowledgement_are_passed_over() {
    let mut conversation = Conversation::within(&["/"]);
    announce(&mut conversation, &format!("461-7[{PLACEHOLDER}]"));
    assert_eq!(conversation.hear(Frame::Binary(b"x")), Ok(Heard::Pulse));
}

#[test]
fn a_packet_with_bytes_for_a_namespace_that_is_not_open_keeps_nothing() {
    Conversation::within(&["/"]).breaks(Frame::Text(r#"451-/chat,["message",1]"#));
}
