//! Readers that stop: they lose their own connection, and nobody else loses anything.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::time::{Duration, Instant};

use linnet_tests::prelude::*;
use linnet_tests::raw::{frame, op, text};

const MIB: u64 = 1 << 20;

/// Counts connections that were closed as slow.
const SLOW: &str = "linnet_slow_consumers_total";

/// A manifest whose gateway does not expect a pong of those who stopped: it is their backlog that condemns them.
fn unpinged(limits: Value) -> Manifest {
    Manifest::unhurried().without_pings().limits(limits)
}

/// A subscriber of `room` with a receive buffer of 4096 bytes that reads no further than its ack.
async fn stuck(gateway: &Gateway, room: &str) -> Raw {
    let mut raw = Raw::narrow(gateway.public).await;
    assert_eq!(raw.upgrade("/ws", "").await.status, 101);
    raw.read_json().await;
    let subscribe = json!({"type": "subscribe", "room": room, "id": 1});
    raw.send(&text(&subscribe.to_string())).await;
    assert_eq!(raw.read_json().await["type"], "ack");
    raw
}

/// Publishes `count` messages of 8 KiB to `room`, each acked before the next.
async fn pour(gateway: &Gateway, room: &str, count: usize) {
    let mut publisher = gateway.client().await;
    for n in 0..count {
        publisher.publish(room, json!([n, "x".repeat(8192)])).await;
    }
}

/// Subscribers of `hall` and of `yard` that time their messages.
struct Others(Vec<Client>);

impl Others {
    async fn new(gateway: &Gateway, count: usize) -> Self {
        let mut others = Vec::with_capacity(count);
        for _ in 0..count {
            let mut other = gateway.client().await;
            other.subscribe("hall").await;
            other.subscribe("yard").await;
            others.push(other);
        }
        Self(others)
    }

    /// Publishes `count` messages of 8 KiB to each of `rooms` in turn, the next as soon as all have one. Gives for each
    /// room the median of the times that a message takes to its last receiver: in turn, since what else the machine does
    /// changes from one second to the next.
    async fn median_delays<const ROOMS: usize>(
        &mut self,
        publisher: &mut Client,
        rooms: [&str; ROOMS],
        count: usize,
    ) -> [Duration; ROOMS] {
        let mut delays = rooms.map(|_| Vec::with_capacity(count));
        for n in 0..count {
            for (room, delays) in rooms.iter().zip(&mut delays) {
                let start = Instant::now();
                publisher.publish(room, json!([n, "x".repeat(8192)])).await;
                for other in &mut self.0 {
                    assert_eq!(other.next_of("message").await["data"][0], n);
                }
                delays.push(start.elapsed());
            }
        }
        delays.map(|mut delays| {
            delays.sort_unstable();
            delays[count / 2]
        })
    }
}

#[test]
fn a_reader_that_stops_is_disconnected_at_send_queue_size_and_others_lose_nothing_and_no_time() {
    const OTHERS: usize = 999;
    const MESSAGES: usize = 50; // 400 KiB, which may wait
    scenario(240, async {
        let gateway = Gateway::start(&unpinged(json!({"sendQueueSize": "512Ki"}))).await;
        let mut publisher = gateway.client().await;
        let mut others = Others::new(&gateway, OTHERS).await;
        let rooms = ["yard", "hall"];
        others.median_delays(&mut publisher, rooms, 10).await; // buffers and pages of memory that are new
        let before = gateway.rss();

        let mut stopped = stuck(&gateway, "hall").await;
        assert_eq!(gateway.metric(SLOW).await, 0.0);
        let [alone, beside] = others.median_delays(&mut publisher, rooms, MESSAGES).await;
        assert_eq!(gateway.metric(SLOW).await, 0.0, "it was there all the time");
        others
            .median_delays(&mut publisher, ["hall"], 2 * MESSAGES)
            .await;
        gateway.metric_reaches(SLOW, 1.0).await;
        assert_eq!(gateway.metric(SLOW).await, 1.0, "only the one that stopped");
        println!(
            "median to the last of {OTHERS}: {alone:?} alone, {beside:?} beside a reader that stops"
        );
        assert!(
            beside < alone * 3,
            "{beside:?} beside a reader that stops, {alone:?} alone"
        );
        let grown = gateway.rss().saturating_sub(before);
        assert!(grown < 16 * MIB, "memory grew by {} KiB", grown / 1024);
        // What was on the way may still arrive; then comes the code if it could be sent, else the bare end.
        let (code, reason) = stopped.closed().await;
        assert!(
            matches!((code, reason.as_str()), (4100, "slow_consumer") | (1006, _)),
            "{code} {reason}"
        );
    });
}

#[test]
fn a_slow_reader_that_reads_on_gets_the_documented_code() {
    scenario(120, async {
        let gateway = Gateway::start(&unpinged(json!({"sendQueueSize": "64Ki"}))).await;
        let slow = stuck(&gateway, "hall").await;
        let gone = gateway.metric_reaches(SLOW, 1.0);
        // Reads on only when the gateway has given it up; the close frame stands at the end of what was sent.
        let (_, ()) = tokio::join!(pour(&gateway, "hall", 60), gone);
        let mut slow = slow;
        let (code, reason) = slow.closed().await;
        assert!(
            matches!((code, reason.as_str()), (4100, "slow_consumer") | (1006, _)),
            "{code} {reason}"
        );
    });
}

#[test]
fn a_quiet_slow_reader_is_disconnected_when_its_backlog_has_not_moved() {
    scenario(120, async {
        let beats = json!({"heartbeat": {"intervalSeconds": 1, "timeoutSeconds": 1}});
        let manifest = Manifest::unhurried()
            .spec(beats)
            .limits(json!({"sendQueueSize": "16Mi"}));
        let gateway = Gateway::start(&manifest).await;
        let mut stopped = stuck(&gateway, "hall").await;
        pour(&gateway, "hall", 100).await;
        // It answers (with pongs that nobody asked for), so it is not silent: its backlog alone condemns it.
        let alive = async {
            loop {
                stopped.send(&frame(0x80 | op::PONG, b"")).await;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::select! {
            () = gateway.metric_reaches(SLOW, 1.0) => {}
            () = alive => unreachable!(),
        }
    });
}

#[test]
fn the_backlogs_of_many_slow_readers_are_bounded_together() {
    const READERS: usize = 48;
    // Each thread that makes frames may have made all that is waiting once, and what it got back its allocator keeps.
    const SHARDS: u64 = 2;
    const MOST: u64 = (SHARDS + 1) * 16 * MIB + 32 * MIB;
    scenario(240, async {
        let manifest = unpinged(json!({"sendQueueSize": "16Mi", "queueMemory": "16Mi"}));
        let gateway = Gateway::start_with(&manifest, &["--shards", &SHARDS.to_string()]).await;
        let mut readers = Vec::new();
        for n in 0..READERS {
            readers.push(stuck(&gateway, &format!("room{n}")).await);
        }
        let before = gateway.rss();
        // 48 × 4 MiB in rooms of their own, so that no buffer is shared: twelve times the bound.
        let mut most = 0;
        for n in 0..READERS {
            pour(&gateway, &format!("room{n}"), 512).await;
            most = most.max(gateway.rss().saturating_sub(before));
        }
        gateway.metric_reaches(SLOW, 1.0).await;
        println!("backlogs grew to {} MiB", most / MIB);
        assert!(most < MOST, "backlogs grew to {} MiB", most / MIB);
        // Still at work.
        pour(&gateway, "elsewhere", 1).await;
    });
}

#[test]
fn a_reader_that_stops_does_not_hold_a_draining_gateway() {
    scenario(60, async {
        let manifest = unpinged(json!({"sendQueueSize": "16Mi"}));
        let mut gateway = Gateway::start_with(&manifest, &["--drain", "1"]).await;
        let _stopped = stuck(&gateway, "hall").await;
        pour(&gateway, "hall", 200).await;
        gateway.signal("TERM");
        assert!(gateway.exit(30).await.success());
    });
}
