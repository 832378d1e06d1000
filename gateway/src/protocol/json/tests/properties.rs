//! What holds for any text, and for any valid request.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// JSON of all shapes.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(".{0,8}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Text that is nearly a request, so that more than its first byte is looked at.
fn nearly() -> impl Strategy<Value = String> {
    let name = prop::sample::select(
        &[
            "type",
            "id",
            "room",
            "since",
            "data",
            "encoding",
            "event",
            "limit",
            "after",
            "before",
            "info",
            "session",
            "to",
            "echo",
            "presence",
            "token",
            "message_id",
            "x",
            "t\\u0079pe",
        ][..],
    );
    let kind = prop::sample::select(
        &[
            "connect",
            "subscribe",
            "unsubscribe",
            "publish",
            "send",
            "history",
            "presence",
            "request",
            "refresh",
            "ping",
        ][..],
    );
    let field = prop_oneof![
        4 => (name.clone(), value()).prop_map(|(name, value)| format!("\"{name}\":{value}")),
        2 => kind.prop_map(|kind| format!("\"type\":\"{kind}\"")),
        1 => Just("\"encoding\":\"base64\"".to_owned()),
        1 => (name, ".{0,12}").prop_map(|(name, text)| format!("\"{name}\":{text}")),
    ];
    prop::collection::vec(field, 0..8).prop_map(|fields| format!("{{{}}}", fields.join(",")))
}

fn name() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| text[..text.floor_char_boundary(64)].to_owned())
}

fn room_name() -> impl Strategy<Value = String> {
    "[^\\p{Cc}]{1,60}"
}

/// A valid request as JSON, with what it means.
fn valid() -> impl Strategy<Value = (Value, Command)> {
    let content = || {
        (
            prop::option::of(name()),
            prop::option::of(name()),
            prop_oneof![
                value().prop_map(Ok),
                prop::collection::vec(any::<u8>(), 0..40).prop_map(Err),
            ],
        )
    };
    let offset = || 0..(1u64 << 53);
    prop_oneof![
        (
            room_name(),
            prop::option::of((".{0,30}", offset())),
            any::<bool>()
        )
            .prop_map(|(name, since, presence)| {
                let mut text = json!({"type": "subscribe", "room": name, "presence": presence});
                if let Some((epoch, offset)) = &since {
                    text["since"] = json!({"epoch": epoch, "offset": offset});
                }
                let since = since.map(|(epoch, offset)| Since {
                    epoch: Epoch::from_client(&epoch),
                    offset: Offset(offset),
                });
                (
                    text,
                    Command::Subscribe {
                        room: room(&name),
                        since,
                        presence,
                    },
                )
            }),
        (room_name(), content(), any::<bool>()).prop_map(|(name, content, echo)| {
            let (mut text, content) = written(content);
            text["type"] = json!("publish");
            text["room"] = json!(name);
            text["echo"] = json!(echo);
            (
                text,
                Command::Publish {
                    room: room(&name),
                    content,
                    echo,
                },
            )
        }),
        (any::<String>(), content()).prop_map(|(to, content)| {
            let (mut text, content) = written(content);
            text["type"] = json!("send");
            text["to"] = json!(to);
            (
                text,
                Command::Send {
                    to: to.into(),
                    content,
                },
            )
        }),
        (room_name(), offset(), any::<bool>(), 1..=100usize).prop_map(
            |(name, offset, after, limit)| {
                let (field, range) = match after {
                    true => ("after", HistoryRange::After(Offset(offset))),
                    false => ("before", HistoryRange::Before(Offset(offset))),
                };
                let mut text = json!({"type": "history", "room": name, "limit": limit});
                text[field] = json!(offset);
                (
                    text,
                    Command::History {
                        room: room(&name),
                        range,
                        limit,
                    },
                )
            }
        ),
    ]
}

type Parts = (Option<String>, Option<String>, Result<Value, Vec<u8>>);

fn written((event, message_id, data): Parts) -> (Value, Content) {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let mut text = json!({});
    let data = match data {
        Ok(value) => {
            let payload = Payload::Json(value.to_string().into());
            text["data"] = value;
            payload
        }
        Err(bytes) => {
            text["data"] = json!(STANDARD.encode(&bytes));
            text["encoding"] = json!("base64");
            Payload::Binary(bytes.into())
        }
    };
    for (field, value) in [("event", &event), ("message_id", &message_id)] {
        if let Some(value) = value {
            text[field] = json!(value);
        }
    }
    let boxed = |text: Option<String>| text.map(Into::into);
    (
        text,
        Content {
            event: boxed(event),
            data,
            message_id: boxed(message_id),
            caller: None,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_decoder_panic(text in any::<String>(), nearly in nearly(), cut in any::<prop::sample::Index>()) {
        let _ = request(&text);
        let _ = request(&nearly);
        let _ = request(&nearly[..nearly.floor_char_boundary(cut.index(nearly.len() + 1))]);
    }

    #[test]
    fn what_is_accepted_is_json_and_fields_of_one_name_are_not(text in nearly()) {
        if request(&text).is_ok() {
            let all: Result<Value, _> = serde_json::from_str(&text);
            // A lone surrogate may stand in data and in unknown fields; numbers may be beyond f64.
            prop_assert!(all.is_ok() || text.contains("\\u") || text.contains("number"), "{text}");
        }
    }

    #[test]
    fn a_valid_request_means_what_it_says((mut text, expected) in valid(), number in prop::option::of(0..(1u64 << 53))) {
        if let Some(id) = number {
            text["id"] = json!(id);
        }
        let got = request(&text.to_string());
        prop_assert_eq!(got, Ok(Request { id: number.map(RequestId::Number), command: expected }));
    }
}
