//! What was missed comes back: each message once, in order, or a clear word that it can't.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::follower::Position;
use linnet_tests::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Publishes `count` numbers to `room`, always a few under way, and gives the last ack.
async fn publish(client: &mut Client, room: &str, numbers: std::ops::Range<u64>) -> Value {
    const UNDER_WAY: u64 = 64;
    let mut last = Value::Null;
    let key = |n: u64| json!(format!("n{n}"));
    for n in numbers.clone() {
        client
            .send(json!({"type": "publish", "room": room, "data": n, "id": key(n)}))
            .await;
        if n >= numbers.start + UNDER_WAY {
            last = client.answer(&key(n - UNDER_WAY)).await.unwrap();
        }
    }
    for n in numbers.end.saturating_sub(UNDER_WAY).max(numbers.start)..numbers.end {
        last = client.answer(&key(n)).await.unwrap();
    }
    last
}

async fn subscribe_since(client: &mut Client, room: &str, since: Value) -> Value {
    client
        .ack(json!({"type": "subscribe", "room": room, "since": since}))
        .await
}

#[test]
fn clients_that_are_cut_at_random_get_every_message_once_and_in_order() {
    const MESSAGES: u64 = 10_000;
    const CLIENTS: u64 = 8;
    scenario(240, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(20_000)).await;
        let mut publisher = gateway.client().await;
        let start = Position::of(&publisher.subscribe("flow").await);
        publisher
            .ack(json!({"type": "unsubscribe", "room": "flow"}))
            .await;

        let followers = (0..CLIENTS).map(|seed| {
            let doors = Doors::of([&gateway]);
            let mut follower = Follower::new("flow", start.clone());
            tokio::spawn(async move {
                let random = StdRng::seed_from_u64(seed);
                follower
                    .follow_with_cuts(&doors, MESSAGES as usize, random)
                    .await;
                follower
            })
        });
        let followers: Vec<_> = followers.collect();
        publish(&mut publisher, "flow", 0..MESSAGES).await;
        for follower in followers {
            let follower = follower.await.unwrap();
            assert!(follower.resumes > 20, "{} resumes", follower.resumes);
            assert_eq!(
                (follower.gaps, follower.repeats),
                (0, 0),
                "nothing went wrong"
            );
            let numbers = follower.got.iter().map(|(_, data)| data.as_u64().unwrap());
            assert!(numbers.eq(0..MESSAGES), "each once and in order");
        }
    });
}

#[test]
fn more_missed_than_the_ring_holds_is_said_and_not_hidden() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(100)).await;
        let mut publisher = gateway.client().await;
        let start = Position::of(&publisher.subscribe("ring").await);
        publisher
            .ack(json!({"type": "unsubscribe", "room": "ring"}))
            .await;
        let last = publish(&mut publisher, "ring", 0..101).await;

        let mut client = gateway.client().await;
        let ack = subscribe_since(&mut client, "ring", start.since()).await;
        assert_eq!(ack["recovered"], false, "{ack}");
        assert_eq!(ack["offset"], last["offset"], "the current position: {ack}");
        let next = publisher.publish("ring", json!("live")).await;
        assert_eq!(client.next_of("message").await["offset"], next["offset"]);
    });
}

#[test]
fn exactly_as_many_missed_as_the_ring_holds_are_recovered() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(100)).await;
        let mut publisher = gateway.client().await;
        let first = Position::of(&publisher.publish("ring", json!("seen")).await);
        publish(&mut publisher, "ring", 0..100).await;
        let mut follower = Follower::new("ring", first);
        follower.resume(&mut gateway.client().await).await;
        assert_eq!(follower.got.len(), 100);
    });
}

#[test]
fn pages_are_turned_while_live_messages_flow() {
    const BEFORE: u64 = 1000;
    const MEANWHILE: u64 = 1000;
    scenario(120, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(10_000)).await;
        let mut publisher = gateway.client().await;
        let start = Position::of(&publisher.subscribe("book").await);
        publisher
            .ack(json!({"type": "unsubscribe", "room": "book"}))
            .await;
        publish(&mut publisher, "book", 0..BEFORE).await;

        let mut reader = gateway.client().await;
        let mut follower = Follower::new("book", start);
        let meanwhile = publish(&mut publisher, "book", BEFORE..BEFORE + MEANWHILE);
        tokio::join!(meanwhile, follower.resume(&mut reader));
        assert!(
            follower.pages >= 10,
            "{} pages of at most 100",
            follower.pages
        );
        let caught_up = follower.got.len() as u64;
        // From here on it is live: what follows the last page is exactly what the pages did not have.
        for n in caught_up..BEFORE + MEANWHILE {
            assert_eq!(reader.next_of("message").await["data"], n);
        }
        let numbers = follower.got.iter().map(|(_, data)| data.as_u64().unwrap());
        assert!(numbers.eq(0..caught_up), "each once and in order");
    });
}

#[test]
fn a_page_is_bounded_in_bytes_too() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(100)).await;
        let mut publisher = gateway.client().await;
        let start = Position::of(&publisher.subscribe("fat").await);
        publisher
            .ack(json!({"type": "unsubscribe", "room": "fat"}))
            .await;
        for _ in 0..10 {
            publisher.publish("fat", json!("x".repeat(60_000))).await;
        }
        let mut client = gateway.client().await;
        let ack = subscribe_since(&mut client, "fat", start.since()).await;
        let count = ack["messages"].as_array().unwrap().len();
        assert!(
            (1..=4).contains(&count),
            "{count} messages of 60 kB within 256 KiB"
        );
        assert_eq!(ack["more"], true);
    });
}

#[test]
fn while_catching_up_no_live_message_of_that_room_comes() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(1000)).await;
        let mut publisher = gateway.client().await;
        let start = Position::of(&publisher.subscribe("book").await);
        publisher
            .ack(json!({"type": "unsubscribe", "room": "book"}))
            .await;
        publish(&mut publisher, "book", 0..150).await;

        let mut reader = gateway.client().await;
        reader.subscribe("other").await;
        let page = subscribe_since(&mut reader, "book", start.since()).await;
        assert_eq!(page["more"], true);
        publisher.publish("book", json!("not yet")).await;
        publisher.publish("other", json!("live")).await;
        let frame = reader.next_of("message").await;
        assert_eq!(
            (&frame["room"], &frame["data"]),
            (&json!("other"), &json!("live"))
        );

        let last = page["messages"][99]["offset"].as_u64().unwrap();
        let since = json!({"epoch": start.epoch, "offset": last});
        let page = subscribe_since(&mut reader, "book", since).await;
        assert_eq!(
            (&page["more"], &page["recovered"]),
            (&json!(false), &json!(true))
        );
        let messages = page["messages"].as_array().unwrap();
        assert_eq!(messages.last().unwrap()["data"], "not yet");
        publisher.publish("book", json!("now")).await;
        assert_eq!(reader.next_of("message").await["data"], "now");
    });
}

#[test]
fn an_empty_room_has_a_position_to_come_back_to() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(100)).await;
        let mut client = gateway.client().await;
        let start = Position::of(&client.subscribe("empty").await);
        client.cut();
        let mut other = gateway.client().await;
        let ack = subscribe_since(&mut other, "empty", start.since()).await;
        assert_eq!(
            (&ack["recovered"], &ack["messages"]),
            (&json!(true), &json!([]))
        );
        other
            .ack(json!({"type": "unsubscribe", "room": "empty"}))
            .await;
        other.publish("empty", json!("first")).await;
        let ack = subscribe_since(&mut other, "empty", start.since()).await;
        assert_eq!(ack["recovered"], true);
        assert_eq!(ack["messages"][0]["data"], "first");
    });
}

#[test]
fn a_position_that_can_not_be_is_not_recovered() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(100)).await;
        let mut client = gateway.client().await;
        let now = Position::of(&client.publish("room", json!(1)).await);
        let future = json!({"epoch": now.epoch, "offset": now.offset + 1000});
        let far = json!({"epoch": now.epoch, "offset": 9_007_199_254_740_991_u64});
        let other = json!({"epoch": "AAAAAAAAAAAAAAAAAAAAAA", "offset": now.offset});
        for since in [future, far, other] {
            let ack = subscribe_since(&mut client, "room", since.clone()).await;
            assert_eq!(ack["recovered"], false, "{since}: {ack}");
            assert_eq!(Position::of(&ack), now, "the current position");
        }
    });
}

#[test]
fn a_since_that_is_no_position_is_a_bad_request() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(100)).await;
        let mut client = gateway.client().await;
        let epoch = Position::of(&client.subscribe("room").await).epoch;
        for since in [
            json!({"epoch": epoch, "offset": -1}),
            json!({"epoch": epoch, "offset": 1.5}),
            json!({"epoch": epoch, "offset": "1"}),
            json!({"epoch": epoch}),
            json!({"offset": 1}),
            json!({"epoch": 7, "offset": 1}),
            json!(12),
            json!("latest"),
        ] {
            let request = json!({"type": "subscribe", "room": "room", "since": since});
            client.refused(request, "bad_request").await;
        }
    });
}

#[test]
fn since_in_a_room_without_history_is_never_recovered() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut client = gateway.client().await;
        let since = json!({"epoch": "AAAAAAAAAAAAAAAAAAAAAA", "offset": 1});
        let ack = subscribe_since(&mut client, "room", since).await;
        assert_eq!(ack["recovered"], false, "{ack}");
        assert!(ack.get("offset").is_none(), "{ack}");
        let plain = client.subscribe("room").await;
        assert!(plain.get("recovered").is_none(), "{plain}");
    });
}

#[test]
fn another_gateway_process_has_another_epoch() {
    scenario(60, async {
        let manifest = Manifest::unhurried().history(100);
        let first = Gateway::start(&manifest).await;
        let before = Position::of(&first.client().await.publish("room", json!(1)).await);
        drop(first);
        let second = Gateway::start(&manifest).await;
        let mut client = second.client().await;
        let ack = subscribe_since(&mut client, "room", before.since()).await;
        assert_eq!(ack["recovered"], false, "{ack}");
        assert_ne!(ack["epoch"], before.epoch);
    });
}

#[test]
fn a_catch_up_that_is_not_continued_ends_after_30_seconds() {
    scenario(90, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(1000)).await;
        let mut client = gateway.client().await;
        let start = Position::of(&client.subscribe("book").await);
        client
            .ack(json!({"type": "unsubscribe", "room": "book"}))
            .await;
        publish(&mut client, "book", 0..150).await;
        let page = subscribe_since(&mut client, "book", start.since()).await;
        assert_eq!(page["more"], true);
        client.patience = 60;
        let frame = client.next_of("unsubscribed").await;
        assert_eq!(
            (&frame["room"], &frame["code"]),
            (&json!("book"), &json!("catch_up_timeout"))
        );
        assert!(frame["message"].is_string(), "{frame}");
    });
}
