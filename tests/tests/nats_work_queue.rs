//! The queue between gateways and workers: made, shared, full, deleted.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use async_nats::jetstream::stream::StorageType;
use linnet_tests::Worker;
use linnet_tests::prelude::*;
use linnet_tests::work::{ROOMS, direct, is_worked_off, manifest, room, scene};

#[test]
fn a_queue_that_is_made_anew_is_worked_and_its_numbers_collide_with_nothing() {
    scenario(60, async {
        let (server, fleet) = scene().await;
        let mut client = fleet[0].client().await;
        client.subscribe("work.a").await;
        let _worker = Worker::start(&server, "w").await;
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
        let first = Gateway::start_with(&manifest(&server), &["--create-stream"]).await;
        first.ready().await;
        let second = Gateway::start_with(&other, &["--create-stream"]).await;
        second.ready().await;
        let _worker = Worker::start(&server, "w").await;
        let mut client = second.client().await;
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
        let _worker = Worker::start(&server, "w").await;
        for n in 0..3 {
            assert_eq!(client.next_of("message").await["data"], json!([n, "w"]));
        }
        client.publish_at_last("work.a", json!(3)).await;
        assert_eq!(client.next_of("message").await["data"], json!([3, "w"]));
        fleet[0].is_well().await;
    });
}
