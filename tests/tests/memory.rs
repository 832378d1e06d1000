//! Rings of many rooms: bounded together, and what gave way says so.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::follower::Position;
use linnet_tests::prelude::*;
use linnet_tests::raw::{Heard, text};

const MIB: u64 = 1 << 20;
const ROOMS: usize = 100_000;
const EACH: usize = 100;
/// So many that none of them comes near the largest rate a manifest can allow.
const WRITERS: usize = 16;

/// How many rooms of a writer are under way: enough to keep the gateway busy, too few to fill its queues.
const UNDER_WAY: usize = 8;

/// Publishes [`EACH`] messages to every room of `rooms`; the last of a room asks for an ack.
async fn fill(addr: std::net::SocketAddr, rooms: std::ops::Range<usize>) {
    let mut raw = Raw::upgraded(addr, "").await;
    assert_eq!(raw.read_json().await["type"], "connected");
    let data = "x".repeat(40);
    for room in rooms.clone() {
        let publish = |id: &str| {
            let start = format!(r#"{{"type":"publish","room":"room {room}","data":"{data}""#);
            text(&format!("{start}{id}}}"))
        };
        let mut batch = publish("").repeat(EACH - 1);
        batch.extend(publish(r#","id":1"#));
        raw.send(&batch).await;
        if room >= rooms.start + UNDER_WAY {
            taken(&mut raw).await;
        }
    }
    for _ in 0..UNDER_WAY.min(rooms.len()) {
        taken(&mut raw).await;
    }
}

/// The next answer, which must be an ack.
async fn taken(raw: &mut Raw) {
    let answer = raw.read_json().await;
    assert_eq!(answer["type"], "ack", "{answer}");
}

async fn resume(client: &mut Client, room: &str, position: &Position) -> Value {
    let request = json!({"type": "subscribe", "room": room, "since": position.since()});
    client.ack(request).await
}

#[test]
fn a_hundred_thousand_rooms_stay_under_the_limits_and_old_rooms_give_way() {
    scenario(600, async {
        let limits = json!({"historyMemory": "64Mi", "queueMemory": "16Mi", "messageSize": "4Ki"});
        let manifest = Manifest::unhurried().history(EACH as u32).limits(limits);
        let gateway = Gateway::start(&manifest).await;
        let mut client = gateway.client().await;
        // An old room, and a position in it from which its next message was missed.
        let old = Position::of(&client.publish("old", json!(1)).await);
        client.publish("old", json!(2)).await;
        assert_eq!(resume(&mut client, "old", &old).await["recovered"], true);
        client
            .ack(json!({"type": "unsubscribe", "room": "old"}))
            .await;

        let before = gateway.rss();
        let writers = (0..WRITERS).map(|writer| {
            let share = ROOMS / WRITERS;
            tokio::spawn(fill(gateway.public, writer * share..(writer + 1) * share))
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        let grown = gateway.rss().saturating_sub(before);
        // The sum of the limits, and as much again as an allocator may keep of what it got back.
        assert!(grown < (64 + 16 + 40) * MIB, "grew by {} MiB", grown / MIB);

        let mut client = gateway.client().await;
        let ack = resume(&mut client, "old", &old).await;
        assert_eq!(
            ack["recovered"], false,
            "message 2 gave way, and that is said: {ack}"
        );
        let now = Position::of(&ack);
        client.publish("old", json!(3)).await;
        let ack = resume(&mut client, "old", &now).await;
        assert_eq!(
            ack["recovered"], true,
            "from here on it is whole again: {ack}"
        );
        // A position of before the loss stays lost, though the room is in memory again.
        let ack = resume(&mut client, "old", &old).await;
        assert_eq!(ack["recovered"], false, "{ack}");

        fill(gateway.public, ROOMS..ROOMS + 1).await;
        let newest = json!({"type": "history", "room": format!("room {ROOMS}")});
        let newest = client.ack(newest).await;
        assert_eq!(
            newest["messages"].as_array().unwrap().len(),
            EACH,
            "the newest room is whole"
        );
    });
}

#[test]
fn connections_that_came_and_went_leave_no_memory_behind() {
    scenario(120, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let round = async || {
            for _ in 0..1000 {
                let mut raw = Raw::upgraded(gateway.public, "").await;
                raw.send(&text(r#"{"type":"subscribe","room":"lobby"}"#))
                    .await;
                assert!(matches!(raw.read().await, Heard::Frame(_)));
            }
        };
        round().await;
        let before = gateway.rss();
        for _ in 0..5 {
            round().await;
        }
        let grown = gateway.rss().saturating_sub(before);
        assert!(grown < 16 * MIB, "5000 visits left {} KiB", grown >> 10);
    });
}
