//! Answers, and what is told to one connection.

use serde_json::json;

use super::*;
use crate::broker::{GapReason, Member};
use crate::names::Epoch;
use crate::protocol::{PresenceChange, PresenceChangeKind, Refusal, Subscribed};

fn refusal(answer: Option<PacketAnswer>) -> Refusal {
    Refusal {
        retry_after_ms: Some(7),
        ..Refusal::new(answer.map(answered), ErrorCode::RateLimited)
    }
}

/// What every refusal in these tests says.
fn refused() -> Value {
    let message = ErrorCode::RateLimited.advice();
    json!({"code": "rate_limited", "message": message, "retry_after_ms": 7})
}

#[test]
fn the_first_namespace_is_greeted() {
    let mut conversation = Conversation::new();
    let sid = conversation.greeting.connection_id.to_string();
    let session = conversation.greeting.session.reveal();
    let frames = conversation.enter("40/chat,");
    let [Written::Text(connect), Written::Text(connected)] = frames.as_slice() else {
        panic!("{frames:?}");
    };
    assert_eq!(json(connect, "40/chat,"), json!({"sid": sid}));
    let connected = json(connected, "42/chat,");
    assert_eq!(connected[0], "connected");
    assert_eq!(connected[1]["user_id"], "ann");
    assert_eq!(connected[1]["session"], session);
    assert_eq!(connected[1]["limits"]["message_size"], 65_536);
    let frames = conversation.enter("40");
    let [Written::Text(connect)] = frames.as_slice() else {
        panic!("{frames:?}");
    };
    assert_eq!(json(connect, "40"), json!({"sid": sid}));
}

#[test]
fn an_acknowledgement_has_the_fields_of_the_ack() {
    let mut conversation = Conversation::within(&["/"]);
    let (id, epoch) = (answered(PacketAnswer::Ack(12)), Epoch::from_client("e"));
    let subscribed = Subscribed {
        position: Some((epoch.clone(), Offset(4))),
        recovered: Some(true),
        messages: vec![Arc::new(message(Payload::Binary([1].into())))],
        more: false,
    };
    let id = Some(&id);
    let body = AckBody::Subscribed(&subscribed);
    let ack = json(&conversation.written(&Reply::Ack { id, body }, 0), "4312");
    assert_eq!(
        ack,
        json!([{
            "epoch": "e", "offset": 4, "recovered": true, "more": false,
            "messages": [{
                "offset": 9, "from": "ann", "event": "greet", "data": "AQ==", "encoding": "base64",
                "timestamp": 5, "info": {"name": "Ann"}
            }]
        }])
    );
    let body = AckBody::Done;
    let ack = json(&conversation.written(&Reply::Ack { id, body }, 0), "4312");
    assert_eq!(ack, json!([{}]));
}

#[test]
fn what_the_handler_answers_is_the_acknowledgements_argument() {
    let mut conversation = Conversation::within(&["/"]);
    let id = answered(PacketAnswer::Ack(12));
    let mut written = |data: Option<Payload>| {
        let (id, body) = (Some(&id), AckBody::Answered(data.as_ref()));
        conversation.all(&Reply::Ack { id, body }, 0)
    };
    let text = |text: &str| vec![Written::Text(text.into())];
    assert_eq!(written(None), text("4312[]"));
    assert_eq!(
        written(Some(Payload::Json("{\"n\": 1}".into()))),
        text("4312[{\"n\": 1}]")
    );
    assert_eq!(
        written(Some(Payload::Text("a\"".into()))),
        text(r#"4312["a\""]"#)
    );
    let bytes = written(Some(Payload::Binary([1, 2].into())));
    let head = Written::Text(r#"461-12[{"_placeholder":true,"num":0}]"#.into());
    assert_eq!(bytes, [head, Written::Binary(vec![1, 2])]);
}

#[test]
fn what_a_service_says_to_one_user_goes_by_its_own_name() {
    let mut conversation = Conversation::within(&["/"]);
    let mut direct = message(Payload::Json("1".into()));
    direct.from = None;
    for (event, name) in [
        (Some("greet"), "greet"),
        (Some("error"), "direct"),
        (Some("disconnect"), "direct"),
        (None, "direct"),
    ] {
        direct.event = event.map(Into::into);
        let packet = conversation.written(&Reply::Direct(&direct), 0);
        assert_eq!(json(&packet, "42")[0], name);
    }
}

#[test]
fn a_room_that_the_handler_has_chosen_is_seen_in_the_namespace_that_says_the_most_of_it() {
    let mut conversation = Conversation::within(&["/", "/chat"]);
    let dialogue = conversation.memory.dialogue.as_ref().unwrap();
    assert_eq!(dialogue.sees(&room("chat/lobby")), 5);
    assert_eq!(dialogue.sees(&room("chatter")), 0);
    let room = &room("chat/lobby");
    let position = None;
    let packet = conversation.written(&Reply::Subscribed { room, position }, 5);
    assert_eq!(
        json(&packet, "42/chat,"),
        json!(["subscribed", {"room": "lobby"}])
    );
}

#[test]
fn who_asked_for_no_acknowledgement_gets_none() {
    let mut conversation = Conversation::within(&["/"]);
    for id in [Some(answered(PacketAnswer::None)), None] {
        let (id, body) = (id.as_ref(), AckBody::Done);
        assert_eq!(conversation.all(&Reply::Ack { id, body }, 0), []);
    }
}

#[test]
fn a_refusal_answers_what_it_refuses() {
    let mut conversation = Conversation::within(&["/"]);
    for (answer, begin, wanted) in [
        (
            Some(PacketAnswer::Ack(3)),
            "433",
            json!([{"error": refused()}]),
        ),
        (Some(PacketAnswer::None), "42", json!(["error", refused()])),
        (None, "42", json!(["error", refused()])),
        (
            Some(PacketAnswer::Connect),
            "44",
            json!({"message": ErrorCode::RateLimited.advice(), "data": refused()}),
        ),
    ] {
        let refusal = refusal(answer);
        let packet = conversation.written(&Reply::Error(&refusal), 0);
        assert_eq!(json(&packet, begin), wanted);
    }
}

#[test]
fn what_is_refused_in_a_namespace_is_answered_there() {
    let mut conversation = Conversation::within(&["/", "/chat"]);
    let id = conversation.request(r#"42/chat,8["leave","a"]"#).id;
    let refusal = Refusal::new(id, ErrorCode::Forbidden);
    let packet = conversation.written(&Reply::Error(&refusal), 0);
    let packet = json(&packet, "43/chat,8");
    assert_eq!(packet[0]["error"]["code"], "forbidden");
}

#[test]
fn what_concerns_a_room_is_told_in_its_namespace_by_its_name_there() {
    let mut conversation = Conversation::within(&["/", "/chat"]);
    let (room, epoch) = (room("chat/lobby"), Epoch::from_client("e"));
    let member = Member {
        connection: ConnectionId::from_bytes([1; 16]),
        user: None,
        info: None,
    };
    let change = PresenceChange {
        version: 3,
        kind: PresenceChangeKind::Members {
            join: vec![member.clone()],
            leave: vec![],
        },
    };
    let joined = json!([{"connection_id": member.connection.to_string()}]);
    for (reply, name, more) in [
        (
            Reply::Presence {
                room: &room,
                change: &change,
            },
            "presence",
            json!({"version": 3, "join": joined}),
        ),
        (
            Reply::Gap {
                room: &room,
                reason: GapReason::Lagged,
                position: Some((&epoch, Offset(4))),
            },
            "gap",
            json!({"reason": "lagged", "epoch": "e", "offset": 4}),
        ),
        (
            Reply::Unsubscribed {
                room: &room,
                code: ErrorCode::Forbidden,
            },
            "unsubscribed",
            json!({"code": "forbidden", "message": ErrorCode::Forbidden.advice()}),
        ),
    ] {
        for (prefix, begin, seen) in [(5, "42/chat,", "lobby"), (0, "42", "chat/lobby")] {
            let mut wanted = more.clone();
            wanted["room"] = seen.into();
            let packet = conversation.written(&reply, prefix);
            assert_eq!(json(&packet, begin), json!([name, wanted]));
        }
    }
}

#[test]
fn what_concerns_no_room_is_told_in_the_main_namespace() {
    let direct = message(Payload::Json("1".into()));
    let about = json!({
        "offset": 9, "from": "ann", "event": "greet", "timestamp": 5, "info": {"name": "Ann"}
    });
    for (namespaces, begin) in [
        (&["/chat", "/"][..], "42"),
        (&["/chat", "/other"][..], "42/chat,"),
    ] {
        let mut conversation = Conversation::within(namespaces);
        let packet = conversation.written(&Reply::Direct(&direct), 0);
        assert_eq!(json(&packet, begin), json!(["direct", 1, about]));
        let packet = conversation.written(&Reply::TokenExpiring { within_ms: 9 }, 0);
        assert_eq!(
            json(&packet, begin),
            json!(["token_expiring", {"within_ms": 9}])
        );
    }
    let mut nowhere = Conversation::within(&["/"]);
    nowhere.text("41").unwrap();
    assert_eq!(nowhere.all(&Reply::Direct(&direct), 0), []);
}

#[test]
fn who_is_to_come_back_is_told_by_the_close_alone() {
    let mut conversation = Conversation::within(&["/"]);
    assert_eq!(conversation.all(&Reply::GoAway { within_ms: 9 }, 0), []);
    for code in ErrorCode::ALL {
        let conversation = Conversation::within(&["/", "/chat"]);
        let mut sink = Sink::default();
        SocketIo.encode_farewell(code, &conversation.memory, &mut sink);
        let stays_away = (4000..4100).contains(&code.close_code());
        assert_eq!(sink.0.is_empty(), !stays_away, "{code:?}");
        let [_, first, _, second] = sink.0.as_slice() else {
            continue;
        };
        assert_eq!(*first, Written::Text("41".into()));
        assert_eq!(*second, Written::Text("41/chat,".into()));
        let Written::Text(error) = &sink.0[0] else {
            panic!()
        };
        assert_eq!(json(error, "42")[1]["code"], code.as_str());
    }
}
