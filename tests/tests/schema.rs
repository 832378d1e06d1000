//! Rooms whose data must fit a schema.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::prelude::*;

fn orders() -> Value {
    json!({
        "type": "object",
        "required": ["count"],
        "properties": {"count": {"type": "integer"}, "items": {"items": {"$ref": "#/$defs/item"}}},
        "$defs": {"item": {"type": "string", "maxLength": 3}},
    })
}

fn manifest(schema: &Value) -> Manifest {
    Manifest::unhurried()
        .history(10)
        .room(json!({"match": "orders", "schema": schema}))
        .room(json!({"match": "words", "schema": {"type": "string", "maxLength": 5}}))
}

fn publish(data: &Value) -> Value {
    json!({"type": "publish", "room": "orders", "data": data})
}

#[test]
fn data_that_does_not_fit_is_refused_with_its_place_and_reaches_nobody() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest(&orders())).await;
        let (mut ann, mut bob) = (gateway.client().await, gateway.client().await);
        bob.subscribe("orders").await;
        for (data, pointer) in [
            (json!({"count": "3"}), "/data/count"),
            (json!({}), "/data"),
            (json!({"count": 1, "items": ["a", "long"]}), "/data/items/1"),
        ] {
            let error = ann.refused(publish(&data), "bad_request").await;
            assert_eq!(error["pointer"], pointer, "{error}");
        }
        ann.publish("orders", json!({"count": 3})).await;
        let message = bob.next_of("message").await;
        assert_eq!(message["data"], json!({"count": 3}));
        let history = ann.ack(json!({"type": "history", "room": "orders"})).await;
        assert_eq!(history["messages"].as_array().unwrap().len(), 1);
        ann.publish("other", json!("whatever")).await;
    });
}

#[test]
fn a_room_with_a_schema_takes_no_bytes() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest(&orders())).await;
        let mut client = gateway.client().await;
        let bytes =
            json!({"type": "publish", "room": "words", "data": "AAEC", "encoding": "base64"});
        let error = client.refused(bytes, "bad_request").await;
        assert_eq!(error["pointer"], "/data");
        client.publish("words", json!("AAEC")).await;
    });
}

#[test]
fn a_plain_client_whose_text_does_not_fit_is_closed_and_one_whose_text_fits_is_not() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest(&orders())).await;
        let mut plain = gateway.plain("words").await;
        plain.say("short").await;
        assert_eq!(plain.hear_text().await, "short");
        plain.say("too long").await;
        assert_eq!(plain.closed().await, (4008, "bad_request".to_owned()));
    });
}

#[test]
fn a_new_schema_holds_on_open_connections_and_a_bad_one_changes_nothing() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest(&orders())).await;
        let mut client = gateway.client().await;
        client.refused(publish(&json!("x")), "bad_request").await;
        gateway
            .reconfigure(&manifest(&json!({"type": "string"})))
            .await;
        client.ack(publish(&json!("x"))).await;
        gateway.replace(&manifest(&json!({"$ref": "https://example.com/x"})).yaml());
        let words = ["spec.rooms[0].schema", "only references into this schema"];
        gateway.stays_ready_but_says(&words).await;
        client.ack(publish(&json!("x"))).await;
    });
}
