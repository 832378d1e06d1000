//! Rings of many rooms: bounded together, and what gave way says so.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::follower::Position;
use linnet_tests::prelude::*;
use linnet_tests::raw::{Heard, frame, op, text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MIB: u64 = 1 << 20;
const ROOMS: usize = 100_000;
const EACH: usize = 100;
const WRITERS: usize = 4;

/// Publishes [`EACH`] messages to every room of `rooms` as fast as the gateway takes them, without acks, and awaits that
/// all were handled. Gives the number of errors.
async fn fill(addr: std::net::SocketAddr, rooms: std::ops::Range<usize>) -> usize {
    let mut raw = Raw::upgraded(addr, "").await;
    assert_eq!(raw.read_json().await["type"], "connected");
    let (mut from, mut to) = raw.into_stream().into_split();
    let reader = tokio::spawn(async move {
        let (mut errors, mut tail, mut buffer) = (0, Vec::new(), vec![0; 65_536]);
        loop {
            let count = from.read(&mut buffer).await.unwrap();
            assert!(
                count > 0,
                "the gateway closed: {}",
                String::from_utf8_lossy(&tail)
            );
            tail.extend_from_slice(&buffer[..count]);
            errors += tail
                .windows(14)
                .filter(|part| part == br#""type":"error"#)
                .count();
            if tail.windows(11).any(|part| part == br#""id":"last""#) {
                return errors;
            }
            // Keeps too little for a match, so that nothing is counted twice.
            let keep = tail.len().saturating_sub(10);
            tail.drain(..keep);
        }
    });
    let mut batch = Vec::new();
    for room in rooms {
        let publish = format!(
            r#"{{"type":"publish","room":"room {room}","data":"{}"}}"#,
            "x".repeat(40)
        );
        let one = text(&publish);
        for _ in 0..EACH {
            batch.extend_from_slice(&one);
        }
        if batch.len() > 1 << 16 {
            to.write_all(&batch).await.unwrap();
            batch.clear();
        }
    }
    batch.extend(frame(0x80 | op::TEXT, br#"{"type":"ping","id":"last"}"#));
    to.write_all(&batch).await.unwrap();
    reader.await.unwrap()
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
            let errors = writer.await.unwrap();
            assert_eq!(errors, 0, "nobody reads, so nothing is overloaded");
        }
        let grown = gateway.rss().saturating_sub(before);
        // The sum of the limits, and as much again as an allocator may keep of what it got back.
        assert!(grown < (64 + 16 + 40) * MIB, "grew by {} MiB", grown / MIB);

        client.patience = 60;
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

        let newest = json!({"type": "history", "room": format!("room {}", ROOMS - 1)});
        let newest = client.ack(newest).await;
        assert_eq!(
            newest["messages"].as_array().unwrap().len(),
            EACH,
            "the newest rooms are whole"
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
