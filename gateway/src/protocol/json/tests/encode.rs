//! What the server writes, read back by another JSON reader and held against `docs/asyncapi.yaml`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::asyncapi::conforms;
use super::*;
use crate::broker::{GapReason, Member};
use crate::message::Message;
use crate::names::UserId;
use crate::protocol::{
    AckBody, FrameSink, Greeting, Memory, PresenceChange, PresenceChangeKind, Protocol, Refusal,
    Reply, Verdict, json::Json,
};

/// The one text frame that is written.
#[derive(Default)]
struct Written(Vec<String>);

impl FrameSink for Written {
    fn text(&mut self, payload: &[u8]) {
        self.0.push(String::from_utf8(payload.to_vec()).unwrap());
    }

    fn binary(&mut self, _: &[u8]) {
        panic!("this protocol has text frames only");
    }
}

pub fn text(reply: &Reply<'_>) -> String {
    let mut out = Written::default();
    assert_eq!(
        Json.encode_reply(reply, &mut Memory::default(), 0, &mut out),
        Verdict::Continue
    );
    let [text] = out.0.try_into().unwrap();
    text
}

fn live(message: &Message) -> String {
    let mut out = Written::default();
    Json.encode_message(message, 0, &mut out);
    let [text] = out.0.try_into().unwrap();
    text
}

#[track_caller]
pub fn reply(reply: &Reply<'_>, schema: &str) -> Value {
    let frame = serde_json::from_str(&text(reply)).unwrap();
    conforms(&frame, schema);
    frame
}

#[track_caller]
pub fn ack(body: AckBody<'_>, schema: &str) -> Value {
    let mut frame = reply(
        &Reply::Ack {
            id: Some(&RequestId::Number(7)),
            body,
        },
        schema,
    );
    let fields = frame.as_object_mut().unwrap();
    assert_eq!(fields.remove("type"), Some(json!("ack")));
    assert_eq!(fields.remove("id"), Some(json!(7)));
    frame
}

fn message(data: Payload) -> Message {
    Message {
        room: room("lobby"),
        offset: None,
        timestamp: 1_767_225_600_000,
        from: UserId::from_token("ann"),
        event: None,
        data,
        info: None,
        skip: None,
        trace: None,
    }
}

pub fn full_message() -> Message {
    Message {
        offset: Some(Offset(13)),
        event: Some("chat".into()),
        info: Some(r#"{"name": "Ann"}"#.into()),
        ..message(Payload::Json(r#"{"text": "hi"}"#.into()))
    }
}

pub fn member(user: Option<&str>, info: Option<&str>) -> Member {
    Member {
        connection: ConnectionId::random(),
        user: user.and_then(UserId::from_token),
        info: info.map(Arc::from),
    }
}

#[test]
fn a_message_has_its_fields_in_the_documented_order() {
    assert_eq!(
        live(&full_message()),
        r#"{"type":"message","room":"lobby","offset":13,"from":"ann","event":"chat","data":{"text": "hi"},"timestamp":1767225600000,"info":{"name": "Ann"}}"#
    );
    conforms(
        &serde_json::from_str(&live(&full_message())).unwrap(),
        "ServerMessage",
    );
}

#[test]
fn what_a_message_has_not_is_absent() {
    let bare = message(Payload::Json("null".into()));
    assert_eq!(
        live(&bare),
        r#"{"type":"message","room":"lobby","from":"ann","data":null,"timestamp":1767225600000}"#
    );
}

#[test]
fn binary_becomes_base64_and_plain_text_a_string() {
    let frame = |data| serde_json::from_str::<Value>(&live(&message(data))).unwrap();
    let binary = frame(Payload::Binary([0, 1, 2, 255].into()));
    conforms(&binary, "ServerMessage");
    assert_eq!(
        (&binary["data"], &binary["encoding"]),
        (&json!("AAEC/w=="), &json!("base64"))
    );
    let text = frame(Payload::Text("{\"a\":1}".into()));
    assert_eq!(
        (&text["data"], text.get("encoding")),
        (&json!("{\"a\":1}"), None)
    );
}

#[test]
fn data_and_info_are_passed_on_verbatim() {
    for data in [
        "9007199254740993",
        "1e400",
        r#""\ud800\/""#,
        "[ 1,\n2 ]",
        r#"{"b":1,"a":2,"b":3}"#,
        "\"\u{7f}ü🐦\"",
    ] {
        let message = Message {
            info: Some(data.into()),
            ..message(Payload::Json(data.into()))
        };
        let (frame, data) = (live(&message), format!(":{data}"));
        assert!(
            frame.contains(&format!("\"data\"{data},\"timestamp\"")),
            "{frame}"
        );
        assert!(frame.ends_with(&format!("\"info\"{data}}}")), "{frame}");
    }
}

#[test]
fn every_character_survives_in_every_string() {
    let all: String = (0..=0x2fff)
        .filter_map(char::from_u32)
        .chain("🐦\u{fffd}\u{ffff}\u{10ffff}".chars())
        .collect();
    let message = Message {
        event: Some(all.as_str().into()),
        ..message(Payload::Text(all.as_str().into()))
    };
    let frame: Value = serde_json::from_str(&live(&message)).unwrap();
    assert_eq!(
        (&frame["event"], &frame["data"]),
        (&json!(all), &json!(all))
    );
    let id = RequestId::Text("\"\\\n\u{1}".into());
    assert_eq!(
        text(&Reply::Pong { id: Some(&id) }),
        r#"{"type":"pong","id":"\"\\\n\u0001"}"#
    );
    let odd = room("a\"b\\c/🐦");
    let code = ErrorCode::Forbidden;
    assert_eq!(
        reply(
            &Reply::Unsubscribed { room: &odd, code },
            "ServerUnsubscribed"
        )["room"],
        odd.as_str()
    );
}

#[test]
fn the_greeting_names_connection_session_and_limits() {
    let mut greeting = Greeting {
        connection_id: ConnectionId::random(),
        session: SessionSecret::random(),
        user_id: None,
        gateway: "chat-0".into(),
        ping: 25,
        timeout: 10,
        message_size: 65536,
        messages_per_second: 20,
        message_burst: 40,
        rooms_per_connection: 128,
        data: None,
    };
    let frame = reply(&Reply::Connected(&greeting), "ServerConnected");
    let limits = json!({"message_size": 65536, "messages_per_second": 20, "message_burst": 40, "rooms_per_connection": 128});
    let (id, session) = (
        greeting.connection_id.to_string(),
        greeting.session.reveal(),
    );
    let expected = json!({"type": "connected", "connection_id": id, "session": session, "gateway": "chat-0", "ping": 25,
        "timeout": 10, "limits": limits});
    assert_eq!(frame, expected);
    greeting.user_id = UserId::from_token("ann");
    assert_eq!(
        reply(&Reply::Connected(&greeting), "ServerConnected")["user_id"],
        "ann"
    );
    let expected = json!({"connection_id": id, "session": session, "user_id": "ann"});
    assert_eq!(
        ack(AckBody::Connected(&greeting), "ServerAckConnect"),
        expected
    );
    greeting.data = Some(Payload::Binary([0].into()));
    for frame in [
        reply(&Reply::Connected(&greeting), "ServerConnected"),
        ack(AckBody::Connected(&greeting), "ServerAckConnect"),
    ] {
        assert_eq!(
            (&frame["data"], &frame["encoding"]),
            (&json!("AA=="), &json!("base64"))
        );
    }
}

#[test]
fn the_ack_of_a_request_has_what_the_handler_answered() {
    let answered = |data| ack(AckBody::Answered(data), "ServerAckRequest");
    assert_eq!(answered(None), json!({}));
    let null = Payload::Json("null".into());
    assert_eq!(answered(Some(&null)), json!({"data": null}));
    let bytes = Payload::Binary([0].into());
    let expected = json!({"data": "AA==", "encoding": "base64"});
    assert_eq!(answered(Some(&bytes)), expected);
    let refusal = Refusal {
        reason: Some("out_of_stock".into()),
        ..Refusal::new(None, ErrorCode::Rejected)
    };
    let frame = reply(&Reply::Error(&refusal), "ServerError");
    assert_eq!(frame["reason"], "out_of_stock");
}

#[test]
fn a_presence_frame_has_joins_leaves_or_a_number() {
    let lobby = room("lobby");
    let frame = |kind| {
        reply(
            &Reply::Presence {
                room: &lobby,
                change: &PresenceChange { version: 4, kind },
            },
            "ServerPresence",
        )
    };
    let one = member(None, None);
    let id = one.connection.to_string();
    let (some, none) = (vec![one], Vec::new);
    let base = |more: Value| {
        let mut base = json!({"type": "presence", "room": "lobby", "version": 4});
        base.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        base
    };
    let join = frame(PresenceChangeKind::Members {
        join: some.clone(),
        leave: none(),
    });
    assert_eq!(join, base(json!({"join": [{"connection_id": id}]})));
    let leave = frame(PresenceChangeKind::Members {
        join: none(),
        leave: some,
    });
    assert_eq!(leave, base(json!({"leave": [{"connection_id": id}]})));
    assert_eq!(
        frame(PresenceChangeKind::Count(0)),
        base(json!({"count": 0}))
    );
}

#[test]
fn an_error_has_code_and_message_and_what_else_is_known() {
    for code in ErrorCode::ALL {
        let frame = reply(&Reply::Error(&Refusal::new(None, code)), "ServerError");
        assert_eq!(
            frame,
            json!({"type": "error", "code": code.as_str(), "message": code.advice()})
        );
    }
    let refusal = Refusal {
        id: Some(RequestId::Text("4".into())),
        code: ErrorCode::RateLimited,
        message: "\"wait\"\n".into(),
        retry_after_ms: Some(50),
        pointer: Some("/data/a\"b".into()),
        reason: None,
    };
    assert_eq!(
        text(&Reply::Error(&refusal)),
        r#"{"type":"error","id":"4","code":"rate_limited","message":"\"wait\"\n","retry_after_ms":50,"pointer":"/data/a\"b"}"#
    );
}

#[test]
fn the_rest_of_the_frames_have_their_fields() {
    let (lobby, epoch, bare) = (
        room("lobby"),
        Epoch::random(),
        message(Payload::Binary([0].into())),
    );
    let direct = reply(&Reply::Direct(&bare), "ServerDirect");
    let expected = json!({"type": "direct", "from": "ann", "data": "AA==", "encoding": "base64", "timestamp": bare.timestamp});
    assert_eq!(direct, expected);
    for (reason, word) in [
        (GapReason::Lagged, "lagged"),
        (GapReason::BrokerReset, "broker_reset"),
        (GapReason::EpochChanged, "epoch_changed"),
        (GapReason::Overload, "overload"),
    ] {
        let gap = |position| {
            reply(
                &Reply::Gap {
                    room: &lobby,
                    reason,
                    position,
                },
                "ServerGap",
            )
        };
        assert_eq!(
            gap(None),
            json!({"type": "gap", "room": "lobby", "reason": word})
        );
        let with = json!({"type": "gap", "room": "lobby", "reason": word, "epoch": epoch.as_str(), "offset": 40});
        assert_eq!(gap(Some((&epoch, Offset(40)))), with);
    }
    let subscribed = |position| {
        let room = &lobby;
        reply(&Reply::Subscribed { room, position }, "ServerSubscribed")
    };
    let expected = json!({"type": "subscribed", "room": "lobby"});
    assert_eq!(subscribed(None), expected);
    let expected =
        json!({"type": "subscribed", "room": "lobby", "epoch": epoch.as_str(), "offset": 40});
    assert_eq!(subscribed(Some((&epoch, Offset(40)))), expected);
    for code in [
        ErrorCode::Forbidden,
        ErrorCode::CatchUpTimeout,
        ErrorCode::Rejected,
        ErrorCode::TooManyRooms,
    ] {
        let frame = reply(
            &Reply::Unsubscribed { room: &lobby, code },
            "ServerUnsubscribed",
        );
        assert_eq!(
            (&frame["code"], frame["message"].is_string()),
            (&json!(code.as_str()), true)
        );
    }
    let goaway = reply(&Reply::GoAway { within_ms: 5000 }, "ServerGoaway");
    assert_eq!(goaway, json!({"type": "goaway", "within_ms": 5000}));
    assert_eq!(
        reply(&Reply::Pong { id: None }, "ServerPong"),
        json!({"type": "pong"})
    );
    assert_eq!(
        reply(
            &Reply::Pong {
                id: Some(&RequestId::Number(0))
            },
            "ServerPong"
        ),
        json!({"type": "pong", "id": 0})
    );
}
