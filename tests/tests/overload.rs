//! More than the gateway can fan out: its queues fill, and publishers or subscribers are told.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::collections::VecDeque;

use linnet_tests::prelude::*;
use linnet_tests::raw::text;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Subscribers, each of which multiplies the work of a message.
const AUDIENCE: usize = 600;
/// The frame that closes with 4200 and `gap`.
const GAP: &[u8] = b"\x88\x05\x10\x68gap";
const PUBLISHERS: usize = 2;
/// By each publisher: together more than a queue takes, less than all memory for queues.
const MESSAGES: u64 = 120;

/// A gateway whose queues to its shards are full at 8 MiB: a quarter of all memory for queues.
async fn gateway(manifest: Manifest) -> Gateway {
    let limits = json!({"queueMemory": "32Mi", "sendQueueSize": "32Mi"});
    // Pings are nothing that this audience answers, and it is to stay for as long as the flood takes.
    Gateway::start(&manifest.without_pings().limits(limits)).await
}

/// Fills the hall with subscribers that take whatever comes. Gives the last bytes of each that is closed.
async fn audience(gateway: &Gateway, protocol: &str) -> UnboundedReceiver<Vec<u8>> {
    let (ended, ends) = unbounded_channel();
    for _ in 0..AUDIENCE {
        let query = format!("room=hall&protocol={protocol}");
        let mut raw = Raw::upgraded(gateway.public, &query).await;
        if protocol == "json" {
            raw.read_json().await;
            let subscribe = json!({"type": "subscribe", "room": "hall", "id": 1});
            raw.send(&text(&subscribe.to_string())).await;
            assert_eq!(raw.read_json().await["type"], "ack");
        }
        let (mut stream, ended) = (raw.into_stream(), ended.clone());
        tokio::spawn(async move {
            let (mut buffer, mut last) = (vec![0; 1 << 16], Vec::new());
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                last.extend_from_slice(&buffer[count.saturating_sub(GAP.len())..count]);
                last.drain(..last.len().saturating_sub(GAP.len()));
            }
            let _ = ended.send(last); // fails where nobody asks
        });
    }
    let subscriptions = AUDIENCE as f64;
    gateway
        .metric_reaches("linnet_subscriptions", subscriptions)
        .await;
    ends
}

/// Publishes of 60,000 bytes, by two connections so that each of two shards reads one: all in one breath, so that they
/// come faster than they go. Data begin with the publisher's number and the message's, which is also its id.
async fn flood(gateway: &Gateway) -> [Raw; PUBLISHERS] {
    let publisher = async |number: usize| {
        let padding = "x".repeat(60_000);
        let mut frames = Vec::new();
        for n in 0..MESSAGES {
            let data = json!([number, n, padding]);
            let publish = json!({"type": "publish", "room": "hall", "id": n, "data": data});
            frames.extend(text(&publish.to_string()));
        }
        let mut publisher = Raw::upgraded(gateway.public, "").await;
        publisher.read_json().await;
        publisher.send(&frames).await;
        publisher
    };
    let (one, other) = tokio::join!(publisher(0), publisher(1));
    [one, other]
}

/// Awaits the answers to a flood; gives the ids of what was taken, by publisher.
async fn answers(publishers: &mut [Raw; PUBLISHERS]) -> [VecDeque<Value>; PUBLISHERS] {
    let mut taken = [const { VecDeque::new() }; PUBLISHERS];
    for (publisher, taken) in publishers.iter_mut().zip(&mut taken) {
        for _ in 0..MESSAGES {
            let answer = publisher.read_json().await;
            if answer["type"] == "ack" {
                taken.push_back(answer["id"].clone());
            } else {
                assert_eq!(answer["code"], "overloaded", "{answer}");
            }
        }
    }
    taken
}

#[test]
fn in_a_room_with_history_publishing_is_refused_and_nothing_that_was_taken_is_missing() {
    scenario(120, async {
        let gateway = gateway(Manifest::unhurried().history(10)).await;
        audience(&gateway, "json").await;
        let mut witness = gateway.client().await;
        witness.subscribe("hall").await;
        let mut all_taken = true;
        while all_taken {
            let mut taken = answers(&mut flood(&gateway).await).await;
            all_taken = taken.iter().all(|taken| taken.len() as u64 == MESSAGES);
            while taken.iter().any(|taken| !taken.is_empty()) {
                let data = &witness.next_of("message").await["data"];
                let publisher = data[0].as_u64().unwrap() as usize;
                assert_eq!(taken[publisher].pop_front().as_ref(), Some(&data[1]));
            }
        }
        // It passes, once the queue of the last shard has room.
        let after = json!({"type": "publish", "room": "hall", "data": "after"});
        while let Err(error) = witness.request(after.clone()).await {
            assert_eq!(error["code"], "overloaded", "{error}");
        }
        assert_eq!(witness.next_of("message").await["data"], "after");
    });
}

#[test]
fn in_a_room_without_history_what_is_dropped_leaves_a_gap() {
    scenario(120, async {
        let gateway = gateway(Manifest::unhurried()).await;
        audience(&gateway, "json").await;
        let mut witness = gateway.client().await;
        witness.subscribe("hall").await;
        let mut speaker = gateway.client().await;

        let (mut gaps, mut rounds) = (0, 0);
        while gaps == 0 {
            rounds += 1;
            let mut publishers = flood(&gateway).await;
            let publishing = async {
                answers(&mut publishers).await;
                loop {
                    speaker.publish("hall", json!(rounds)).await; // the first ones may be dropped too
                }
            };
            tokio::pin!(publishing);
            let mut expected = [Some(0); PUBLISHERS];
            loop {
                let frame = tokio::select! {
                    frame = witness.next() => frame,
                    () = &mut publishing => unreachable!(),
                };
                if frame["type"] == "gap" {
                    assert_eq!(frame["reason"], "overload", "{frame}");
                    assert_eq!(frame.get("offset"), None, "without history: {frame}");
                    gaps += 1;
                    expected = [None; PUBLISHERS];
                } else if let Some(publisher) = frame["data"][0].as_u64() {
                    let expected = &mut expected[publisher as usize];
                    let n = frame["data"][1].as_u64().unwrap();
                    assert_eq!(expected.unwrap_or(n), n, "a hole without a gap");
                    *expected = Some(n + 1);
                } else if frame["data"] == rounds {
                    break;
                }
            }
            for expected in expected.into_iter().flatten() {
                assert_eq!(expected, MESSAGES, "a hole without a gap");
            }
        }
    });
}

#[test]
fn plain_clients_that_miss_something_are_closed_so_that_they_know() {
    scenario(120, async {
        let gateway = gateway(Manifest::unhurried()).await;
        let mut ends = audience(&gateway, "plain").await;
        loop {
            answers(&mut flood(&gateway).await).await;
            let samples = gateway.metrics().await;
            let mut gaps = samples.iter().filter(|sample| {
                sample.name == "linnet_connections_closed_total" && sample.labels["code"] == "gap"
            });
            if gaps.any(|sample| sample.value > 0.0) {
                break;
            }
        }
        // The gateway gives up on those that do not come to read their close frame in time, but not on all.
        within("the close frame of a gap", 60, async {
            while ends.recv().await.unwrap() != GAP {}
        })
        .await;
    });
}
