//! What no worker can work: it is set aside with its reason, and its partition goes on.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::time::Duration;

use linnet_tests::Worker;
use linnet_tests::prelude::*;
use linnet_tests::work::{Letter, ROOMS, is_worked_off, manifest, room, scene};

/// How long a worker has for a message where deliveries are counted: longer than a busy machine holds it up, or the server
/// would deliver once more.
const ACKNOWLEDGE: Duration = Duration::from_secs(5);

/// What the manifest says of workers there, with `more`.
fn unhurried(mut more: Value) -> Value {
    more["acknowledgeSeconds"] = json!(ACKNOWLEDGE.as_secs());
    json!({ "workers": more })
}

#[test]
fn what_a_worker_refuses_again_and_again_goes_to_the_dead_letters_with_its_reason() {
    scenario(60, async {
        let server = NatsServer::jetstream().await;
        let manifest = manifest(&server).spec(unhurried(json!({})));
        let fleet = Fleet::start(&manifest, 2).await;
        let mut client = fleet[0].client().await;
        client.subscribe("work.a").await;
        let worker = Worker::start(&server, "w").await;
        client.publish("work.a", json!("refuse")).await;
        client.publish("work.a", json!("after")).await;
        assert_eq!(
            client.next_of("message").await["data"],
            json!(["after", "w"]),
            "the room goes on"
        );
        let letter = Letter::only(&server).await;
        assert_eq!(letter.data, "refuse");
        assert_eq!(
            letter.header("Linnet-Dead-Reason"),
            "\"it asked to be refused\""
        );
        assert_eq!(letter.header("Linnet-Dead-Deliveries"), "5");
        assert_eq!(letter.header("Linnet-Dead-By"), "\"w\"");
        assert_eq!(letter.header("Linnet-From"), json!(client.id()).to_string());
        worker.got(&json!("after")).await;
        assert_eq!(worker.count(), 6, "five tries, and the next message");
        is_worked_off(&server).await;
    });
}

#[test]
fn a_panic_and_a_handler_that_does_not_end_are_failures_of_the_message_alone() {
    scenario(90, async {
        let (server, fleet) = scene().await;
        let few = manifest(&server).spec(unhurried(json!({"maxDeliveries": 2})));
        fleet[0].reconfigure(&few).await;
        fleet[1].reconfigure(&few).await;
        let streams = &server.streams().await;
        until("the queue to have the manifest's numbers", || async move {
            let stream = streams
                .get_stream("linnet_default_tests_work")
                .await
                .unwrap();
            for partition in 0..4 {
                let consumer = stream.consumer_info(format!("worker_{partition}")).await;
                (consumer.ok()?.config.ack_wait == ACKNOWLEDGE).then_some(())?;
            }
            let tries = stream.cached_info().config.metadata["linnet-max-deliveries"].clone();
            (tries == "2").then_some(())
        })
        .await;
        let mut client = fleet[0].client().await;
        client.subscribe("work.a").await;
        let mut worker = Worker::start(&server, "w").await;
        for data in ["panic", "dead", "hang", "after"] {
            client.publish("work.a", json!(data)).await;
        }
        assert_eq!(
            client.next_of("message").await["data"],
            json!(["after", "w"])
        );
        assert!(worker.is_running(), "a panic is no end");
        let stream = streams
            .get_stream("linnet_default_tests_dead")
            .await
            .unwrap();
        let mut reasons = Vec::new();
        for sequence in 1..=3 {
            let letter = stream.get_raw_message(sequence).await.unwrap();
            reasons.push(
                letter
                    .headers
                    .get("Linnet-Dead-Reason")
                    .unwrap()
                    .to_string(),
            );
        }
        assert_eq!(
            reasons,
            [
                "\"the handler panicked: it asked for a panic\"",
                "\"it asked to be dead\"",
                "\"the handler did not end within 4.5 s\""
            ]
        );
    });
}

#[test]
fn a_message_that_kills_its_workers_takes_none_along_of_those_in_hand_beside_it() {
    scenario(90, async {
        let server = NatsServer::jetstream().await;
        let workers = json!({"acknowledgeSeconds": 2, "partitions": 4, "maxDeliveries": 3});
        let manifest = manifest(&server).spec(json!({ "workers": workers }));
        let fleet = Fleet::start(&manifest, 2).await;
        let mut client = fleet[0].client().await;
        // Their partitions are all that there are: each worker has one of them in hand beside the culprit.
        let rooms = Vec::from_iter((0..ROOMS).map(room));
        for room in &rooms {
            client.subscribe(room).await;
            client.publish(room, json!("before")).await;
        }
        client.publish("work.a", json!("die")).await;
        for room in &rooms {
            client.publish(room, json!("after")).await;
        }
        for number in 0..3 {
            let mut victim = Worker::start(&server, &format!("victim {number}")).await;
            victim.got(&json!("die")).await;
            victim.ended().await;
        }
        let _worker = Worker::start(&server, "survivor").await;
        let mut heard = Vec::new();
        for _ in 0..2 * rooms.len() {
            let frame = client.next_of("message").await;
            heard.push((frame["room"].clone(), frame["data"][0].clone()));
        }
        for room in &rooms {
            let of_room = heard.iter().filter(|(name, _)| name == room);
            let of_room = Vec::from_iter(of_room.map(|(_, data)| data.as_str().unwrap()));
            assert_eq!(of_room, ["before", "after"], "{room}");
        }
        is_worked_off(&server).await;
        assert_eq!(Letter::only(&server).await.data, "die");
    });
}

#[test]
fn a_message_that_kills_its_workers_is_set_aside_by_one_gateway_and_its_partition_goes_on() {
    scenario(90, async {
        let (server, fleet) = scene().await;
        let mut client = fleet[0].client().await;
        client.subscribe("work.a").await;
        client.publish("work.a", json!("die")).await;
        client.publish("work.a", json!("after")).await;
        for n in 0..5 {
            let mut victim = Worker::start(&server, &format!("victim {n}")).await;
            victim.got(&json!("die")).await;
            victim.ended().await;
        }
        // Nobody works now, so nobody but a gateway can do it.
        let letter = Letter::only(&server).await;
        assert_eq!(letter.data, "die");
        assert_eq!(letter.header("Linnet-Dead-Deliveries"), "5");
        assert!(
            letter
                .header("Linnet-Dead-Reason")
                .contains("never acknowledged")
        );
        assert!(letter.header("Linnet-Dead-By").starts_with("\"gateway g"));
        let mut buried = 0.0;
        until("a gateway to count it", || async {
            let name = "linnet_broker_dead_letters_total";
            let counts = [fleet[0].metric(name).await, fleet[1].metric(name).await];
            (counts.iter().sum::<f64>() > 0.0).then_some(())
        })
        .await;
        for number in 0..2 {
            buried += fleet[number]
                .metric("linnet_broker_dead_letters_total")
                .await;
        }
        assert_eq!(buried, 1.0);
        let _worker = Worker::start(&server, "w").await;
        assert_eq!(
            client.next_of("message").await["data"],
            json!(["after", "w"])
        );
    });
}

#[test]
fn dead_letters_are_minded_by_the_other_gateway_once_the_first_is_gone() {
    scenario(120, async {
        let (server, mut fleet) = scene().await;
        // Whoever said that it minds them is killed.
        let minds = |line: &str| line.contains("minds the channel's dead letters");
        let holder = until("a gateway that minds dead letters", || async {
            (0..2).find(|number| fleet[*number].log().iter().any(|line| minds(line)))
        })
        .await;
        fleet[holder].kill().await;
        let survivor = &fleet[1 - holder];
        let mut client = survivor.client().await;
        client.publish("work.a", json!("die")).await;
        for n in 0..5 {
            let mut victim = Worker::start(&server, &format!("victim {n}")).await;
            victim.got(&json!("die")).await;
            victim.ended().await;
        }
        survivor
            .metric_reaches("linnet_broker_dead_letters_total", 1.0)
            .await;
        assert_eq!(Letter::only(&server).await.data, "die");
        is_worked_off(&server).await;
    });
}
