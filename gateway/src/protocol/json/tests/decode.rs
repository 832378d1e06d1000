//! What valid frames mean.

use super::*;

fn id(text: &str) -> Option<RequestId> {
    request(text)
        .unwrap_or_else(|fault| panic!("{text}: {}", fault.message))
        .id
}

fn content(data: &str) -> Content {
    Content {
        event: None,
        data: Payload::Json(data.into()),
        message_id: None,
        caller: None,
    }
}

fn published(text: &str) -> Content {
    match command(text) {
        Command::Publish { content, .. } => content,
        other => panic!("{other:?}"),
    }
}

#[test]
fn connect_has_three_optional_fields() {
    assert_eq!(
        command(r#"{"type":"connect"}"#),
        Command::Connect {
            token: None,
            session: None,
            info: None
        }
    );
    let secret = SessionSecret::random();
    let text = format!(
        r#"{{"type":"connect","token":"a.b.c","session":"{}","info":{{"name": "Ann"}}}}"#,
        secret.reveal()
    );
    assert_eq!(
        command(&text),
        Command::Connect {
            token: Some("a.b.c".into()),
            session: Some(secret),
            info: Some(r#"{"name": "Ann"}"#.into()),
        }
    );
}

#[test]
fn subscribe_has_a_room_a_position_and_a_wish_for_presence() {
    assert_eq!(
        command(r#"{"type":"subscribe","room":"lobby"}"#),
        Command::Subscribe {
            room: room("lobby"),
            since: None,
            presence: false
        }
    );
    assert_eq!(
        command(
            r#"{"type":"subscribe","room":"lobby","since":{"epoch":"E","offset":12},"presence":true}"#
        ),
        Command::Subscribe {
            room: room("lobby"),
            since: Some(Since {
                epoch: Epoch::from_client("E"),
                offset: Offset(12)
            }),
            presence: true,
        }
    );
}

#[test]
fn since_takes_offsets_up_to_2_to_the_53_less_1_and_ignores_further_fields() {
    for (offset, expected) in [("0", 0), ("9007199254740991", (1 << 53) - 1)] {
        let text = format!(
            r#"{{"type":"subscribe","room":"r","since":{{"x":[],"offset":{offset},"epoch":"\u0045"}}}}"#
        );
        let Command::Subscribe { since, .. } = command(&text) else {
            panic!("{text}")
        };
        assert_eq!(
            since,
            Some(Since {
                epoch: Epoch::from_client("E"),
                offset: Offset(expected)
            })
        );
    }
}

#[test]
fn unsubscribe_has_a_room() {
    let expected = Command::Unsubscribe {
        room: room("lobby"),
    };
    assert_eq!(
        command(r#"{"type":"unsubscribe","room":"lobby"}"#),
        expected
    );
}

#[test]
fn publish_needs_a_room_and_data_and_echoes_unless_told_otherwise() {
    let publish = |content, echo| Command::Publish {
        room: room("lobby"),
        content,
        echo,
    };
    assert_eq!(
        command(r#"{"type":"publish","room":"lobby","data":1}"#),
        publish(content("1"), true)
    );
    assert_eq!(
        command(r#"{"type":"publish","room":"lobby","data":{},"echo":true}"#),
        publish(content("{}"), true)
    );
    assert_eq!(
        command(
            r#"{"type":"publish","room":"lobby","event":"chat","data":"hi","message_id":"7f","echo":false,"traceparent":"00"}"#
        ),
        publish(
            Content {
                event: Some("chat".into()),
                data: Payload::Json(r#""hi""#.into()),
                message_id: Some("7f".into()),
                caller: None,
            },
            false
        )
    );
}

#[test]
fn send_has_a_user_and_what_publish_has() {
    let id = ConnectionId::random().to_string();
    assert_eq!(
        command(&format!(
            r#"{{"type":"send","to":"{id}","event":"e","data":"AAEC/w==","encoding":"base64","message_id":"m"}}"#
        )),
        Command::Send {
            to: id.into(),
            content: Content {
                event: Some("e".into()),
                data: Payload::Binary([0, 1, 2, 255].into()),
                message_id: Some("m".into()),
                caller: None,
            },
        }
    );
}

#[test]
fn history_reads_the_newest_100_unless_told_otherwise() {
    let history = |range, limit| Command::History {
        room: room("r"),
        range,
        limit,
    };
    for (fields, expected) in [
        ("", history(HistoryRange::Newest, 100)),
        (r#","limit":1"#, history(HistoryRange::Newest, 1)),
        (
            r#","limit":100,"after":0"#,
            history(HistoryRange::After(Offset(0)), 100),
        ),
        (
            r#","before":12,"limit":20"#,
            history(HistoryRange::Before(Offset(12)), 20),
        ),
        (
            r#","after":9007199254740991"#,
            history(HistoryRange::After(Offset((1 << 53) - 1)), 100),
        ),
    ] {
        assert_eq!(
            command(&format!(r#"{{"type":"history","room":"r"{fields}}}"#)),
            expected
        );
    }
}

#[test]
fn presence_pages_by_connection_id() {
    let id = ConnectionId::random();
    assert_eq!(
        command(r#"{"type":"presence","room":"r"}"#),
        Command::Presence {
            room: room("r"),
            after: None
        }
    );
    assert_eq!(
        command(&format!(
            r#"{{"type":"presence","room":"r","after":"{id}"}}"#
        )),
        Command::Presence {
            room: room("r"),
            after: Some(id)
        }
    );
}

#[test]
fn request_refresh_and_ping_are_understood() {
    assert_eq!(
        command(r#"{"type":"request","event":"price","data":{"a": 1}}"#),
        Command::Request(Question {
            event: "price".into(),
            data: Payload::Json(r#"{"a": 1}"#.into()),
            caller: None,
        })
    );
    assert_eq!(
        command(r#"{"type":"refresh","token":"t"}"#),
        Command::Refresh { token: "t".into() }
    );
    assert_eq!(command(r#"{"type":"ping"}"#), Command::Ping);
}

#[test]
fn an_id_is_an_integer_below_2_to_the_53_or_at_most_64_bytes_of_text() {
    let long = "x".repeat(64);
    let text = |text: &str| Some(RequestId::Text(text.into()));
    for (written, expected) in [
        ("0", Some(RequestId::Number(0))),
        ("9007199254740991", Some(RequestId::Number((1 << 53) - 1))),
        (r#""""#, text("")),
        (r#""7""#, text("7")),
        (r#""a\"b\u00e9\n""#, text("a\"bé\n")),
        (&format!("\"{long}\""), text(&long)),
    ] {
        assert_eq!(
            id(&format!(r#"{{"type":"ping","id":{written}}}"#)),
            expected
        );
    }
    assert_eq!(id(r#"{"type":"ping"}"#), None);
}

#[test]
fn fields_stand_in_any_order_with_any_whitespace() {
    let text =
        " \r\n\t{ \"data\" :\n 1 , \"id\":7,\"room\" : \"r\",\n\n\"type\":\t\"publish\" } \n";
    let expected = Command::Publish {
        room: room("r"),
        content: content("1"),
        echo: true,
    };
    assert_eq!(
        request(text).unwrap(),
        Request {
            id: Some(RequestId::Number(7)),
            command: expected
        }
    );
}

#[test]
fn names_and_keys_may_be_written_with_escapes() {
    let text =
        r#"{"\u0074ype":"publis\u0068","r\u006fom":"\ud83d\udc26 \"q\"","d\u0061ta":"\u0061"}"#;
    let Command::Publish { room, content, .. } = command(text) else {
        panic!("{text}")
    };
    assert_eq!(room.as_str(), "🐦 \"q\"");
    assert_eq!(
        content.data,
        Payload::Json(r#""\u0061""#.into()),
        "data stays as it was written"
    );
}

#[test]
fn unknown_fields_are_ignored_whatever_they_hold() {
    let deep = nested(200);
    for more in [
        "\"x\":null",
        "\"\":{\"type\":1}",
        "\"Room\":7",
        &format!("\"x\":{deep}"),
    ] {
        assert_eq!(
            command(&format!(r#"{{{more},"type":"ping"}}"#)),
            Command::Ping
        );
    }
}

#[test]
fn fields_of_other_requests_are_not_looked_at() {
    let text = r#"{"type":"ping","room":7,"since":null,"data":[[]],"limit":"x","encoding":0}"#;
    assert_eq!(command(text), Command::Ping);
}

#[test]
fn data_is_passed_on_as_its_text() {
    for data in [
        "null",
        "0",
        "-0",
        "1e400",
        "9007199254740993",
        "123456789012345678901234567890.000",
        "\"\"",
        r#""\ud800 \/ \u0000""#,
        "\"\u{7f}\u{2028}ü\"",
        r#"{"b":1,"a":2,"b":3}"#,
        "[ 1,\n\t2 ]",
        &nested(64),
    ] {
        let content = published(&format!(
            r#"{{"type":"publish","room":"r","data": {data} }}"#
        ));
        assert_eq!(content.data, Payload::Json(data.into()));
    }
}

#[test]
fn brackets_and_quotes_inside_strings_are_not_nesting() {
    let data = format!(
        r#"["{}\"{}\\",{}]"#,
        "[".repeat(100),
        "{".repeat(100),
        nested(63)
    );
    assert_eq!(
        published(&format!(r#"{{"type":"publish","room":"r","data":{data}}}"#))
            .data
            .len(),
        data.len()
    );
}

#[test]
fn base64_is_standard_and_padded() {
    for (text, bytes) in [
        ("", &[][..]),
        ("AA==", &[0]),
        ("+/8=", &[0xfb, 0xff]),
        (r"\u0041A==", &[0]),
        (r"\/\/\/\/", &[0xff, 0xff, 0xff]),
    ] {
        let text =
            format!(r#"{{"type":"publish","room":"r","data":"{text}","encoding":"base64"}}"#);
        assert_eq!(
            published(&text).data,
            Payload::Binary(bytes.into()),
            "{text}"
        );
    }
}

#[test]
fn names_have_at_most_64_bytes_and_may_be_empty() {
    let long = "é".repeat(32);
    for name in ["", "a", "\\n", &long] {
        let text = format!(
            r#"{{"type":"publish","room":"r","data":0,"event":"{name}","message_id":"{name}"}}"#
        );
        let content = published(&text);
        assert_eq!(content.event, content.message_id);
    }
}

#[test]
fn info_is_any_json_of_at_most_1024_bytes_and_64_levels() {
    let long = format!("\"{}\"", "x".repeat(1022));
    for info in ["null", "7", r#"{"a":1}"#, &long, &nested(64)] {
        let Command::Connect { info: got, .. } =
            command(&format!(r#"{{"type":"connect","info":{info}}}"#))
        else {
            panic!("{info}")
        };
        assert_eq!(got.as_deref(), Some(info));
    }
}
