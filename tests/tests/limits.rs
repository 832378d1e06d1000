//! Every limit of `spec.limits` that needs no token: its code, what to do about it, and that it hits only who broke it.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::time::{Duration, Instant};

use linnet_tests::prelude::*;
use linnet_tests::raw;

fn publish(data: &Value) -> Value {
    json!({"type": "publish", "room": "lobby", "data": data})
}

/// How long an error asks to wait; must be there, above zero and at most `most` milliseconds.
fn retry_after(error: &Value, most: u64) -> Duration {
    let wait = error["retry_after_ms"].as_u64();
    let wait = wait.unwrap_or_else(|| panic!("no retry_after_ms: {error}"));
    assert!((1..=most).contains(&wait), "{error}");
    Duration::from_millis(wait)
}

/// Sends `request` until it is refused; gives the error, and how often it was acked before. On a machine that is held up
/// the rate may allow one more meanwhile, but not again and again.
async fn until_refused(client: &mut Client, request: Value) -> (Value, usize) {
    for acked in 0..1000 {
        if let Err(error) = client.request(request.clone()).await {
            assert_eq!(error["code"], "rate_limited", "{error}");
            return (error, acked);
        }
    }
    panic!("{request} was never refused");
}

/// Sends `request` a hundred times, or until the gateway has closed the connection.
async fn flood(client: &mut Client, request: &Value) {
    for _ in 0..100 {
        if !client.send_or_end(request.clone()).await {
            return;
        }
    }
}

#[test]
fn the_greeting_tells_the_limits_that_hold() {
    scenario(60, async {
        let limits = json!({"messageSize": "8Ki", "messagesPerSecond": 7, "messageBurst": 9, "roomsPerConnection": 3});
        let beats = json!({"heartbeat": {"intervalSeconds": 11, "timeoutSeconds": 5}});
        let gateway = Gateway::start_with(
            &Manifest::open().limits(limits).spec(beats),
            &["--name", "gw-7"],
        )
        .await;
        let connected = gateway.client().await.connected;
        let expected = json!({"message_size": 8192, "messages_per_second": 7, "message_burst": 9, "rooms_per_connection": 3});
        assert_eq!(connected["limits"], expected);
        assert_eq!(
            (&connected["ping"], &connected["timeout"]),
            (&json!(11), &json!(5))
        );
        assert_eq!(connected["gateway"], "gw-7");
        let id = connected["connection_id"].as_str().unwrap();
        assert!(id.starts_with('~') && id.len() == 23, "{id}");
        assert_eq!(connected["session"].as_str().unwrap().len(), 22);
    });
}

#[test]
fn message_size_bounds_the_payload_in_each_of_its_forms() {
    scenario(60, async {
        let manifest = Manifest::unhurried().limits(json!({"messageSize": "1Ki"}));
        let gateway = Gateway::start(&manifest).await;
        let mut client = gateway.client().await;
        // The JSON text of the data counts, its quotes included.
        client.publish("lobby", json!("x".repeat(1022))).await;
        client
            .refused(publish(&json!("x".repeat(1023))), "message_too_large")
            .await;
        // Of base64 the decoded bytes count.
        let bytes = |count| {
            use base64::Engine as _;
            let data = base64::engine::general_purpose::STANDARD.encode(vec![1; count]);
            json!({"type": "publish", "room": "lobby", "data": data, "encoding": "base64"})
        };
        client.ack(bytes(1024)).await;
        client.refused(bytes(1025), "message_too_large").await;
        let send = json!({"type": "send", "to": client.id(), "data": "x".repeat(1023)});
        client.refused(send, "message_too_large").await;

        let mut plain = gateway.plain("lobby").await;
        plain.settle(&"x".repeat(1024)).await;
        plain.say(&"x".repeat(1025)).await;
        assert_eq!(plain.closed().await, (1009, "message_too_large".to_owned()));
        client.publish("lobby", json!("still here")).await;
    });
}

#[test]
fn a_frame_far_over_message_size_closes_1009_before_it_is_all_there() {
    scenario(60, async {
        let manifest = Manifest::unhurried().limits(json!({"messageSize": "1Ki"}));
        let gateway = Gateway::start(&manifest).await;
        // 1.4 × 1024 + 16 KiB = 17,817: this much is still a request, if a refused one.
        let mut client = gateway.client().await;
        client
            .refused(publish(&json!("x".repeat(17_000))), "message_too_large")
            .await;

        let mut raw = Raw::upgraded(gateway.public, "").await;
        raw.send(&raw::frame_with(0x81, 0x80, 18_000, b"{")).await;
        assert_eq!(raw.closed().await.0, 1009);
        // In fragments too: the sum counts.
        let mut raw = Raw::upgraded(gateway.public, "").await;
        raw.send(&raw::frame(raw::op::TEXT, &[b' '; 9000])).await;
        raw.send(&raw::frame(raw::op::CONTINUATION, &[b' '; 9000]))
            .await;
        assert_eq!(raw.closed().await.0, 1009);
    });
}

#[test]
fn messages_over_the_rate_are_refused_until_the_time_that_the_error_tells() {
    scenario(60, async {
        let manifest = Manifest::open().limits(json!({"messagesPerSecond": 2, "messageBurst": 5}));
        let gateway = Gateway::start(&manifest).await;
        let mut client = gateway.client().await;
        let mut bystander = gateway.client().await;
        let (error, acked) = until_refused(&mut client, publish(&json!(1))).await;
        assert!(acked >= 5, "the burst: {acked}");
        let wait = retry_after(&error, 500);
        bystander.publish("lobby", json!("mine")).await;
        // Subscribing and asking are not publishing.
        client.subscribe("lobby").await;
        tokio::time::sleep(wait).await;
        client.publish("lobby", json!("in time")).await;
    });
}

#[test]
fn send_counts_as_a_message() {
    scenario(60, async {
        let manifest = Manifest::open().limits(json!({"messagesPerSecond": 1, "messageBurst": 2}));
        let gateway = Gateway::start(&manifest).await;
        let mut client = gateway.client().await;
        let send = json!({"type": "send", "to": client.id(), "data": 1});
        let (error, acked) = until_refused(&mut client, send).await;
        assert!(acked >= 2, "the burst: {acked}");
        retry_after(&error, 1000);
    });
}

#[test]
fn a_flood_of_messages_ends_in_a_close() {
    scenario(60, async {
        let manifest = Manifest::open().limits(json!({"messagesPerSecond": 1, "messageBurst": 10}));
        let gateway = Gateway::start(&manifest).await;
        let mut flooder = gateway.client().await;
        let mut bystander = gateway.client().await;
        flood(&mut flooder, &publish(&json!(1))).await;
        assert_eq!(flooder.closed().await, (4101, "rate_limited".to_owned()));
        bystander.publish("lobby", json!("unharmed")).await;
    });
}

#[test]
fn a_flood_of_faulty_frames_ends_in_a_close() {
    scenario(60, async {
        let manifest = Manifest::open().limits(json!({"messagesPerSecond": 1, "messageBurst": 10}));
        let gateway = Gateway::start(&manifest).await;
        let mut flooder = gateway.client().await;
        // A string is JSON, but no request.
        flood(&mut flooder, &json!("{")).await;
        assert_eq!(flooder.closed().await, (4101, "rate_limited".to_owned()));
    });
}

#[test]
fn a_flood_of_questions_that_a_room_has_no_answer_to_ends_in_a_close() {
    for question in ["history", "presence"] {
        scenario(60, async {
            let manifest =
                Manifest::open().limits(json!({"messagesPerSecond": 1, "messageBurst": 10}));
            let gateway = Gateway::start(&manifest).await;
            let mut flooder = gateway.client().await;
            flood(&mut flooder, &json!({"type": question, "room": "lobby"})).await;
            assert_eq!(flooder.closed().await, (4101, "rate_limited".to_owned()));
        });
    }
}

#[test]
fn a_flood_of_questions_is_refused_and_one_that_goes_on_ends_in_a_close() {
    scenario(60, async {
        let limits = json!({"messagesPerSecond": 1, "messageBurst": 10, "roomsPerConnection": 1});
        let gateway = Gateway::start(&Manifest::open().history(10).limits(limits)).await;
        let mut flooder = gateway.client().await;
        let begun = Instant::now();
        flooder
            .ack(json!({"type": "unsubscribe", "room": "lobby"}))
            .await;
        flooder.settle().await;
        let question = json!({"type": "history", "room": "lobby"});
        let (refused, acked) = until_refused(&mut flooder, question).await;
        // Both have cost one of three, which come again within a second.
        let most = 1.0 + 3.0 * begun.elapsed().as_secs_f64();
        assert!(acked >= 1 && acked as f64 <= most, "{acked}, not {most}");
        assert!(
            refused["retry_after_ms"].as_u64().unwrap() <= 334,
            "{refused}"
        );
        flood(&mut flooder, &json!({"type": "ping"})).await;
        assert_eq!(flooder.closed().await, (4101, "rate_limited".to_owned()));
    });
}

#[test]
fn a_plain_client_over_the_rate_is_closed_with_the_code() {
    scenario(60, async {
        let manifest = Manifest::open().limits(json!({"messagesPerSecond": 1, "messageBurst": 3}));
        let gateway = Gateway::start(&manifest).await;
        let mut plain = gateway.plain("lobby").await;
        for _ in 0..10 {
            if !plain.say_or_end("again").await {
                break;
            }
        }
        assert_eq!(plain.closed().await, (4101, "rate_limited".to_owned()));
    });
}

#[test]
fn bytes_over_the_rate_are_refused() {
    scenario(60, async {
        let manifest =
            Manifest::unhurried().limits(json!({"messageSize": "1Ki", "bytesPerSecond": "4Ki"}));
        let gateway = Gateway::start(&manifest).await;
        let mut client = gateway.client().await;
        let large = publish(&json!("x".repeat(900)));
        let (error, _) = until_refused(&mut client, large).await;
        tokio::time::sleep(retry_after(&error, 2000)).await;
        client.publish("lobby", json!("small")).await;
    });
}

#[test]
fn subscribing_has_a_rate_of_its_own() {
    scenario(60, async {
        let manifest = Manifest::unhurried().limits(json!({"subscribesPerSecond": 2}));
        let gateway = Gateway::start(&manifest).await;
        let mut client = gateway.client().await;
        let mut refused = None;
        for n in 0..20 {
            let request = json!({"type": "subscribe", "room": format!("r{n}")});
            if let Err(error) = client.request(request).await {
                refused = Some(error);
                break;
            }
        }
        let error = refused.expect("twenty subscribes at once are over two a second");
        assert_eq!(error["code"], "rate_limited");
        client
            .publish("lobby", json!("publishing is not subscribing"))
            .await;
        tokio::time::sleep(retry_after(&error, 500)).await;
        client.subscribe("later").await;
    });
}

#[test]
fn rooms_per_connection_is_a_number_of_rooms_held_at_once() {
    scenario(60, async {
        let manifest = Manifest::unhurried().limits(json!({"roomsPerConnection": 2}));
        let gateway = Gateway::start(&manifest).await;
        let mut client = gateway.client().await;
        client.subscribe("a").await;
        client.subscribe("b").await;
        let third = json!({"type": "subscribe", "room": "c"});
        client.refused(third, "too_many_rooms").await;
        client.subscribe("a").await;
        client
            .ack(json!({"type": "unsubscribe", "room": "a"}))
            .await;
        client.subscribe("c").await;
    });
}

#[test]
fn a_full_gateway_answers_503_before_any_upgrade() {
    scenario(60, async {
        let manifest = Manifest::unhurried().limits(json!({"connectionsPerGateway": 2}));
        let gateway = Gateway::start(&manifest).await;
        let first = gateway.client().await;
        // A handshake that has just ended may hold two places for a moment: never too many connections, sometimes one
        // too few.
        let _second = until("a second place", || async {
            gateway.try_client("").await.ok()
        })
        .await;
        let refusal = gateway.try_client("").await.unwrap_err();
        assert_eq!(refusal.status, 503, "{refusal:?}");
        let seconds: u64 = refusal.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{refusal:?}");
        first.close().await;
        let gateway = &gateway;
        until("a free place", || async move {
            gateway.try_client("").await.ok()
        })
        .await;
    });
}

#[test]
fn connects_over_the_rate_are_answered_503() {
    scenario(60, async {
        let manifest = Manifest::open().limits(json!({"connectsPerSecond": 3}));
        let gateway = Gateway::start(&manifest).await;
        let mut taken = Vec::new();
        let refusal = loop {
            match gateway.try_client("").await {
                Ok(client) => taken.push(client),
                Err(refusal) => break refusal,
            }
            assert!(taken.len() < 200, "3 a second were to be taken");
        };
        assert!(!taken.is_empty());
        assert_eq!(refusal.status, 503);
        let wait: u64 = refusal.header("retry-after").unwrap().parse().unwrap();
        tokio::time::sleep(Duration::from_secs(wait)).await;
        let mut late = gateway.client().await;
        late.publish("lobby", json!("after the wait")).await;
        taken[0].publish("lobby", json!("unharmed")).await;
    });
}
