//! Messages of a room, as a client gets them.

use serde_json::json;

use super::*;

fn written(message: &Message, prefix: u8) -> Vec<Written> {
    let mut sink = Sink::default();
    SocketIo.encode_message(message, prefix, &mut sink);
    sink.0
}

fn text(message: &Message, prefix: u8) -> String {
    match <[Written; 1]>::try_from(written(message, prefix)) {
        Ok([Written::Text(text)]) => text,
        other => panic!("{other:?}"),
    }
}

fn json_message() -> Message {
    message(Payload::Json(r#"{"n":12345678901234567890123}"#.into()))
}

#[test]
fn a_message_is_an_event_with_its_data_and_what_is_known_of_it() {
    let about =
        r#"{"room":"chat/lobby","offset":9,"from":"ann","timestamp":5,"info":{"name":"Ann"}}"#;
    assert_eq!(
        text(&json_message(), 0),
        format!(r#"42["greet",{{"n":12345678901234567890123}},{about}]"#)
    );
}

#[test]
fn in_a_namespace_its_name_is_left_out_of_the_room() {
    let packet = json(&text(&json_message(), 5), "42/chat,");
    assert_eq!(packet[2]["room"], "lobby");
    let deep = Message {
        room: room("a/b/c"),
        ..json_message()
    };
    assert_eq!(json(&text(&deep, 4), "42/a/b,")[2]["room"], "c");
    assert_eq!(json(&text(&deep, 2), "42/a,")[2]["room"], "b/c");
}

#[test]
fn without_an_event_it_is_a_message() {
    let bare = Message {
        event: None,
        from: None,
        info: None,
        offset: None,
        ..message(Payload::Text("say \"hi\"".into()))
    };
    let packet = json(&text(&bare, 0), "42");
    let about = json!({"room": "chat/lobby", "timestamp": 5});
    assert_eq!(packet, json!(["message", "say \"hi\"", about]));
}

#[test]
fn bytes_follow_in_a_frame_of_their_own() {
    let frames = written(&message(Payload::Binary([1, 2].into())), 5);
    let [Written::Text(head), Written::Binary(bytes)] = frames.as_slice() else {
        panic!("{frames:?}");
    };
    let packet = json(head, "451-/chat,");
    assert_eq!(packet[1], json!({"_placeholder": true, "num": 0}));
    assert_eq!(packet[2]["info"], json!({"name": "Ann"}));
    assert_eq!(bytes, &[1, 2]);
}

#[test]
fn what_a_publisher_says_of_itself_cannot_stand_for_bytes() {
    for info in [
        r#"{"_placeholder":true,"num":7}"#,
        r#"{"a":[{"\u005fplaceholder":true,"num":7}]}"#,
    ] {
        let hostile = Message {
            info: Some(info.into()),
            ..message(Payload::Binary([1].into()))
        };
        let frames = written(&hostile, 0);
        let [Written::Text(head), _] = frames.as_slice() else {
            panic!("{frames:?}");
        };
        assert_eq!(json(head, "451-")[2].get("info"), None, "{head}");
        let harmless = Message {
            data: Payload::Json("1".into()),
            ..hostile
        };
        let about = &json(&text(&harmless, 0), "42")[2];
        assert!(
            about.get("info").is_some(),
            "no bytes, nothing to stand for"
        );
    }
}

#[test]
fn no_message_passes_for_an_event_of_the_gateway_or_one_that_ends_a_client() {
    for name in [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
        "connected",
        "direct",
        "error",
        "gap",
        "presence",
        "token_expiring",
        "unsubscribed",
    ] {
        let named = Message {
            event: Some(name.into()),
            ..json_message()
        };
        let packet = json(&text(&named, 0), "42");
        assert_eq!(packet[0], "message", "{name}");
        assert_eq!(packet[2]["event"], name);
    }
}
