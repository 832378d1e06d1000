//! Two gateways over NATS behave as one: rooms, history, resume and publishing again.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::time::Duration;

use linnet_tests::follower::Position;
use linnet_tests::prelude::*;
use linnet_tests::storm::history;

/// Keeps history, except in rooms called `live.…`.
fn manifest(server: &NatsServer) -> Manifest {
    Manifest::unhurried()
        .history(10_000)
        .room(json!({"match": "live.*", "history": "Disabled"}))
        .nats(&[server.url()])
}

async fn fleet() -> (NatsServer, Fleet) {
    let server = NatsServer::jetstream().await;
    let fleet = Fleet::start(&manifest(&server), 2).await;
    (server, fleet)
}

#[test]
fn a_message_with_history_reaches_both_gateways_once_and_in_order() {
    scenario(120, async {
        let (_server, fleet) = fleet().await;
        let mut here = fleet[0].client().await;
        let mut there = fleet[1].client().await;
        here.subscribe("lobby").await;
        there.subscribe("lobby").await;
        let mut last = 0;
        for n in 0..200 {
            let publisher = if n % 2 == 0 { &mut here } else { &mut there };
            let ack = publisher.publish("lobby", json!(n)).await;
            let offset = ack["offset"].as_u64().unwrap();
            assert!(offset > last, "{ack}");
            last = offset;
            let one = here.next_of("message").await;
            let other = there.next_of("message").await;
            assert_eq!(one, other, "the same frame on both gateways");
            assert_eq!((&one["data"], &one["offset"]), (&json!(n), &ack["offset"]));
        }
    });
}

#[test]
fn a_message_without_history_reaches_both_gateways_once_and_in_order() {
    scenario(120, async {
        let (_server, fleet) = fleet().await;
        let mut here = fleet[0].client().await;
        let mut there = fleet[1].client().await;
        there.subscribe("live.a").await;
        here.subscribe("live.a").await;
        for n in 0..200 {
            let ack = here.publish("live.a", json!(n)).await;
            assert!(ack.get("offset").is_none(), "{ack}");
        }
        for client in [&mut here, &mut there] {
            for n in 0..200 {
                let frame = client.next_of("message").await;
                assert_eq!(frame["data"], n);
                assert!(frame["timestamp"].is_u64(), "{frame}");
            }
        }
    });
}

#[test]
fn from_the_ack_on_a_subscriber_hears_what_is_published_on_the_other_gateway() {
    scenario(120, async {
        let server = NatsServer::jetstream().await;
        let proxy = Proxy::to_nats(&server).await;
        let slow = manifest(&server).nats(&[proxy.nats_url()]);
        let fleet = Fleet::start_each(&[manifest(&server), slow]).await;
        let mut here = fleet[0].client().await;
        let mut there = fleet[1].client().await;
        for n in 0..100 {
            // The only room of its gateway: its partition is subscribed to anew.
            let room = format!("live.{n}");
            let is_slow = n % 10 == 0;
            if is_slow {
                proxy.hold().await;
            }
            let network = async {
                if is_slow {
                    // What a slow network takes; an ack that did not wait for it would be here long before.
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    proxy.pass().await;
                }
            };
            let talk = async {
                there.subscribe(&room).await;
                here.publish(&room, json!(n)).await;
            };
            tokio::join!(network, talk);
            let frame = there.next_of("message").await;
            assert_eq!((&frame["room"], &frame["data"]), (&json!(room), &json!(n)));
            there
                .ack(json!({"type": "unsubscribe", "room": room}))
                .await;
        }
    });
}

#[test]
fn who_publishes_without_waiting_for_the_ack_hears_it_too() {
    scenario(120, async {
        let (_server, fleet) = fleet().await;
        let mut client = fleet[0].client().await;
        for n in 0..100 {
            let room = format!("live.{n}");
            client
                .send(json!({"type": "subscribe", "room": room}))
                .await;
            client
                .send(json!({"type": "publish", "room": room, "data": n}))
                .await;
            let frame = client.next_of("message").await;
            assert_eq!((&frame["room"], &frame["data"]), (&json!(room), &json!(n)));
            client
                .ack(json!({"type": "unsubscribe", "room": room}))
                .await;
        }
    });
}

#[test]
fn who_was_cut_resumes_on_the_other_gateway() {
    scenario(120, async {
        let (_server, fleet) = fleet().await;
        let mut publisher = fleet[0].client().await;
        let mut before = fleet[0].client().await;
        before.subscribe("lobby").await;
        publisher.publish("lobby", json!("seen")).await;
        let seen = before.next_of("message").await["offset"].as_u64().unwrap();
        let epoch = history_epoch(&mut before).await;
        before.cut();
        for n in 0..250 {
            publisher.publish("lobby", json!(n)).await;
        }
        let position = Position {
            epoch,
            offset: seen,
        };
        let mut follower = Follower::new("lobby", position);
        let mut after = fleet[1].client().await;
        follower.resume(&mut after).await;
        let numbers = follower.got.iter().map(|(_, data)| data.as_u64().unwrap());
        assert!(numbers.eq(0..250), "each once and in order");
        publisher.publish("lobby", json!("live")).await;
        assert_eq!(after.next_of("message").await["data"], "live");
    });
}

async fn history_epoch(client: &mut Client) -> String {
    let page = client
        .ack(json!({"type": "history", "room": "lobby"}))
        .await;
    page["epoch"].as_str().unwrap().to_owned()
}

#[test]
fn an_acked_offset_is_a_position_on_the_other_gateway_at_once() {
    scenario(120, async {
        let (_server, fleet) = fleet().await;
        let mut here = fleet[0].client().await;
        let mut there = fleet[1].client().await;
        for n in 0..100 {
            let at = Position::of(&here.publish("lobby", json!(n)).await);
            let request = json!({"type": "subscribe", "room": "lobby", "since": at.since()});
            let ack = there.ack(request).await;
            assert_eq!(ack["recovered"], true, "{ack}");
            assert_eq!(ack["messages"], json!([]), "{ack}");
            there
                .ack(json!({"type": "unsubscribe", "room": "lobby"}))
                .await;
        }
    });
}

#[test]
fn history_is_the_same_on_both_gateways_and_on_one_that_starts_later() {
    scenario(120, async {
        let (_server, mut fleet) = fleet().await;
        let mut here = fleet[0].client().await;
        let mut there = fleet[1].client().await;
        let mut last = Value::Null;
        for n in 0..150 {
            last = here.publish("lobby", json!(n)).await;
        }
        for client in [&mut here, &mut there] {
            client.comes_from("lobby", &Position::of(&last)).await;
        }
        let one = history(&mut here, "lobby").await;
        assert!(
            one.iter()
                .map(|(_, data)| data.clone())
                .eq((0..150).map(Value::from))
        );
        assert_eq!(history(&mut there, "lobby").await, one);
        fleet.restart(1).await;
        assert_eq!(history(&mut fleet[1].client().await, "lobby").await, one);
    });
}

#[test]
fn a_publish_that_is_sent_again_on_the_other_gateway_is_a_duplicate() {
    scenario(120, async {
        let (_server, fleet) = fleet().await;
        let mut here = fleet[0].client().await;
        let mut there = fleet[1].client().await;
        let mut watcher = fleet[1].client().await;
        watcher.subscribe("lobby").await;
        let session = here.connected["session"].clone();
        there
            .ack(json!({"type": "connect", "session": session}))
            .await;
        let publish = json!({"type": "publish", "room": "lobby", "message_id": "one", "data": 1});
        let first = here.ack(publish.clone()).await;
        assert!(first.get("duplicate").is_none(), "{first}");
        let again = there.ack(publish).await;
        assert_eq!(again["duplicate"], true, "{again}");
        assert_eq!(Position::of(&again), Position::of(&first));
        there.publish("lobby", json!("end")).await;
        assert_eq!(watcher.next_of("message").await["data"], 1);
        assert_eq!(watcher.next_of("message").await["data"], "end");
    });
}

#[test]
fn odd_room_names_are_the_same_room_on_both_gateways() {
    scenario(120, async {
        let (_server, fleet) = fleet().await;
        let mut here = fleet[0].client().await;
        let mut there = fleet[1].client().await;
        let odd = ["a.b", "*", ">", "$JS.API.>", "two words", "🐦", "x"];
        let long = "é".repeat(125);
        let names = odd.iter().copied().chain([long.as_str()]);
        // Each with history and without.
        let names: Vec<String> = names
            .flat_map(|name| [name.to_owned(), format!("live.{name}")])
            .collect();
        for name in &names {
            there.subscribe(name).await;
        }
        for round in 0..3 {
            for name in &names {
                here.publish(name, json!([name, round])).await;
                let frame = there.next_of("message").await;
                assert_eq!(frame["room"], *name, "{frame}");
                assert_eq!(frame["data"], json!([name, round]), "{frame}");
            }
        }
    });
}

#[test]
fn partitions_do_not_show() {
    scenario(120, async {
        let server = NatsServer::jetstream().await;
        let fleet = Fleet::start(&manifest(&server).partitions(4), 2).await;
        let mut here = fleet[0].client().await;
        let mut there = fleet[1].client().await;
        let names: Vec<String> = (0..20).map(|n| format!("room {n}")).collect();
        let mut starts = Vec::new();
        for name in &names {
            starts.push(Position::of(&there.subscribe(name).await));
        }
        for n in 0..5 {
            for name in &names {
                here.publish(name, json!(n)).await;
                let frame = there.next_of("message").await;
                assert_eq!((&frame["room"], &frame["data"]), (&json!(name), &json!(n)));
            }
        }
        for (name, start) in names.iter().zip(starts) {
            let mut follower = Follower::new(name, start);
            follower.resume(&mut fleet[0].client().await).await;
            assert_eq!(follower.got.len(), 5, "in {name}");
        }
    });
}
