use super::*;
use crate::broker::GapReason;
use crate::names::{ConnectionId, Offset, RoomName, UserId};
use crate::protocol::{AckBody, PresenceChange, PresenceChangeKind, Refusal, json::Json};

#[derive(Debug, PartialEq)]
enum Written {
    Text(String),
    Binary(Vec<u8>),
}

#[derive(Default)]
struct Sink(Vec<Written>);

impl FrameSink for Sink {
    fn text(&mut self, payload: &[u8]) {
        self.0
            .push(Written::Text(String::from_utf8(payload.to_vec()).unwrap()));
    }

    fn binary(&mut self, payload: &[u8]) {
        self.0.push(Written::Binary(payload.to_vec()));
    }
}

fn lobby() -> RoomName {
    RoomName::parse("lobby").unwrap()
}

fn handshake() -> Handshake {
    Handshake {
        room: Some(lobby()),
        echo: true,
    }
}

fn message(data: Payload) -> Message {
    Message {
        room: lobby(),
        offset: Some(Offset(1)),
        timestamp: 5,
        from: Some(UserId::anonymous(ConnectionId::random())),
        event: Some("e".into()),
        data,
        info: Some("{}".into()),
        skip: None,
        trace: None,
    }
}

fn written(data: Payload) -> Written {
    let mut sink = Sink::default();
    Plain.encode_message(&message(data), 0, &mut sink);
    let [one] = sink.0.try_into().unwrap();
    one
}

fn replied(reply: &Reply<'_>) -> (Verdict, Vec<Written>) {
    let mut sink = Sink::default();
    let verdict = Plain.encode_reply(reply, &mut Memory::default(), 0, &mut sink);
    (verdict, sink.0)
}

/// What a frame of a client with this handshake amounts to.
fn heard(
    protocol: &dyn Protocol,
    frame: Frame<'_>,
    handshake: Handshake,
) -> Result<Request, Fault> {
    let mut memory = Memory {
        handshake,
        dialogue: None,
    };
    match protocol.decode(frame, &mut memory)? {
        Heard::Request(request) => Ok(request),
        other => panic!("{other:?}"),
    }
}

fn published(frame: Frame<'_>) -> Payload {
    let Command::Publish { content, .. } = heard(&Plain, frame, handshake()).unwrap().command
    else {
        panic!()
    };
    content.data
}

#[test]
fn a_frame_is_a_publish_to_the_room_of_the_handshake() {
    for echo in [true, false] {
        let said = Handshake {
            echo,
            ..handshake()
        };
        let request = heard(&Plain, Frame::Text("hi"), said).unwrap();
        let content = Content {
            event: None,
            data: Payload::Text("hi".into()),
            message_id: None,
            caller: None,
        };
        assert_eq!(
            request,
            Request {
                id: None,
                command: Command::Publish {
                    room: lobby(),
                    content,
                    echo
                }
            }
        );
    }
}

#[test]
fn a_handshake_that_says_nothing_wants_its_echo() {
    let silent = Handshake::default();
    assert!(silent.echo && silent.room.is_none());
}

#[test]
fn frames_are_never_parsed() {
    for text in ["", "{\"type\":\"ping\"}", "\"quoted\"", "\0\n", "🐦"] {
        assert_eq!(published(Frame::Text(text)), Payload::Text(text.into()));
        assert_eq!(
            written(Payload::Text(text.into())),
            Written::Text(text.into())
        );
    }
    for bytes in [&[][..], &[0xff, 0xfe], b"text"] {
        assert_eq!(
            published(Frame::Binary(bytes)),
            Payload::Binary(bytes.into())
        );
        assert_eq!(
            written(Payload::Binary(bytes.into())),
            Written::Binary(bytes.into())
        );
    }
}

#[test]
fn it_subscribes_to_its_room_live_only() {
    let expected = Command::Subscribe {
        room: lobby(),
        since: None,
        presence: false,
    };
    assert_eq!(
        Plain.first_request(&handshake()),
        Some(Request {
            id: None,
            command: expected
        })
    );
}

#[test]
fn without_a_room_nothing_can_be_said() {
    let none = Handshake {
        room: None,
        echo: true,
    };
    assert_eq!(Plain.first_request(&none), None);
    let fault = heard(&Plain, Frame::Text("hi"), none).unwrap_err();
    assert_eq!((fault.code, fault.fatal), (ErrorCode::BadRoom, true));
}

#[test]
fn json_data_arrives_as_its_text_and_a_string_as_itself() {
    for (json, text) in [
        ("\"hi\"", "hi"),
        ("\"\"", ""),
        (r#""a\"b\\c\n\u00e9\ud83d\udc26""#, "a\"b\\c\né🐦"),
        (r#"{"text": "hi"}"#, r#"{"text": "hi"}"#),
        ("9007199254740993", "9007199254740993"),
        ("null", "null"),
        ("[\"hi\"]", "[\"hi\"]"),
    ] {
        assert_eq!(
            written(Payload::Json(json.into())),
            Written::Text(text.into())
        );
    }
}

#[test]
fn a_string_that_is_no_unicode_arrives_as_its_json_text() {
    let json = r#""\ud800""#;
    assert_eq!(
        written(Payload::Json(json.into())),
        Written::Text(json.into())
    );
}

#[test]
fn the_two_protocols_meet_as_documented() {
    let to_json = |data| {
        let mut sink = Sink::default();
        Json.encode_message(&message(data), 0, &mut sink);
        let [Written::Text(text)] = &sink.0[..] else {
            panic!()
        };
        let frame: serde_json::Value = serde_json::from_str(text).unwrap();
        (frame["data"].clone(), frame["encoding"].clone())
    };
    let text = published(Frame::Text("{\"text\":\"hi\"}"));
    assert_eq!(
        to_json(text),
        ("{\"text\":\"hi\"}".into(), serde_json::Value::Null)
    );
    assert_eq!(
        to_json(published(Frame::Binary(&[0, 1]))),
        ("AAE=".into(), "base64".into())
    );
    let frame = r#"{"type":"publish","room":"lobby","data":"AAE=","encoding":"base64"}"#;
    let request = heard(&Json, Frame::Text(frame), handshake()).unwrap();
    let Command::Publish { content, .. } = request.command else {
        panic!()
    };
    assert_eq!(written(content.data), Written::Binary(vec![0, 1]));
}

#[test]
fn what_is_refused_closes_the_connection_with_its_code() {
    for code in ErrorCode::ALL {
        let close = (Verdict::Close(code), Vec::new());
        assert_eq!(replied(&Reply::Error(&Refusal::new(None, code))), close);
        assert_eq!(
            replied(&Reply::Unsubscribed {
                room: &lobby(),
                code
            }),
            close
        );
    }
}

#[test]
fn a_gap_closes_so_that_nothing_is_missed_silently() {
    let gap = Reply::Gap {
        room: &lobby(),
        reason: GapReason::Overload,
        position: None,
    };
    assert_eq!(replied(&gap), (Verdict::Close(ErrorCode::Gap), Vec::new()));
    assert_eq!(ErrorCode::Gap.close_code(), 4200);
}

#[test]
fn a_direct_message_is_a_payload_and_all_else_stays_unsaid() {
    let direct = message(Payload::Text("psst".into()));
    assert_eq!(
        replied(&Reply::Direct(&direct)),
        (Verdict::Continue, vec![Written::Text("psst".into())])
    );
    let change = PresenceChange {
        version: 1,
        kind: PresenceChangeKind::Count(1),
    };
    for reply in [
        Reply::Ack {
            id: None,
            body: AckBody::Done,
        },
        Reply::Presence {
            room: &lobby(),
            change: &change,
        },
        Reply::GoAway { within_ms: 5 },
        Reply::Pong { id: None },
    ] {
        assert_eq!(replied(&reply), (Verdict::Continue, Vec::new()));
    }
}

#[test]
fn protocols_are_found_by_both_of_their_names() {
    use crate::protocol::{PROTOCOLS, find};
    for (index, protocol) in PROTOCOLS.iter().enumerate() {
        assert_eq!(find(protocol.subprotocol()), Some(index as u8));
        assert_eq!(find(protocol.short_name()), Some(index as u8));
    }
    assert_eq!(find("linnet.v2.json"), None);
}
