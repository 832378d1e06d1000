//! What becomes of a client's events.

use super::*;
use crate::names::Epoch;
use crate::protocol::{Content, HistoryRange, Question, Since};

fn command(frame: &str) -> Command {
    Conversation::within(&["/"]).request(frame).command
}

fn question(event: &str, data: Payload) -> Command {
    Command::Request(Question {
        event: event.into(),
        data,
        caller: None,
    })
}

fn content(data: &str) -> Content {
    Content {
        event: None,
        data: Payload::Json(data.into()),
        message_id: None,
        caller: None,
    }
}

#[test]
fn a_room_is_joined_by_its_name_or_with_options() {
    let join = |since, presence| Command::Subscribe {
        room: room("lobby"),
        since,
        presence,
    };
    let since = Since {
        epoch: Epoch::from_client("e"),
        offset: Offset(4),
    };
    for (frame, joined) in [
        (r#"42["join","lobby"]"#, join(None, false)),
        (r#"42["join","lobby",null]"#, join(None, false)),
        (r#"42["join","lobby",{"presence":true}]"#, join(None, true)),
        (
            r#"42["join",{"room":"lobby","presence":true}]"#,
            join(None, true),
        ),
        (
            r#"42["join","lobby",{"since":{"epoch":"e","offset":4}}]"#,
            join(Some(since), false),
        ),
    ] {
        assert_eq!(command(frame), joined, "{frame}");
    }
}

#[test]
fn the_other_conventional_events_are_requests_too() {
    for (frame, wanted) in [
        (
            r#"42["leave","a"]"#,
            Command::Unsubscribe { room: room("a") },
        ),
        (
            r#"42["message",{"room":"a","data":{"n":12345678901234567890123}}]"#,
            Command::Publish {
                room: room("a"),
                content: content(r#"{"n":12345678901234567890123}"#),
                echo: true,
            },
        ),
        (
            r#"42["message",{"room":"a","event":"x","data":null,"message_id":"m","echo":false}]"#,
            Command::Publish {
                room: room("a"),
                content: Content {
                    event: Some("x".into()),
                    message_id: Some("m".into()),
                    ..content("null")
                },
                echo: false,
            },
        ),
        (
            r#"42["send",{"to":"bob","data":[1]}]"#,
            Command::Send {
                to: "bob".into(),
                content: content("[1]"),
            },
        ),
        (
            r#"42["presence","a"]"#,
            Command::Presence {
                room: room("a"),
                after: None,
            },
        ),
        (
            r#"42["history","a",{"after":3,"limit":7}]"#,
            Command::History {
                room: room("a"),
                range: HistoryRange::After(Offset(3)),
                limit: 7,
            },
        ),
        (
            r#"42["refresh","t"]"#,
            Command::Refresh { token: "t".into() },
        ),
        (
            r#"42["refresh",{"token":"t"}]"#,
            Command::Refresh { token: "t".into() },
        ),
    ] {
        assert_eq!(command(frame), wanted, "{frame}");
    }
}

#[test]
fn every_other_event_is_for_the_handler() {
    for (frame, event, data) in [
        (r#"42["order"]"#, "order", "null"),
        (r#"42["chat",{"text":"hi"}]"#, "chat", r#"{"text":"hi"}"#),
        (r#"42["list",[1, 2]]"#, "list", "[1, 2]"),
        (r#"42["publish",1,"2",{}]"#, "publish", r#"[1,"2",{}]"#),
    ] {
        assert_eq!(command(frame), question(event, Payload::Json(data.into())));
    }
}

#[test]
fn an_acknowledgements_id_is_that_of_the_request() {
    let mut conversation = Conversation::within(&["/"]);
    for (frame, answer) in [
        (r#"4212["leave","a"]"#, PacketAnswer::Ack(12)),
        (r#"42["leave","a"]"#, PacketAnswer::None),
    ] {
        assert_eq!(conversation.request(frame).id, Some(answered(answer)));
    }
}

#[test]
fn faulty_arguments_are_answered_and_the_connection_goes_on() {
    let mut conversation = Conversation::within(&["/"]);
    let long = "x".repeat(65);
    for (frame, code) in [
        (r#"427["join"]"#.to_owned(), ErrorCode::BadRequest),
        (r#"427["join",""]"#.into(), ErrorCode::BadRoom),
        (r#"427["join",7]"#.into(), ErrorCode::BadRequest),
        (
            r#"427["join","a",{"room":"b"}]"#.into(),
            ErrorCode::BadRequest,
        ),
        (r#"427["join","a","b"]"#.into(), ErrorCode::BadRequest),
        (r#"427["join","a",{},{}]"#.into(), ErrorCode::BadRequest),
        (
            r#"427["join","a",{"presence":1}]"#.into(),
            ErrorCode::BadRequest,
        ),
        (
            r#"427["join","a",{"x":1,"x":2}]"#.into(),
            ErrorCode::BadRequest,
        ),
        (
            r#"427["message","a",{"data":1}]"#.into(),
            ErrorCode::BadRequest,
        ),
        (
            r#"427["message",{"room":"a"}]"#.into(),
            ErrorCode::BadRequest,
        ),
        (r#"427["message",{"data":1}]"#.into(), ErrorCode::BadRequest),
        (r#"427["send",{"data":1}]"#.into(), ErrorCode::BadRequest),
        (r#"427[""]"#.into(), ErrorCode::BadRequest),
        (format!(r#"427["{long}"]"#), ErrorCode::BadRequest),
        (
            format!(
                r#"427["message",{{"room":"a","data":{}{}}}]"#,
                "[".repeat(65),
                "]".repeat(65)
            ),
            ErrorCode::BadRequest,
        ),
        (
            format!(r#"427["order",{}{}]"#, "[".repeat(65), "]".repeat(65)),
            ErrorCode::BadRequest,
        ),
        (
            format!(r#"427["order"{}]"#, ",1".repeat(17)),
            ErrorCode::BadRequest,
        ),
        (
            format!(r#"427["order"{}]"#, ",1".repeat(900)),
            ErrorCode::BadRequest,
        ),
    ] {
        let fault = conversation.fault(&frame);
        assert_eq!(fault.code, code, "{frame}: {}", fault.message);
        assert_eq!(fault.id, Some(answered(PacketAnswer::Ack(7))), "{frame}");
    }
    let most = format!(r#"427["order"{}]"#, ",1".repeat(16));
    let command = conversation.request(&most).command;
    assert!(matches!(command, Command::Request(_)), "{command:?}");
}

#[test]
fn what_is_no_event_ends_the_connection() {
    for frame in [
        "42[]",
        "42[1]",
        "42[null]",
        "42[{}]",
        r#"42["a""#,
        r#"42["a"] x"#,
        r#"42["\ud800"]"#,
        r#"42["a",]"#,
        r#"42["connect"]"#,
        r#"42["disconnect","x"]"#,
        r#"42["newListener"]"#,
        "43x",
        "437[",
        "437{}",
    ] {
        Conversation::within(&["/"]).breaks(Frame::Text(frame));
    }
}
