//! Rooms take turns, and shards share the newcomers.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::prelude::*;
use linnet_tests::raw::text;

/// More than two slices of a fan-out on one shard.
const CROWD: usize = 700;

#[tokio::test]
async fn a_small_rooms_message_does_not_wait_for_the_fan_out_of_large_rooms() {
    let manifest = Manifest::open().limits(json!({
        "connectsPerSecond": 100_000, "messagesPerSecond": 1000, "messageBurst": 1000,
    }));
    let gateway = Gateway::start_with(&manifest, &["--shards", "1"]).await;
    let mut crowd = Vec::with_capacity(CROWD);
    for _ in 0..CROWD {
        let mut member = gateway.client().await;
        for room in ["large one", "large two"] {
            member.subscribe(room).await;
        }
        crowd.push(member);
    }
    let mut last = gateway.client().await;
    for room in ["large one", "large two", "small"] {
        last.subscribe(room).await;
    }
    let mut publisher = Raw::upgraded(gateway.public, "").await;
    // All in one write: the large rooms' fan-outs have begun when the small room's message is there.
    let publishes: Vec<u8> = ["large one", "large two", "small"]
        .into_iter()
        .flat_map(|room| text(&json!({"type": "publish", "room": room, "data": room}).to_string()))
        .collect();
    publisher.send(&publishes).await;
    assert_eq!(last.next_of("message").await["room"], "small");
    crowd.push(last);
    for member in &mut crowd {
        let mut rooms = Vec::with_capacity(2);
        for _ in 0..2 {
            rooms.push(member.next_of("message").await["room"].clone());
        }
        rooms.sort_by_key(ToString::to_string);
        assert_eq!(rooms, ["large one", "large two"]);
    }
}

#[tokio::test]
async fn a_gateway_with_more_shards_than_cores_lets_everybody_in() {
    let manifest = Manifest::open().limits(json!({"connectsPerSecond": 100_000}));
    let gateway = Gateway::start_with(&manifest, &["--shards", "7"]).await;
    let opened = (0..50).map(|_| gateway.client());
    let mut clients = futures_util::future::join_all(opened).await;
    for client in &mut clients {
        client.subscribe("lobby").await;
    }
    clients[0].publish("lobby", json!("to all")).await;
    for client in &mut clients {
        assert_eq!(client.next_of("message").await["data"], "to all");
    }
}

/// More than the shard beside the broker takes before it calls the others.
const MANY: usize = 150;

#[test]
fn over_nats_everybody_is_let_in_while_one_shard_takes_newcomers_and_when_all_do() {
    scenario(120, async {
        let server = NatsServer::jetstream().await;
        let manifest = Manifest::open()
            .limits(json!({"connectsPerSecond": 100_000}))
            .nats(&[server.url()]);
        let gateway = Gateway::start_with(&manifest, &["--shards", "3"]).await;
        gateway.ready().await;
        // The second time all shards look at the door first.
        for round in 0..2 {
            let opened = (0..MANY).map(|_| gateway.client());
            let mut clients = futures_util::future::join_all(opened).await;
            for client in &mut clients {
                client.subscribe("lobby").await;
            }
            clients[0].publish("lobby", json!(round)).await;
            for client in &mut clients {
                assert_eq!(client.next_of("message").await["data"], round);
            }
            for client in clients {
                client.close().await;
            }
        }
    });
}
