//! What others do on the same NATS: messages that are none, streams of another shape, and rooms that missed something.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use async_nats::HeaderMap;
use linnet_tests::follower::Position;
use linnet_tests::prelude::*;

fn manifest(server: &NatsServer) -> Manifest {
    Manifest::unhurried()
        .without_pings()
        .history(100)
        .room(json!({"match": "live.*", "history": "Disabled"}))
        .nats(&[server.url()])
}

#[test]
fn a_message_that_is_none_is_left_out_and_harms_nobody() {
    scenario(60, async {
        let server = NatsServer::jetstream().await;
        let fleet = Fleet::start(&manifest(&server), 1).await;
        let mut client = fleet[0].client().await;
        client.subscribe("lobby").await;
        let stranger = server.client().await;
        let subject = "linnet.default.tests.history.0.r_lobby";
        let mut bad = HeaderMap::new();
        bad.insert("Linnet-From", "no JSON");
        for payload in ["{", "", "\u{0}"] {
            stranger.publish(subject, payload.into()).await.unwrap();
        }
        stranger
            .publish_with_headers(subject, bad, "1".into())
            .await
            .unwrap();
        let nowhere = "linnet.default.tests.history.0.x_lobby";
        stranger.publish(nowhere, "1".into()).await.unwrap();
        stranger.publish(subject, "\"good\"".into()).await.unwrap();
        let message = client.skip_to("message").await;
        assert_eq!(message["data"], "good");
        assert_eq!(message["from"], Value::Null, "a service has no session");
        fleet[0]
            .metric_reaches("linnet_broker_faults_total", 5.0)
            .await;
    });
}

#[test]
fn a_gateway_that_asks_for_other_partitions_is_not_ready_and_changes_nothing() {
    scenario(60, async {
        let server = NatsServer::jetstream().await;
        let fleet = Fleet::start(&manifest(&server), 1).await;
        let other = manifest(&server).partitions(4);
        let other = Gateway::start_with(&other, &["--create-stream"]).await;
        until("/readyz to name what is wrong", || async {
            let answer = other.get("/readyz").await;
            assert_eq!(answer.status, 503, "{answer:?}");
            answer.body.contains("overlap").then_some(())
        })
        .await;
        assert!(other.try_client("").await.is_err(), "nobody is let in");
        let mut client = fleet[0].client().await;
        client.subscribe("lobby").await;
        client.publish("lobby", json!(1)).await;
        assert_eq!(client.skip_to("message").await["data"], 1);
    });
}

#[test]
fn gateways_with_other_limits_share_a_stream_and_keep_its_epoch() {
    scenario(60, async {
        let server = NatsServer::jetstream().await;
        let few = manifest(&server).spec(json!({"history": {"maxMessagesPerRoom": 5}}));
        let fleet = Fleet::start_in_turn(&[manifest(&server), few]).await;
        let (mut one, mut two) = (fleet[0].client().await, fleet[1].client().await);
        let first = Position::of(&one.subscribe("lobby").await);
        let mut last = first.clone();
        for n in 0..20 {
            last = Position::of(&one.publish("lobby", json!(n)).await);
        }
        let mut there = fleet[1].client().await;
        there.comes_from("lobby", &last).await;
        let ask = json!({"type": "subscribe", "room": "lobby", "since": first.since()});
        let ack = two.ack(ask).await;
        assert_eq!(ack["epoch"], first.epoch.as_str());
        assert_eq!(ack["recovered"], false, "the stream keeps five: {ack}");
        let history = two.ack(json!({"type": "history", "room": "lobby"})).await;
        assert_eq!(history["messages"].as_array().unwrap().len(), 5);
    });
}

#[test]
fn a_room_without_history_is_told_when_its_gateway_had_lost_nats() {
    scenario(60, async {
        let mut server = NatsServer::jetstream().await;
        let fleet = Fleet::start(&manifest(&server), 1).await;
        let mut client = fleet[0].client().await;
        client.subscribe("live.a").await;
        server.restart().await;
        let gap = client.skip_to("gap").await;
        assert_eq!(gap["room"], "live.a");
        assert_eq!(gap["reason"], "broker_reset");
        assert_eq!(gap["offset"], Value::Null);
        client.publish_at_last("live.a", json!("after")).await;
        assert_eq!(client.skip_to("message").await["data"], "after");
    });
}

#[test]
fn a_server_whose_messages_are_too_small_is_named() {
    scenario(60, async {
        let server = NatsServer::jetstream_with("", "max_payload: 32K").await;
        let gateway = Gateway::start_with(&manifest(&server), &["--create-stream"]).await;
        until("/readyz to name what is wrong", || async {
            let answer = gateway.get("/readyz").await;
            assert_eq!(answer.status, 503, "{answer:?}");
            answer.body.contains("max_payload").then_some(())
        })
        .await;
    });
}

#[test]
fn who_subscribes_while_nats_is_away_is_in_the_room_at_once_and_told_of_a_gap() {
    scenario(60, async {
        let mut server = NatsServer::jetstream().await;
        let fleet = Fleet::start(&manifest(&server), 1).await;
        let mut client = fleet[0].client().await;
        server.stop().await;
        client.subscribe("live.a").await;
        server.launch().await;
        let gap = client.skip_to("gap").await;
        assert_eq!(
            (&gap["room"], &gap["reason"]),
            (&json!("live.a"), &json!("broker_reset"))
        );
        client.publish_at_last("live.a", json!("after")).await;
        assert_eq!(client.skip_to("message").await["data"], "after");
    });
}

#[test]
fn a_subscribe_that_nats_does_not_answer_is_acked_all_the_same_and_told_of_a_gap() {
    scenario(60, async {
        let server = NatsServer::jetstream().await;
        let proxy = Proxy::to_nats(&server).await;
        let manifest = manifest(&server).nats(&[proxy.nats_url()]);
        let fleet = Fleet::start(&manifest, 1).await;
        let mut client = fleet[0].client().await;
        proxy.hold().await;
        let request = json!({"type": "subscribe", "room": "live.a", "id": "in"});
        client.send(request).await;
        client.settle().await;
        let early = client.set_aside();
        assert!(
            early.is_empty(),
            "the ack waits for NATS, a pong does not: {early:?}"
        );
        client.answer(&json!("in")).await.unwrap();
        proxy.pass().await;
        let gap = client.skip_to("gap").await;
        assert_eq!(
            (&gap["room"], &gap["reason"]),
            (&json!("live.a"), &json!("broker_reset"))
        );
        client.publish("live.a", json!("after")).await;
        assert_eq!(client.skip_to("message").await["data"], "after");
    });
}
