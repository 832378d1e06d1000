//! Rooms whose messages go to a worker: order, no doubles, and a way on past messages that nobody can work.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::StorageType;
use linnet_tests::prelude::*;
use linnet_tests::seed::seed;
use linnet_tests::{Worker, client::is_passing};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Rooms `work.…` have workers.
fn manifest(server: &NatsServer) -> Manifest {
    Manifest::unhurried()
        .without_pings()
        .history(10_000)
        .room(json!({"match": "work.*", "delivery": "Worker"}))
        .spec(json!({"workers": {"acknowledgeSeconds": 1, "partitions": 4}}))
        .nats(&[server.url()])
}

/// The same without workers.
fn direct(server: &NatsServer) -> Manifest {
    manifest(server)
        .without_rooms()
        .room(json!({"match": "work.*"}))
}

async fn worker(server: &NatsServer, name: &str) -> Worker {
    Worker::start(env!("CARGO_BIN_EXE_test-worker"), server, name).await
}

async fn scene() -> (NatsServer, Fleet) {
    let server = NatsServer::jetstream().await;
    let fleet = Fleet::start(&manifest(&server), 2).await;
    (server, fleet)
}

/// A dead letter: its data and its headers.
struct Letter {
    data: Value,
    headers: async_nats::HeaderMap,
}

impl Letter {
    /// The only one there is, once it is there.
    async fn only(server: &NatsServer) -> Self {
        let streams = &server.streams().await;
        let mut stream = until("a dead letter", || async move {
            let mut stream = streams.get_stream("linnet_default_tests_dead").await.ok()?;
            (stream.info().await.ok()?.state.messages > 0).then_some(stream)
        })
        .await;
        assert_eq!(stream.info().await.unwrap().state.messages, 1);
        let first = stream.info().await.unwrap().state.first_sequence;
        let message = stream.get_raw_message(first).await.unwrap();
        assert_eq!(
            message.subject.as_str(),
            "linnet.default.tests.dead.b_d29yay5h"
        );
        Self {
            data: serde_json::from_slice(&message.payload).unwrap(),
            headers: message.headers,
        }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap().as_str()
    }
}

/// How many messages are in the work queue.
async fn queued(server: &NatsServer) -> u64 {
    let streams = server.streams().await;
    let stream = streams.get_stream("linnet_default_tests_work").await;
    stream.unwrap().cached_info().state.messages
}

async fn is_worked_off(server: &NatsServer) {
    until("an empty work queue", || async {
        (queued(server).await == 0).then_some(())
    })
    .await;
}

#[test]
fn what_a_worker_makes_of_a_message_reaches_both_gateways_once_and_in_order() {
    scenario(60, async {
        let (server, fleet) = scene().await;
        let mut here = fleet[0].client().await;
        let mut there = fleet[1].client().await;
        here.subscribe("work.a").await;
        there.subscribe("work.a").await;
        let _worker = worker(&server, "w").await;
        for n in 0..100 {
            let publisher = if n % 2 == 0 { &mut here } else { &mut there };
            let ack = publisher.publish("work.a", json!(n)).await;
            let answered = (ack.get("offset"), ack.get("deduplicated"));
            assert_eq!(answered, (None, None), "{ack}");
        }
        for client in [&mut here, &mut there] {
            for n in 0..100 {
                let frame = client.next_of("message").await;
                assert_eq!(
                    frame["data"],
                    json!([n, "w"]),
                    "only the worker's, in order"
                );
                assert!(frame["offset"].is_u64(), "{frame}");
            }
        }
        // In the name of who published, and as it was.
        let from = here.id();
        let request = json!({"type": "publish", "room": "work.a", "data": "/w==", "encoding": "base64", "event": "e"});
        here.ack(request).await;
        let frame = there.next_of("message").await;
        assert_eq!(frame["from"], from.as_str(), "{frame}");
        assert_eq!(
            (&frame["event"], &frame["data"]),
            (&json!("e"), &json!("/w=="))
        );
        let mut plain = fleet[0].plain("work.a").await;
        plain.settle("from a script").await;
        while there.next_of("message").await["data"] != "from a script" {}
        is_worked_off(&server).await;
    });
}

#[test]
fn a_publish_that_is_sent_again_is_worked_once() {
    scenario(60, async {
        let (server, fleet) = scene().await;
        let mut client = fleet[0].client().await;
        client.subscribe("work.a").await;
        let publish = json!({"type": "publish", "room": "work.a", "data": 1, "message_id": "one"});
        let first = client.ack(publish.clone()).await;
        assert!(first.get("duplicate").is_none(), "{first}");
        let again = client.ack(publish).await;
        assert_eq!(again["duplicate"], true, "{again}");
        let _worker = worker(&server, "w").await;
        client.publish("work.a", json!("end")).await;
        assert_eq!(client.next_of("message").await["data"], json!([1, "w"]));
        assert_eq!(client.next_of("message").await["data"], json!(["end", "w"]));
    });
}

#[test]
fn a_worker_may_answer_with_nothing_or_into_another_room() {
    scenario(60, async {
        let (server, fleet) = scene().await;
        let mut client = fleet[0].client().await;
        let mut other = fleet[1].client().await;
        let long = format!("work.{}", "ü".repeat(100));
        client.subscribe(&long).await;
        other.subscribe("elsewhere").await;
        let _worker = worker(&server, "w").await;
        for data in ["nothing", "elsewhere", "last"] {
            client.publish(&long, json!(data)).await;
        }
        assert_eq!(client.next_of("message").await["data"], "one");
        assert_eq!(
            client.next_of("message").await["data"],
            json!(["last", "w"])
        );
        let frame = other.next_of("message").await;
        assert_eq!((&frame["data"], frame.get("from")), (&json!("two"), None));
    });
}

#[test]
fn while_no_worker_is_there_publishes_are_acked_and_worked_later() {
    scenario(60, async {
        let (mut server, fleet) = scene().await;
        let mut client = fleet[0].client().await;
        client.subscribe("work.a").await;
        for n in 0..50 {
            client.publish("work.a", json!(n)).await;
        }
        server.restart().await;
        client.publish_at_last("work.a", json!(50)).await;
        assert_eq!(queued(&server).await, 51);
        let _worker = worker(&server, "w").await;
        for n in 0..51 {
            let frame = client.skip_to("message").await;
            assert_eq!(frame["data"], json!([n, "w"]));
        }
    });
}

#[test]
fn what_a_worker_refuses_again_and_again_goes_to_the_dead_letters_with_its_reason() {
    scenario(60, async {
        let (server, fleet) = scene().await;
        let mut client = fleet[0].client().await;
        client.subscribe("work.a").await;
        let worker = worker(&server, "w").await;
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
        assert_eq!(worker.count(), 6, "five tries, and the next message");
        is_worked_off(&server).await;
    });
}

#[test]
fn a_panic_and_a_handler_that_does_not_end_are_failures_of_the_message_alone() {
    scenario(90, async {
        let (server, fleet) = scene().await;
        let few = manifest(&server).spec(json!({"workers": {"maxDeliveries": 2}}));
        fleet[0].reconfigure(&few).await;
        fleet[1].reconfigure(&few).await;
        let streams = &server.streams().await;
        until("the queue to have the manifest's number", || async move {
            let stream = streams
                .get_stream("linnet_default_tests_work")
                .await
                .unwrap();
            let tries = stream.cached_info().config.metadata["linnet-max-deliveries"].clone();
            (tries == "2").then_some(())
        })
        .await;
        let mut client = fleet[0].client().await;
        client.subscribe("work.a").await;
        let mut worker = worker(&server, "w").await;
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
                "\"the handler did not end within 0.9 s\""
            ]
        );
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
            let mut victim = worker(&server, &format!("victim {n}")).await;
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
        let _worker = worker(&server, "w").await;
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
            let mut victim = worker(&server, &format!("victim {n}")).await;
            victim.got(&json!("die")).await;
            victim.ended().await;
        }
        survivor
            .metric_reaches("linnet_broker_dead_letters_total", 1.0)
            .await;
        assert_eq!(Letter::only(&server).await.data, "die");
        assert_eq!(queued(&server).await, 0);
    });
}

#[test]
fn a_worker_that_stands_still_loses_its_message_to_another_and_does_not_double_it() {
    scenario(90, async {
        let (server, fleet) = scene().await;
        let mut client = fleet[0].client().await;
        client.subscribe("work.a").await;
        let first = worker(&server, "first").await;
        client.publish("work.a", json!("warm")).await;
        first.got(&json!("warm")).await;
        client.next_of("message").await;
        // It has the pin; what comes now is handed to it and to nobody else until that is over.
        first.pause();
        for n in 0..20 {
            client.publish("work.a", json!(n)).await;
        }
        let _second = worker(&server, "second").await;
        for n in 0..20 {
            assert_eq!(
                client.next_of("message").await["data"],
                json!([n, "second"])
            );
        }
        first.resume();
        for n in 20..40 {
            client.publish("work.a", json!(n)).await;
        }
        for n in 20..40 {
            assert_eq!(client.next_of("message").await["data"][0], n, "each once");
        }
    });
}

#[test]
fn a_worker_that_is_stopped_in_order_hands_over_at_once() {
    scenario(60, async {
        let (server, fleet) = scene().await;
        let mut client = fleet[0].client().await;
        client.subscribe("work.a").await;
        let mut first = worker(&server, "first").await;
        client.publish("work.a", json!(0)).await;
        client.next_of("message").await;
        let _second = worker(&server, "second").await;
        first.stop().await;
        let begun = Instant::now();
        client.publish("work.a", json!(1)).await;
        let frame = client.next_of("message").await;
        assert_eq!(frame["data"], json!([1, "second"]));
        // The pin alone lasts for three seconds.
        assert!(
            begun.elapsed() < Duration::from_millis(2500),
            "{:?}",
            begun.elapsed()
        );
    });
}

#[test]
fn a_rule_changes_between_direct_and_worker_on_open_connections() {
    scenario(60, async {
        let server = NatsServer::jetstream().await;
        let fleet = Fleet::start(&direct(&server), 2).await;
        let mut client = fleet[0].client().await;
        let mut other = fleet[1].client().await;
        other.subscribe("work.a").await;
        assert!(client.publish("work.a", json!("direct")).await["offset"].is_u64());
        assert_eq!(other.next_of("message").await["data"], "direct");
        for number in 0..2 {
            fleet[number].reconfigure(&manifest(&server)).await;
        }
        let ack = client.publish("work.a", json!("worked")).await;
        assert!(ack.get("offset").is_none(), "{ack}");
        let _worker = worker(&server, "w").await;
        assert_eq!(
            other.next_of("message").await["data"],
            json!(["worked", "w"])
        );
        for number in 0..2 {
            fleet[number].reconfigure(&direct(&server)).await;
        }
        assert!(client.publish("work.a", json!("direct again")).await["offset"].is_u64());
        assert_eq!(other.next_of("message").await["data"], "direct again");
    });
}

#[test]
fn a_queue_that_is_made_anew_is_worked_and_its_numbers_collide_with_nothing() {
    scenario(60, async {
        let (server, fleet) = scene().await;
        let mut client = fleet[0].client().await;
        client.subscribe("work.a").await;
        let _worker = worker(&server, "w").await;
        client.publish("work.a", json!("before")).await;
        assert_eq!(
            client.next_of("message").await["data"],
            json!(["before", "w"])
        );
        is_worked_off(&server).await;
        let streams = server.streams().await;
        streams
            .delete_stream("linnet_default_tests_work")
            .await
            .unwrap();
        // Number 1 again, within the window of the first.
        client.publish_at_last("work.a", json!("after")).await;
        assert_eq!(
            client.next_of("message").await["data"],
            json!(["after", "w"])
        );
    });
}

#[test]
fn a_gateway_that_makes_no_streams_says_which_is_missing() {
    scenario(60, async {
        let server = NatsServer::jetstream().await;
        let _fleet = Fleet::start(&direct(&server), 1).await;
        let other = Gateway::start(&manifest(&server)).await;
        until("/readyz to name what is missing", || async {
            let answer = other.get("/readyz").await;
            assert_eq!(answer.status, 503, "{answer:?}");
            answer
                .body
                .contains("linnet_default_tests_work")
                .then_some(())
        })
        .await;
    });
}

#[test]
fn gateways_that_ask_for_other_partitions_share_the_queue_that_is_there() {
    scenario(60, async {
        let server = NatsServer::jetstream().await;
        let other = manifest(&server).spec(json!({"workers": {"partitions": 2}}));
        let fleet = Fleet::start_each(&[manifest(&server), other]).await;
        let _worker = worker(&server, "w").await;
        let mut client = fleet[1].client().await;
        for number in 0..ROOMS {
            client.subscribe(&room(number)).await;
            client.publish(&room(number), json!(number)).await;
            let frame = client.next_of("message").await;
            assert_eq!(frame["data"], json!([number, "w"]));
        }
        let streams = server.streams().await;
        let stream = streams
            .get_stream("linnet_default_tests_work")
            .await
            .unwrap();
        let config = &stream.cached_info().config;
        assert_eq!(config.metadata["linnet-partitions"], "4");
        assert_eq!(stream.cached_info().state.consumer_count, 4);
    });
}

/// What docs/workers.md lists.
const PERMISSIONS: &str = r#"
    publish: [
        "$JS.API.STREAM.INFO.linnet_default_tests_work"
        "$JS.API.CONSUMER.INFO.linnet_default_tests_work.*"
        "$JS.API.CONSUMER.MSG.NEXT.linnet_default_tests_work.*"
        "$JS.API.CONSUMER.UNPIN.linnet_default_tests_work.*"
        "$JS.ACK.linnet_default_tests_work.>"
        "linnet.default.tests.history.>"
        "linnet.default.tests.dead.>"
    ]
    subscribe: ["_INBOX.>"]
"#;

#[test]
fn a_worker_needs_no_more_than_the_permissions_that_the_documents_list() {
    scenario(60, async {
        let users = format!(
            "authorization {{users: [{{user: gateway, password: g}}, \
             {{user: worker, password: w, permissions: {{{PERMISSIONS}}}}}]}}\nno_auth_user: gateway"
        );
        let server = NatsServer::jetstream_with("", &users).await;
        let fleet = Fleet::start(&manifest(&server), 1).await;
        let mut client = fleet[0].client().await;
        client.subscribe("work.a").await;
        let url = server.url().replace("nats://", "nats://worker:w@");
        let binary = env!("CARGO_BIN_EXE_test-worker");
        let mut first = Worker::start_at(binary, &url, "first").await;
        for data in ["a", "dead", "b"] {
            client.publish("work.a", json!(data)).await;
        }
        assert_eq!(
            client.next_of("message").await["data"],
            json!(["a", "first"])
        );
        assert_eq!(
            client.next_of("message").await["data"],
            json!(["b", "first"])
        );
        assert_eq!(Letter::only(&server).await.data, "dead");
        let _second = Worker::start_at(binary, &url, "second").await;
        first.stop().await;
        client.publish("work.a", json!("c")).await;
        assert_eq!(
            client.next_of("message").await["data"],
            json!(["c", "second"])
        );
        let refused = |line: &String| line.contains("Permissions Violation");
        assert_eq!(server.log().iter().find(|line| refused(line)), None);
    });
}

#[test]
fn with_three_replicas_the_death_of_a_server_stops_no_worker() {
    scenario(120, async {
        let mut cluster = NatsCluster::start().await;
        let manifest = Manifest::unhurried()
            .without_pings()
            .history(10_000)
            .replicas(3)
            .room(json!({"match": "work.*", "delivery": "Worker"}))
            .spec(json!({"workers": {"acknowledgeSeconds": 1, "partitions": 2}}))
            .nats(&cluster.urls());
        let fleet = Fleet::start(&manifest, 2).await;
        let (mut publisher, mut client) = (fleet[0].client().await, fleet[1].client().await);
        client.subscribe("work.a").await;
        let urls = cluster.urls().join(",");
        let binary = env!("CARGO_BIN_EXE_test-worker");
        let _one = Worker::start_at(binary, &urls, "w").await;
        let _two = Worker::start_at(binary, &urls, "w").await;
        for n in 0..300 {
            if n == 100 {
                cluster.kill_leader("linnet_default_tests_work").await;
            }
            publisher.publish_at_last("work.a", json!(n)).await;
        }
        client.patience = 60;
        for n in 0..300 {
            let frame = client.skip_to("message").await;
            assert_eq!(frame["data"], json!([n, "w"]), "once and in order");
        }
    });
}

#[test]
fn a_full_work_queue_answers_storage_full_and_is_healed() {
    scenario(60, async {
        let (server, fleet) = scene().await;
        let mut client = fleet[0].client().await;
        client.subscribe("work.a").await;
        let streams = server.streams().await;
        let stream = streams
            .get_stream("linnet_default_tests_work")
            .await
            .unwrap();
        let mut config = stream.cached_info().config.clone();
        assert_eq!(config.storage, StorageType::File);
        config.max_messages = 3;
        streams.update_stream(&config).await.unwrap();
        for n in 0..3 {
            client.publish("work.a", json!(n)).await;
        }
        let publish = json!({"type": "publish", "room": "work.a", "data": 3});
        client.refused(publish, "storage_full").await;
        fleet[0].stays_ready_but_says(&["storage"]).await;
        let _worker = worker(&server, "w").await;
        for n in 0..3 {
            assert_eq!(client.next_of("message").await["data"], json!([n, "w"]));
        }
        client.publish_at_last("work.a", json!(3)).await;
        assert_eq!(client.next_of("message").await["data"], json!([3, "w"]));
        fleet[0].is_well().await;
    });
}

/// How many messages the storm has; one of them kills its workers.
const STORM: u64 = 5_000;
const ROOMS: u64 = 20;
const POISONED: u64 = 1_234;
/// What takes longer does not come.
const SILENCE: Duration = Duration::from_secs(30);
/// Between two messages of one publisher, so that the storm outlasts some kills.
const PACE: Duration = Duration::from_millis(8);

fn room(number: u64) -> String {
    format!("work.{}", number % ROOMS)
}

/// Publishes every fourth message from `first` on, each until it is acked, in order.
async fn publish(mut client: Client, first: u64) {
    for number in (first..STORM).step_by(4) {
        let data = match number {
            POISONED => json!("die"),
            _ => json!(number),
        };
        let id = format!("{number}");
        let request =
            json!({"type": "publish", "room": room(number), "data": data, "message_id": id});
        loop {
            match client.request(request.clone()).await {
                Ok(_) => break,
                Err(error) => assert!(is_passing(&error), "{error}"),
            }
            tokio::time::sleep(PACE * 10).await;
        }
        tokio::time::sleep(PACE).await;
    }
}

/// Hears all rooms until each message but the poisoned one has come, or nothing comes any more; gives them by room.
async fn hear(mut client: Client) -> HashMap<String, Vec<u64>> {
    client.patience = 2 * SILENCE.as_secs();
    let mut heard: HashMap<String, Vec<u64>> = HashMap::new();
    for _ in 0..STORM - 1 {
        let Ok(frame) = tokio::time::timeout(SILENCE, client.next_of("message")).await else {
            break;
        };
        let room = frame["room"].as_str().unwrap().to_owned();
        let number = frame["data"][0].as_u64().unwrap();
        heard.entry(room).or_default().push(number);
    }
    heard
}

/// All dead letters, as payload and headers.
async fn letters(server: &NatsServer) -> Vec<(String, String)> {
    let streams = server.streams().await;
    let dead = streams.get_stream("linnet_default_tests_dead").await;
    let mut dead = dead.unwrap();
    let state = dead.info().await.unwrap().state.clone();
    let mut letters = Vec::new();
    for sequence in state.first_sequence..=state.last_sequence {
        let letter = dead.get_raw_message(sequence).await.unwrap();
        let headers = letter.headers.iter();
        let headers = headers.map(|(name, values)| format!("{name}: {}", values[0]));
        let headers = headers.collect::<Vec<_>>().join(", ");
        letters.push((String::from_utf8_lossy(&letter.payload).into(), headers));
    }
    letters
}

#[test]
fn workers_are_killed_nats_restarts_and_a_message_is_poisoned_yet_all_is_worked_once_and_in_order()
{
    scenario(150, async {
        let (mut server, fleet) = scene().await;
        let mut hearing = Vec::new();
        for number in 0..2 {
            let mut client = fleet[number].client().await;
            for number in 0..ROOMS {
                client.subscribe(&room(number)).await;
            }
            hearing.push(tokio::spawn(hear(client)));
        }
        let mut workers = Vec::new();
        for number in 0..3 {
            workers.push(worker(&server, &format!("w{number}")).await);
        }
        let mut publishing = Vec::new();
        for first in 0..4 {
            let client = fleet[first as usize % 2].client().await;
            publishing.push(tokio::spawn(publish(client, first)));
        }
        let mut random = StdRng::seed_from_u64(seed());
        let mut kills = 0;
        while hearing.iter().any(|task| !task.is_finished()) {
            // One is killed every two seconds, and all that have died are replaced.
            tokio::time::sleep(Duration::from_secs(2)).await;
            workers[random.random_range(0..3)].kill().await;
            kills += 1;
            if kills == 3 {
                server.restart().await;
            }
            for (number, one) in workers.iter_mut().enumerate() {
                if !one.is_running() {
                    *one = worker(&server, &format!("w{number}")).await;
                }
            }
        }
        for task in publishing {
            task.await.unwrap();
        }
        let letters = letters(&server).await;
        assert_eq!(letters.len(), 1, "{letters:#?}");
        let (payload, headers) = &letters[0];
        assert_eq!(payload, "\"die\"");
        assert!(headers.contains("never acknowledged"), "{headers}");
        for task in hearing {
            let heard = task.await.unwrap();
            for number in 0..ROOMS {
                let all = (number..STORM).step_by(ROOMS as usize);
                let expected: Vec<u64> = all.filter(|number| *number != POISONED).collect();
                assert_eq!(heard[&room(number)], expected, "{}", room(number));
            }
        }
        assert!(kills >= 3, "the storm was over before NATS restarted");
        is_worked_off(&server).await;
    });
}
