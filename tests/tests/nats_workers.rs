//! Rooms whose messages go to a worker: order and no doubles, whatever becomes of workers.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use futures_util::StreamExt;
use linnet_tests::Worker;
use linnet_tests::prelude::*;
use linnet_tests::work::{Letter, direct, is_worked_off, manifest, queued, scene};

#[test]
fn what_a_worker_makes_of_a_message_reaches_both_gateways_once_and_in_order() {
    scenario(60, async {
        let (server, fleet) = scene().await;
        let mut here = fleet[0].client().await;
        let mut there = fleet[1].client().await;
        here.subscribe("work.a").await;
        there.subscribe("work.a").await;
        let _worker = Worker::start(&server, "w").await;
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
        let _worker = Worker::start(&server, "w").await;
        client.publish("work.a", json!("end")).await;
        assert_eq!(client.next_of("message").await["data"], json!([1, "w"]));
        assert_eq!(client.next_of("message").await["data"], json!(["end", "w"]));
    });
}

/// What the guarantees say is possible: a queue made from its files knows no ids of what has left it.
#[test]
fn a_publish_that_is_sent_again_after_nats_was_restarted_may_be_worked_again_and_is_never_lost() {
    scenario(90, async {
        let (mut server, fleet) = scene().await;
        let mut client = fleet[0].client().await;
        client.subscribe("work.a").await;
        let publish = json!({"type": "publish", "room": "work.a", "data": 1, "message_id": "one"});
        client.ack(publish.clone()).await;
        let mut first = Worker::start(&server, "first").await;
        assert_eq!(client.skip_to("message").await["data"], json!([1, "first"]));
        is_worked_off(&server).await;
        first.stop().await;
        server.restart().await;
        client.publish_at_last("work.a", json!("between")).await;
        let again = client.ack(publish).await;
        client.publish("work.a", json!("end")).await;
        let _second = Worker::start(&server, "second").await;
        let mut worked = Vec::new();
        while worked.last() != Some(&json!(["end", "second"])) {
            worked.push(client.skip_to("message").await["data"].clone());
        }
        // Whoever is told that it is a repeat gets no second output, and whoever is not gets one: nothing in between.
        let mut expected = vec![json!(["between", "second"])];
        if again.get("duplicate").is_none() {
            expected.push(json!([1, "second"]));
        }
        expected.push(json!(["end", "second"]));
        assert_eq!(worked, expected, "{again}");
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
        let _worker = Worker::start(&server, "w").await;
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
        let _worker = Worker::start(&server, "w").await;
        for n in 0..51 {
            let frame = client.skip_to("message").await;
            assert_eq!(frame["data"], json!([n, "w"]));
        }
    });
}

#[test]
fn a_worker_that_stands_still_loses_its_message_to_another_and_does_not_double_it() {
    scenario(90, async {
        let (server, fleet) = scene().await;
        let mut client = fleet[0].client().await;
        client.subscribe("work.a").await;
        let first = Worker::start(&server, "first").await;
        client.publish("work.a", json!("warm")).await;
        first.got(&json!("warm")).await;
        client.next_of("message").await;
        // It has the pin; what comes now is handed to it and to nobody else until that is over.
        first.pause();
        for n in 0..20 {
            client.publish("work.a", json!(n)).await;
        }
        let _second = Worker::start(&server, "second").await;
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
        let mut first = Worker::start(&server, "first").await;
        client.publish("work.a", json!(0)).await;
        client.next_of("message").await;
        let _second = Worker::start(&server, "second").await;
        let observer = server.client().await;
        let mut unpinned = observer
            .subscribe("$JS.EVENT.ADVISORY.CONSUMER.UNPINNED.>")
            .await
            .unwrap();
        observer.flush().await.unwrap();
        first.stop().await;
        let advisory = within("the end of its pin", 60, unpinned.next()).await;
        let advisory: Value = serde_json::from_slice(&advisory.unwrap().payload).unwrap();
        assert_eq!(
            advisory["reason"], "admin",
            "it was given back, and has not run out: {advisory}"
        );
        client.publish("work.a", json!(1)).await;
        let frame = client.next_of("message").await;
        assert_eq!(frame["data"], json!([1, "second"]));
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
        let _worker = Worker::start(&server, "w").await;
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
        let mut first = Worker::start_at(&url, "first").await;
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
        let _second = Worker::start_at(&url, "second").await;
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
        let _one = Worker::start_at(&urls, "w").await;
        let _two = Worker::start_at(&urls, "w").await;
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
