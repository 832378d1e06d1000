//! Text frames that are no valid request: each gets its documented code, the connection stays, nobody else notices.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::prelude::*;
use tokio_tungstenite::tungstenite::Message;

/// Sends each text; the answer must be an error with the code beside it.
async fn table(manifest: Manifest, rows: &[(&str, &str)]) {
    let gateway = Gateway::start(&manifest).await;
    let mut bystander = Bystander::new(&gateway).await;
    let mut client = gateway.client().await;
    client.ack(json!({"type": "connect"})).await;
    for (text, code) in rows {
        let shown: String = text.chars().take(200).collect();
        client.send_text(*text).await;
        let error = client.next_of("error").await;
        assert_eq!(error["code"], *code, "{shown}: {error}");
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{shown}: {error}"
        );
        client.settle().await;
    }
    bystander.is_well().await;
}

#[test]
fn malformed_json_is_a_bad_request() {
    scenario(60, async {
        let rows = [
            "",
            " ",
            "{",
            "}",
            "[]",
            "null",
            "true",
            "1",
            "\"publish\"",
            "{}}",
            "{\"type\"}",
            "{'type':'ping'}",
            "{\"type\":\"ping\",}",
            "{type:\"ping\"}",
            "{\"type\":\"ping\"} {\"type\":\"ping\"}",
            "\u{feff}{\"type\":\"ping\"}",
            "{\"type\":\"ping\"",
            "{\"type\":\"pi\nng\"}",
            "{\"type\":\"\\ud800\"}",
            "{\"type\":\"\\x\"}",
            "{\"type\":\"publish\",\"room\":\"a\",\"data\":01}",
            "{\"type\":\"publish\",\"room\":\"a\",\"data\":NaN}",
            "{\"type\":\"publish\",\"room\":\"a\",\"data\":1.}",
            "{\"type\":\"publish\",\"room\":\"a\",\"data\":}",
            "{\"type\":\"publish\",\"room\":\"a\",\"data\":[1,]}",
            "{\"type\":\"publish\",\"room\":\"a\",\"data\":{\"a\":}}",
            "{\"type\":\"publish\",\"room\":\"a\",\"data\":\"\\u12\"}",
            "\0",
            "{\"type\":\"ping\"}\0",
        ];
        table(
            Manifest::unhurried(),
            &rows.map(|text| (text, "bad_request")),
        )
        .await;
    });
}

#[test]
fn wrong_types_and_missing_fields_are_bad_requests_and_unknown_types_are_named_so() {
    scenario(60, async {
        let rows = [
            (r#"{}"#, "bad_request"),
            (r#"{"room":"a"}"#, "bad_request"),
            (r#"{"type":1}"#, "bad_request"),
            (r#"{"type":null}"#, "bad_request"),
            (r#"{"type":["ping"]}"#, "bad_request"),
            (r#"{"type":""}"#, "unknown_type"),
            (r#"{"type":"Publish","room":"a","data":1}"#, "unknown_type"),
            (r#"{"type":"message","room":"a","data":1}"#, "unknown_type"),
            (r#"{"type":"connected"}"#, "unknown_type"),
            (r#"{"type":"subscribe"}"#, "bad_request"),
            (r#"{"type":"subscribe","room":1}"#, "bad_request"),
            (r#"{"type":"subscribe","room":null}"#, "bad_request"),
            (r#"{"type":"subscribe","room":["a"]}"#, "bad_request"),
            (
                r#"{"type":"subscribe","room":"a","presence":"yes"}"#,
                "bad_request",
            ),
            (
                r#"{"type":"subscribe","room":"a","since":{}}"#,
                "bad_request",
            ),
            (r#"{"type":"unsubscribe"}"#, "bad_request"),
            (r#"{"type":"publish","data":1}"#, "bad_request"),
            (r#"{"type":"publish","room":"a"}"#, "bad_request"),
            (
                r#"{"type":"publish","room":"a","data":1,"event":2}"#,
                "bad_request",
            ),
            (
                r#"{"type":"publish","room":"a","data":1,"echo":"no"}"#,
                "bad_request",
            ),
            (
                r#"{"type":"publish","room":"a","data":1,"message_id":1}"#,
                "bad_request",
            ),
            (
                r#"{"type":"publish","room":"a","data":1,"encoding":"base64"}"#,
                "bad_request",
            ),
            (
                r#"{"type":"publish","room":"a","data":"a","encoding":"rot13"}"#,
                "bad_request",
            ),
            (
                r#"{"type":"publish","room":"a","data":"*?","encoding":"base64"}"#,
                "bad_request",
            ),
            (r#"{"type":"send","data":1}"#, "bad_request"),
            (r#"{"type":"send","to":"x"}"#, "bad_request"),
            (r#"{"type":"send","to":7,"data":1}"#, "bad_request"),
            (r#"{"type":"history"}"#, "bad_request"),
            (
                r#"{"type":"history","room":"a","after":"x"}"#,
                "bad_request",
            ),
            (r#"{"type":"presence","room":7}"#, "bad_request"),
            (r#"{"type":"refresh"}"#, "bad_request"),
            (r#"{"type":"ping","id":{}}"#, "bad_request"),
            (r#"{"type":"ping","id":null}"#, "bad_request"),
            (r#"{"type":"ping","id":true}"#, "bad_request"),
        ];
        table(Manifest::unhurried().history(10), &rows).await;
    });
}

#[test]
fn duplicate_keys_at_the_top_are_bad_requests() {
    scenario(60, async {
        let rows = [
            r#"{"type":"ping","type":"ping"}"#,
            r#"{"type":"subscribe","room":"a","room":"b"}"#,
            r#"{"type":"publish","room":"a","data":1,"data":2}"#,
            r#"{"type":"publish","room":"a","data":1,"d\u0061ta":2}"#,
            r#"{"type":"ping","id":1,"id":1}"#,
        ];
        table(
            Manifest::unhurried(),
            &rows.map(|text| (text, "bad_request")),
        )
        .await;
    });
}

#[test]
fn data_may_be_64_deep_and_no_deeper() {
    scenario(60, async {
        let nested = |open: &str, close: &str, depth: usize| {
            let data = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            format!(r#"{{"type":"publish","room":"a","data":{data}}}"#)
        };
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut client = gateway.client().await;
        client.subscribe("a").await;
        for fine in [nested("[", "]", 64), nested(r#"{"a":"#, "}", 64)] {
            client.send_text(fine).await;
            client.next_of("message").await;
        }
        for deep in [
            nested("[", "]", 65),
            nested(r#"{"a":"#, "}", 65),
            nested("[", "]", 30_000),
            format!(
                r#"{{"type":"publish","room":"a","data":{}"#,
                "[".repeat(60_000)
            ),
        ] {
            client.send_text(deep).await;
            assert_eq!(client.next_of("error").await["code"], "bad_request");
        }
        // A bomb in a field that nobody reads: ignored or refused, as long as it does not go off.
        let (open, close) = ("[".repeat(30_000), "]".repeat(30_000));
        client
            .send_text(format!(r#"{{"type":"ping","unknown":{open}1{close}}}"#))
            .await;
        let answer = client.next().await;
        assert!(
            answer["type"] == "pong" || answer["code"] == "bad_request",
            "{answer}"
        );
        client.publish("a", json!("alive")).await;
    });
}

#[test]
fn unknown_fields_are_ignored() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut client = gateway.client().await;
        client
            .ack(json!({"type": "subscribe", "room": "a", "colour": {"deep": [1, 2]}, "Room": 7}))
            .await;
    });
}

#[test]
fn the_id_of_a_faulty_request_is_given_back_where_it_could_be_read() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut client = gateway.client().await;
        client
            .refused(json!({"type": "subscribe", "room": 7}), "bad_request")
            .await;
        client
            .refused(json!({"type": "no such thing"}), "unknown_type")
            .await;
    });
}

#[test]
fn message_ids_and_their_like_are_bounded() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(10)).await;
        let mut client = gateway.client().await;
        let publish =
            |id: &str| json!({"type": "publish", "room": "a", "data": 1, "message_id": id});
        client.ack(publish(&"i".repeat(64))).await;
        client
            .refused(publish(&"i".repeat(65)), "bad_request")
            .await;
        client
            .refused(publish(&"é".repeat(33)), "bad_request")
            .await;
    });
}

#[test]
fn a_binary_frame_on_a_json_session_closes_1003() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut bystander = Bystander::new(&gateway).await;
        let mut client = gateway.client().await;
        client
            .send_raw(Message::binary(br#"{"type":"ping"}"#.to_vec()))
            .await;
        assert_eq!(client.closed().await.0, 1003);
        bystander.is_well().await;
    });
}

#[test]
fn asking_for_100_000_rooms_gets_as_many_as_the_limit_says() {
    scenario(120, async {
        let manifest = Manifest::unhurried()
            .history(10)
            .limits(json!({"roomsPerConnection": 100}));
        let gateway = Gateway::start(&manifest).await;
        let mut bystander = Bystander::new(&gateway).await;
        let before = gateway.rss();
        let mut client = gateway.client().await;
        let mut taken = 0;
        for n in 0..100_000 {
            client
                .send(json!({"type": "subscribe", "room": format!("room {n}"), "id": n}))
                .await;
            // Read along, or this would be a test of slow consumers.
            if let Err(error) = client.answer(&json!(n)).await {
                assert_eq!(error["code"], "too_many_rooms");
            } else {
                taken += 1;
            }
            // Often, since it answers pings only when it reads.
            if n % 1000 == 0 {
                bystander.is_well().await;
            }
        }
        assert_eq!(taken, 100);
        let grown = gateway.rss().saturating_sub(before);
        assert!(grown < 64 << 20, "refused rooms cost {grown} bytes");
    });
}
