//! What a handler may say, and what it may not.

use serde_json::json;

use super::super::answer::{Answer, AnswerError, Emit, Reject, most_bytes};
use crate::message::Payload;
use crate::names::{BadRoomName, RoomName};

const SIZE: usize = 100;

fn parse(body: &str) -> Result<Answer, AnswerError> {
    Answer::parse(body.as_bytes(), SIZE)
}

fn rooms(names: &[&str]) -> Vec<RoomName> {
    names
        .iter()
        .map(|name| RoomName::parse(name).unwrap())
        .collect()
}

#[test]
fn nothing_is_an_answer_without_anything_in_it() {
    for body in ["", " \n", "{}"] {
        assert_eq!(parse(body), Ok(Answer::default()), "{body:?}");
    }
}

#[test]
fn all_fields_are_read_and_data_stays_as_it_was_written() {
    let body = r#"{"data": {"n": 12345678901234567890.50}, "join": ["a", "b"], "leave": ["c"],
        "emit": [{"event": "hi", "data": null}, {"data": "AAE=", "encoding": "base64"}]}"#;
    let expected = Answer {
        data: Some(Payload::Json(r#"{"n": 12345678901234567890.50}"#.into())),
        reject: None,
        join: rooms(&["a", "b"]),
        leave: rooms(&["c"]),
        emit: vec![
            Emit {
                event: Some("hi".into()),
                data: Payload::Json("null".into()),
            },
            Emit {
                event: None,
                data: Payload::Binary([0, 1].into()),
            },
        ],
    };
    assert_eq!(parse(body), Ok(expected));
    let null = parse(r#"{"data": null}"#).unwrap().data;
    assert_eq!(null, Some(Payload::Json("null".into())), "null is a value");
}

#[test]
fn a_refusal_has_a_code_and_words_or_neither_and_stands_alone() {
    let reject = |body| parse(body).map(|answer| answer.reject);
    let bare = Reject {
        code: None,
        message: None,
    };
    assert_eq!(reject(r#"{"reject": {}}"#), Ok(Some(bare)));
    let full = Reject {
        code: Some("banned".into()),
        message: Some("go away".into()),
    };
    let body = r#"{"reject": {"code": "banned", "message": "go away"}}"#;
    assert_eq!(reject(body), Ok(Some(full)));
    for more in [
        r#""data": 1"#,
        r#""join": ["a"]"#,
        r#""emit": [{"data": 1}]"#,
    ] {
        let body = format!(r#"{{"reject": {{}}, {more}}}"#);
        assert_eq!(parse(&body), Err(AnswerError::Both), "{body}");
    }
}

#[test]
fn what_is_no_answer_is_refused_whole() {
    for body in [
        "yes",
        "[]",
        r#"["data"]"#,
        "\"data\"",
        "null",
        "{",
        r#"{"data": 1} x"#,
        r#"{"rejected": {}}"#,
        r#"{"reject": true}"#,
        r#"{"reject": {"mesage": "a"}}"#,
        r#"{"join": "a"}"#,
        r#"{"join": null}"#,
        r#"{"join": [1]}"#,
        r#"{"emit": [{"event": "a"}]}"#,
        r#"{"data": 1, "data": 2}"#,
    ] {
        let read = parse(body);
        assert!(
            matches!(read, Err(AnswerError::Shape(..))),
            "{body}: {read:?}"
        );
    }
    assert!(Answer::parse(b"{\"data\": \"\xff\"}", SIZE).is_err());
}

#[test]
fn everything_is_bounded() {
    let long = "x".repeat(SIZE);
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    let many: Vec<String> = (0..1001).map(|number| number.to_string()).collect();
    let emits = vec![json!({"data": 1}); 17];
    for (answer, expected) in [
        (json!({ "data": long }), AnswerError::Large("data")),
        (
            json!({"emit": [{ "data": long }]}),
            AnswerError::Large("data of emit"),
        ),
        (json!({ "join": many }), AnswerError::Many("join", 1000)),
        (json!({ "leave": many }), AnswerError::Many("leave", 1000)),
        (json!({ "emit": emits }), AnswerError::Many("emit", 16)),
        (
            json!({"emit": [{"data": 1, "event": long}]}),
            AnswerError::Long("event", 64),
        ),
        (
            json!({"reject": {"code": long}}),
            AnswerError::Long("code", 64),
        ),
        (
            json!({"reject": {"message": "x".repeat(1025)}}),
            AnswerError::Long("message", 1024),
        ),
        (
            json!({"join": [""]}),
            AnswerError::Room("join", BadRoomName::Empty),
        ),
        (json!({"encoding": "base64"}), AnswerError::Encoding),
        (json!({"data": 1, "encoding": "hex"}), AnswerError::Encoding),
        (
            json!({"data": 1, "encoding": "base64"}),
            AnswerError::Base64("data"),
        ),
        (
            json!({"data": "?", "encoding": "base64"}),
            AnswerError::Base64("data"),
        ),
    ] {
        assert_eq!(parse(&answer.to_string()), Err(expected), "{answer}");
    }
    let deep = Answer::parse(format!(r#"{{"data": {deep}}}"#).as_bytes(), 1000);
    assert_eq!(deep, Err(AnswerError::Deep("data")));
}

#[test]
fn what_is_wrong_is_told_without_what_was_said() {
    let error = parse(r#"{"secret": 1}"#).unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn base64_of_a_whole_message_fits_into_an_answer() {
    for size in [1, 1024, 16 * 1024 * 1024] {
        assert!(most_bytes(size) > size.div_ceil(3) * 4);
    }
}

proptest::proptest! {
    #[test]
    fn nothing_that_is_said_makes_it_panic(body in proptest::collection::vec(0u8.., 0..200)) {
        let _ = Answer::parse(&body, SIZE);
    }

    #[test]
    fn nothing_that_looks_like_json_makes_it_panic(
        body in r#"\{("(data|join|emit|reject)": ?([0-9]|"a"|null|\[\]|\{\}|\["a"\]),? ?){0,4}\}"#,
    ) {
        let _ = parse(&body);
    }
}
