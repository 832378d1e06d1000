//! What is said of frames that are not valid requests.

use super::*;

#[track_caller]
fn bad(text: &str) {
    let fault = fault(text);
    assert_eq!(
        fault.code,
        ErrorCode::BadRequest,
        "{text}: {}",
        fault.message
    );
    assert!(!fault.fatal && !fault.message.is_empty(), "{text}");
}

#[test]
fn a_frame_is_one_json_object() {
    for text in [
        "",
        " ",
        "null",
        "7",
        "\"ping\"",
        "[]",
        "[{\"type\":\"ping\"}]",
        "{",
        "{}",
        "{} {}",
        "{\"type\":\"ping\"}x",
        "{\"type\":\"ping\",}",
        "{type:\"ping\"}",
        "{'type':'ping'}",
        "\u{feff}{\"type\":\"ping\"}",
        "{\"type\":\"ping\" \"id\":1}",
        "{\"type\":\"p\ning\"}",
        "{\"type\":\"ping\",\"x\":01}",
        "{\"type\":\"ping\",\"x\":NaN}",
        "{\"type\":\"ping\",\"x\":\"\\x\"}",
        "{1:2,\"type\":\"ping\"}",
    ] {
        bad(text);
    }
}

#[test]
fn a_type_is_a_string() {
    for text in [
        r#"{"id":1}"#,
        r#"{"type":7}"#,
        r#"{"type":null}"#,
        r#"{"type":["ping"]}"#,
        r#"{"type":"\ud800"}"#,
    ] {
        bad(text);
    }
}

#[test]
fn an_unknown_type_is_told_with_its_beginning() {
    for (kind, told) in [
        ("pings", "pings"),
        ("", ""),
        ("PING", "PING"),
        (&"ü".repeat(40), &"ü".repeat(16)),
    ] {
        let fault = fault(&format!(r#"{{"type":"{kind}","id":"a"}}"#));
        assert_eq!(fault.code, ErrorCode::UnknownType);
        assert_eq!(fault.id, Some(RequestId::Text("a".into())));
        assert_eq!(fault.message, format!("unknown type {told:?}"));
    }
}

#[test]
fn what_a_request_needs_must_be_there() {
    for text in [
        r#"{"type":"subscribe"}"#,
        r#"{"type":"unsubscribe"}"#,
        r#"{"type":"publish","room":"r"}"#,
        r#"{"type":"publish","data":1}"#,
        r#"{"type":"publish","room":"r","encoding":"base64"}"#,
        r#"{"type":"send","data":1}"#,
        r#"{"type":"send","to":"ann"}"#,
        r#"{"type":"history"}"#,
        r#"{"type":"presence"}"#,
        r#"{"type":"refresh"}"#,
    ] {
        bad(text);
        assert!(fault(text).message.contains("is missing"), "{text}");
    }
}

#[test]
fn fields_have_their_types_and_null_is_none_of_them() {
    let wrong = |kind: &str, rest: &str, field: &str, values: &[&str]| {
        for value in values {
            bad(&format!(r#"{{"type":"{kind}"{rest},"{field}":{value}}}"#));
        }
    };
    let not_text = ["null", "7", "true", "[]", "{}"];
    let not_boolean = ["null", "0", "1", "\"true\"", "[]"];
    let not_integer = [
        "null",
        "-1",
        "1.0",
        "1e2",
        "\"1\"",
        "[1]",
        "9007199254740992",
        "18446744073709551616",
        "-0",
    ];
    for kind in ["subscribe", "unsubscribe", "history", "presence"] {
        wrong(kind, "", "room", &not_text);
    }
    wrong("publish", r#","data":1"#, "room", &not_text);
    wrong("send", r#","data":1"#, "to", &not_text);
    for field in ["event", "message_id", "encoding"] {
        wrong("publish", r#","room":"r","data":"""#, field, &not_text);
        wrong("send", r#","to":"u","data":"""#, field, &not_text);
    }
    wrong("publish", r#","room":"r","data":1"#, "echo", &not_boolean);
    wrong("subscribe", r#","room":"r""#, "presence", &not_boolean);
    for field in ["after", "before", "limit"] {
        wrong("history", r#","room":"r""#, field, &not_integer);
    }
    wrong("history", r#","room":"r""#, "limit", &["0", "101"]);
    wrong(
        "presence",
        r#","room":"r""#,
        "after",
        &["null", "7", "\"\"", "\"~x\"", "\"AAAAAAAAAAAAAAAAAAAAAA\""],
    );
    for field in ["token", "session"] {
        wrong("connect", "", field, &not_text);
    }
    wrong("refresh", "", "token", &not_text);
}

#[test]
fn since_is_an_object_of_epoch_and_offset() {
    let long = format!(r#"{{"epoch":"{}","offset":1}}"#, "x".repeat(129));
    for since in [
        "null",
        "7",
        "\"E\"",
        "[]",
        r#"["E",1]"#,
        "{}",
        r#"{"epoch":"E"}"#,
        r#"{"offset":1}"#,
        r#"{"epoch":7,"offset":1}"#,
        r#"{"epoch":null,"offset":1}"#,
        r#"{"epoch":"E","offset":null}"#,
        r#"{"epoch":"E","offset":-1}"#,
        r#"{"epoch":"E","offset":1.0}"#,
        r#"{"epoch":"E","offset":1e2}"#,
        r#"{"epoch":"E","offset":"1"}"#,
        r#"{"epoch":"E","offset":9007199254740992}"#,
        r#"{"epoch":"E","offset":1,"offset":1}"#,
        &long,
    ] {
        bad(&format!(
            r#"{{"type":"subscribe","room":"r","since":{since}}}"#
        ));
    }
}

#[test]
fn history_goes_in_one_direction_only() {
    bad(r#"{"type":"history","room":"r","after":1,"before":2}"#);
}

#[test]
fn a_session_is_22_characters_of_base64url() {
    let valid = SessionSecret::random().reveal();
    for session in [
        "",
        "x",
        &valid[1..],
        &format!("{valid}A"),
        &format!("{valid}=="),
        "////////////////////==",
        "AAAAAAAAAAAAAAAAAAAAAB",
    ] {
        bad(&format!(r#"{{"type":"connect","session":"{session}"}}"#));
    }
}

#[test]
fn a_room_name_that_is_none_has_a_code_of_its_own() {
    for (name, valid) in [
        ("x".repeat(256), true),
        ("🐦".repeat(64), true),
        ("x".repeat(257), false),
        (format!("{}ü", "x".repeat(255)), false),
        (String::new(), false),
        ("a\\nb".into(), false),
        ("\\u0000".into(), false),
        ("\\u009f".into(), false),
        ("\u{7f}".into(), false),
    ] {
        for kind in ["subscribe", "unsubscribe", "history", "presence"] {
            let outcome = request(&format!(r#"{{"type":"{kind}","room":"{name}"}}"#));
            let code = outcome.map(|_| ()).map_err(|fault| fault.code);
            assert_eq!(
                code,
                if valid {
                    Ok(())
                } else {
                    Err(ErrorCode::BadRoom)
                },
                "{kind} {name}"
            );
        }
    }
}

#[test]
fn a_lone_surrogate_is_no_name() {
    for text in [
        r#"{"type":"subscribe","room":"\ud800"}"#,
        r#"{"type":"send","to":"\udc00","data":1}"#,
        r#"{"type":"publish","room":"r","data":1,"event":"\ud800x"}"#,
        r#"{"type":"ping","id":"\ud83d"}"#,
        r#"{"type":"ping","\ud800":1}"#,
        r#"{"type":"publish","room":"r","data":"\ud800","encoding":"base64"}"#,
    ] {
        bad(text);
    }
}

#[test]
fn data_and_info_have_at_most_64_levels() {
    let (arrays, objects) = (
        nested(65),
        format!("{}1{}", "{\"a\":".repeat(65), "}".repeat(65)),
    );
    for deep in [&arrays, &objects, &nested(5000)] {
        bad(&format!(r#"{{"type":"publish","room":"r","data":{deep}}}"#));
        bad(&format!(r#"{{"type":"send","to":"u","data":{deep}}}"#));
    }
    bad(&format!(r#"{{"type":"connect","info":{arrays}}}"#));
}

#[test]
fn info_over_1024_bytes_and_names_over_64_are_too_long() {
    bad(&format!(
        r#"{{"type":"connect","info":"{}"}}"#,
        "x".repeat(1023)
    ));
    let long = "é".repeat(33);
    for field in ["event", "message_id"] {
        bad(&format!(
            r#"{{"type":"publish","room":"r","data":1,"{field}":"{long}"}}"#
        ));
    }
}

#[test]
fn binary_is_valid_base64_in_a_string() {
    for (data, encoding) in [
        ("7", "base64"),
        ("null", "base64"),
        ("[]", "base64"),
        ("\"AA\"", "base64"),
        ("\"AA=\"", "base64"),
        ("\"A\"", "base64"),
        ("\"AB==\"", "base64"),
        ("\"AA==\\n\"", "base64"),
        ("\" AA==\"", "base64"),
        ("\"-_8=\"", "base64"),
        ("\"\"", "Base64"),
        ("\"\"", "base64url"),
        ("\"\"", ""),
    ] {
        bad(&format!(
            r#"{{"type":"publish","room":"r","data":{data},"encoding":"{encoding}"}}"#
        ));
    }
}

#[test]
fn a_field_may_not_stand_there_twice() {
    for text in [
        r#"{"type":"ping","type":"ping"}"#,
        r#"{"type":"ping","id":1,"id":1}"#,
        r#"{"type":"ping","x":1,"x":1}"#,
        r#"{"type":"ping","x":1,"\u0078":2}"#,
        r#"{"type":"publish","room":"r","data":1,"d\u0061ta":2}"#,
        r#"{"type":"ping","":1,"":2}"#,
    ] {
        bad(text);
        assert!(fault(text).message.contains("twice"), "{text}");
    }
}

#[test]
fn an_id_that_is_none_is_not_echoed() {
    let long = format!("\"{}\"", "x".repeat(65));
    for id in [
        "null",
        "-1",
        "1.0",
        "1e3",
        "9007199254740992",
        "true",
        "[1]",
        "{}",
        &long,
        "\"\\ud800\"",
    ] {
        for kind in ["ping", "nothing"] {
            let fault = fault(&format!(r#"{{"type":"{kind}","id":{id}}}"#));
            assert_eq!(
                (fault.code, fault.id),
                (ErrorCode::BadRequest, None),
                "{id}"
            );
        }
    }
}

#[test]
fn a_fault_has_the_id_wherever_it_stands() {
    for text in [
        r#"{"id":7,"type":"publish"}"#,
        r#"{"type":"publish","id":7}"#,
        r#"{"type":"subscribe","room":"","id":7}"#,
        r#"{"id":7,"type":null}"#,
        r#"{"id":7}"#,
        r#"{"id":7,"type":"ping","type":"ping"}"#,
        r#"{"type":"ping","type":"ping","id":7}"#,
        r#"{"x":1,"x":2,"type":"ping","id":7}"#,
        r#"{"id":7,"type":"ping",}"#,
        r#"{"id":7,"type":"ping"} trailing"#,
    ] {
        assert_eq!(fault(text).id, Some(RequestId::Number(7)), "{text}");
    }
}

#[test]
fn a_fault_does_not_repeat_what_was_sent_at_length() {
    let long = "x".repeat(50_000);
    for text in [
        format!("\"{long}\""),
        format!(r#"{{"{long}":1,"{long}":2,"type":"ping"}}"#),
        format!(r#"{{"type":"{long}"}}"#),
        format!(r#"{{"type":"subscribe","room":"{long}"}}"#),
        format!(r#"{{"type":"publish","room":"r","data":1,"encoding":"{long}"}}"#),
        format!(r#"{{"type":"ping","id":"{long}"}}"#),
    ] {
        let message = fault(&text).message;
        assert!(
            message.len() <= 256,
            "{} bytes: {}",
            message.len(),
            &message[..100]
        );
    }
}

#[test]
fn a_binary_frame_cannot_be_a_request() {
    use crate::protocol::{Frame, Memory, Protocol, json::Json};
    let fault = Json
        .decode(Frame::Binary(br#"{"type":"ping"}"#), &mut Memory::default())
        .unwrap_err();
    assert!(fault.fatal);
    assert!(fault.message.len() <= 123, "it becomes a close reason");
}
