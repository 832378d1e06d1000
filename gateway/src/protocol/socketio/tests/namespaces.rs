//! Opening and leaving namespaces, and Engine.IO around it.

use super::*;

fn entered(heard: Result<Heard, Fault>) -> (String, Command) {
    match heard {
        Ok(Heard::Enter { prefix, request }) => (prefix.into(), request.command),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_open_packet_comes_first() {
    let conversation = Conversation::new();
    let [Written::Text(open)] = conversation.opened.as_slice() else {
        panic!("{:?}", conversation.opened);
    };
    let open = json(open, "0");
    assert_eq!(
        open,
        serde_json::json!({
            "sid": conversation.greeting.connection_id.to_string(), "upgrades": [],
            "pingInterval": 25_000, "pingTimeout": 20_000, "maxPayload": 65_536
        })
    );
}

#[test]
fn a_namespace_is_a_prefix_of_rooms() {
    for (frame, prefix) in [
        ("40", ""),
        ("40/,", ""),
        ("40/chat,", "chat/"),
        ("40/chat", "chat/"),
        ("40/a/b,", "a/b/"),
    ] {
        let (entered, command) = entered(Conversation::new().text(frame));
        assert_eq!(entered, prefix, "{frame}");
        assert!(matches!(command, Command::Connect { token: None, .. }));
    }
    let mut conversation = Conversation::within(&["/chat"]);
    let Request { id, command } = conversation.request(r#"42/chat,5["join","lobby"]"#);
    assert_eq!(id.unwrap().prefix(), 5);
    let Command::Subscribe { room: joined, .. } = command else {
        panic!("{command:?}");
    };
    assert_eq!(joined, room("chat/lobby"));
    let name = "x".repeat(252);
    let fault = conversation.fault(&format!(r#"42/chat,["join","{name}"]"#));
    assert_eq!(fault.code, ErrorCode::BadRoom, "257 bytes with the prefix");
}

#[test]
fn the_first_connect_says_who_it_is_and_the_next_may_show_a_newer_token() {
    let mut conversation = Conversation::new();
    let secret = conversation.greeting.session.reveal();
    let frame = format!(
        r#"40{{"token":"t","session":"{secret}","info":{{"name":"Ann"}},"pid":"p","offset":"o"}}"#
    );
    let (_, command) = entered(conversation.text(&frame));
    let wanted = Command::Connect {
        token: Some("t".into()),
        session: SessionSecret::parse(&secret),
        info: Some(r#"{"name":"Ann"}"#.into()),
    };
    assert_eq!(command, wanted);
    let (_, command) = entered(conversation.text(&frame));
    assert_eq!(command, wanted, "it was not let in, and tries again");
    conversation.enter("40");
    for (frame, token) in [
        (r#"40/chat,{"token":"t"}"#, Some("t".into())),
        ("40/other,", None),
    ] {
        let (_, command) = entered(conversation.text(frame));
        assert_eq!(command, Command::Enter { token });
    }
}

#[test]
fn a_faulty_connect_is_refused() {
    let mut conversation = Conversation::new();
    for frame in [
        r#"40/chat,{"token":7}"#,
        r#"40/chat,{"session":"x"}"#,
        r#"40/chat,{"token":"a","token":"b"}"#,
        "40/chat,{",
    ] {
        let fault = conversation.fault(frame);
        let wanted = RequestId::Packet(PacketId {
            namespace: 0,
            prefix: 5,
            answer: PacketAnswer::Connect,
        });
        assert_eq!(fault.id, Some(wanted), "{frame}");
    }
}

#[test]
fn nothing_is_said_in_a_namespace_that_is_not_open() {
    for frame in [
        r#"42["join","a"]"#,
        "41",
        "437[]",
        "43x",
        r#"42/chat,["a"]"#,
    ] {
        Conversation::new().breaks(Frame::Text(frame));
    }
    let mut conversation = Conversation::within(&["/"]);
    conversation.breaks(Frame::Text("41/chat,"));
    assert!(conversation.text("40/chat,").is_ok());
    conversation.breaks(Frame::Text(r#"42/chat,["a"]"#)); // it was asked for, and not let in
}

#[test]
fn a_namespace_is_left_and_entered_again() {
    let mut conversation = Conversation::within(&["/", "/chat"]);
    let left = conversation.text("41/chat,");
    let prefix = "chat/".into();
    assert_eq!(left, Ok(Heard::Leave { prefix }));
    conversation.breaks(Frame::Text("41/chat,"));
    conversation.enter("40/chat,");
    assert!(conversation.text(r#"42/chat,["leave","a"]"#).is_ok());
    conversation.breaks(Frame::Text("40/chat,"));
}

#[test]
fn the_number_of_namespaces_is_bounded() {
    let names: Vec<String> = (0..16).map(|index| format!("/{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut conversation = Conversation::within(&names);
    conversation.text("41/3,").unwrap();
    conversation.enter("40/3,");
    conversation.breaks(Frame::Text("40/16,"));
}

#[test]
fn of_engine_io_a_client_sends_messages_pongs_and_the_end() {
    let mut conversation = Conversation::within(&["/"]);
    assert_eq!(conversation.text("3"), Ok(Heard::Pulse));
    assert_eq!(conversation.text("1"), Ok(Heard::End));
    for frame in [
        "", "0{}", "2", "2probe", "3probe", "5", "6", "7", "4", "4x", "abc", "1x",
    ] {
        conversation.breaks(Frame::Text(frame));
    }
}
