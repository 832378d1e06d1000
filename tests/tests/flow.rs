//! Subscribing and leaving while messages flow: where a subscription begins and ends is exact.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use linnet_tests::prelude::*;
use tokio::task::JoinHandle;

/// Publishes 0, 1, 2, … to `room` until told to stop.
struct Flow {
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Flow {
    async fn start(gateway: &Gateway, room: &'static str) -> Self {
        let mut client = gateway.client().await;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            for n in 0_u64.. {
                client.publish(room, json!(n)).await;
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
    }
}

#[test]
fn a_subscription_begins_right_after_the_offset_of_its_ack() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(100_000)).await;
        let flow = Flow::start(&gateway, "river").await;
        for _ in 0..50 {
            let mut client = gateway.client().await;
            let ack = client.subscribe("river").await;
            let first = client.next_of("message").await;
            let after =
                json!({"type": "history", "room": "river", "after": ack["offset"], "limit": 1});
            let stored = client.ack(after).await;
            assert_eq!(
                stored["messages"][0]["offset"], first["offset"],
                "nothing left out at the start"
            );
            let mut last = first["data"].as_u64().unwrap();
            for _ in 0..20 {
                let next = client.next_of("message").await["data"].as_u64().unwrap();
                assert_eq!(next, last + 1);
                last = next;
            }
        }
        flow.stop().await;
    });
}

#[test]
fn no_message_follows_the_ack_of_an_unsubscribe() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let flow = Flow::start(&gateway, "river").await;
        let mut client = gateway.client().await;
        for _ in 0..100 {
            client.subscribe("river").await;
            client.skip_to("message").await;
            client
                .send(json!({"type": "unsubscribe", "room": "river", "id": "bye"}))
                .await;
            while client.next().await["id"] != "bye" {}
            // Three round trips of the river's own gateway: time enough for a straggler.
            for _ in 0..3 {
                client.send(json!({"type": "ping", "id": "p"})).await;
                assert_eq!(client.next().await["type"], "pong");
            }
        }
        flow.stop().await;
    });
}

#[test]
fn subscribing_again_while_messages_flow_neither_doubles_nor_loses() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(100_000)).await;
        let flow = Flow::start(&gateway, "river").await;
        let mut client = gateway.client().await;
        client.subscribe("river").await;
        let mut last = client.next_of("message").await["data"].as_u64().unwrap();
        for _ in 0..100 {
            client
                .send(json!({"type": "subscribe", "room": "river", "id": "again"}))
                .await;
            loop {
                let frame = client.next().await;
                if frame["type"] == "ack" {
                    break;
                }
                assert_eq!(frame["data"], last + 1);
                last += 1;
            }
        }
        for _ in 0..20 {
            assert_eq!(client.next_of("message").await["data"], last + 1);
            last += 1;
        }
        flow.stop().await;
    });
}

#[test]
fn clients_that_come_and_go_do_not_disturb_one_that_stays() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut stays = gateway.client().await;
        stays.subscribe("river").await;
        let flow = Flow::start(&gateway, "river").await;
        let visits = async {
            for n in 0..200 {
                let mut visitor = gateway.client().await;
                visitor.subscribe("river").await;
                match n % 3 {
                    0 => visitor.cut(),
                    1 => visitor.close().await,
                    _ => drop(visitor),
                }
            }
        };
        let listening = async {
            for n in 0..2000 {
                assert_eq!(stays.next_of("message").await["data"], n);
            }
        };
        tokio::join!(visits, listening);
        flow.stop().await;
    });
}

#[test]
fn the_ack_of_a_subscribe_precedes_what_it_then_delivers() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(1000)).await;
        let mut other = gateway.client().await;
        let start = other.subscribe("room").await;
        let mut since = json!({"epoch": start["epoch"], "offset": start["offset"]});
        for _ in 0..300 {
            for n in 0..3 {
                other.publish("room", json!(n)).await;
            }
            let mut client = gateway.client().await;
            // As a client does that comes back with something to say: both in one go.
            let subscribe =
                json!({"type": "subscribe", "room": "room", "since": since, "id": "here"});
            client.send(subscribe).await;
            client
                .send(json!({"type": "publish", "room": "room", "data": "mine"}))
                .await;
            let ack = client.next_of("ack").await;
            assert_eq!(ack["recovered"], true);
            let messages = ack["messages"].as_array().unwrap();
            let last = match messages.last() {
                Some(last) if last["data"] == "mine" => last.clone(),
                _ => client.next_of("message").await,
            };
            assert_eq!(last["data"], "mine");
            since["offset"] = last["offset"].clone();
        }
    });
}
