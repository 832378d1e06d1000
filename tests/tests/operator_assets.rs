//! What the operator makes, puts right and deletes on a real NATS server.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::time::Duration;

use linnet_crds::RealtimeChannel;
use linnet_gateway::broker::nats::presence::link::Link;
use linnet_gateway::broker::nats::presence::state;
use linnet_gateway::broker::nats::stream::{EPOCH, OWNER, StreamOf};
use linnet_gateway::broker::nats::subjects::Subjects;
use linnet_gateway::config::Channel;
use linnet_operator::assets::{Deleted, Done, Keeper, Kept, Plan};
use linnet_tests::assets::{BUCKET, STREAM, Scene};
use linnet_tests::prelude::*;
use tokio::sync::watch;

fn created(names: &[&str]) -> Kept {
    Kept {
        done: names
            .iter()
            .map(|name| ((*name).to_owned(), Done::Created))
            .collect(),
        orphans: Vec::new(),
    }
}

#[test]
fn what_is_missing_is_made_once_and_then_nothing_is_written() {
    scenario(60, async {
        let scene = Scene::new(json!({})).await;
        assert_eq!(scene.keep().await.unwrap(), created(&[STREAM, BUCKET]));
        assert_eq!(scene.keep().await.unwrap(), Kept::default());
        let config = scene.config(STREAM).await.unwrap();
        assert_eq!(config.metadata[OWNER], "linnet/shop/chat");
        assert!(!config.metadata[EPOCH].is_empty());
    });
}

#[test]
fn what_gateways_have_made_is_just_what_the_operator_wants() {
    scenario(60, async {
        let scene = Scene::new(json!({"maxMessagesPerRoom": 7, "partitions": 2})).await;
        let (channel, client) = (scene.channel(), scene.server.client().await);
        let subjects = Subjects::new("linnet", "shop", "chat", 2);
        let streams = scene.server.streams().await;
        for partition in 0..2 {
            let stream = StreamOf::new(subjects.clone(), partition, true);
            stream
                .open(&streams, &channel.history.unwrap())
                .await
                .unwrap();
        }
        let (_up, connected) = watch::channel(true);
        let (_presence, _news) =
            Link::start(client, &subjects, 1, state::Config::default(), connected);
        let there = &scene;
        until("the bucket", || async move { there.config(BUCKET).await }).await;
        assert_eq!(scene.keep().await.unwrap(), Kept::default());
    });
}

#[test]
fn gateways_use_what_the_operator_has_made() {
    scenario(60, async {
        let scene = Scene::new(json!({})).await;
        scene.keep().await.unwrap();
        let epoch = scene.config(STREAM).await.unwrap().metadata[EPOCH].clone();
        let subjects = Subjects::new("linnet", "shop", "chat", 1);
        let streams = scene.server.streams().await;
        let stream = StreamOf::new(subjects.clone(), 0, false);
        let opened = stream
            .open(&streams, &scene.channel().history.unwrap())
            .await
            .unwrap();
        assert_eq!(opened.epoch.as_str(), epoch);
        let (_up, connected) = watch::channel(true);
        let client = scene.server.client().await;
        let (mut presence, _news) =
            Link::start(client, &subjects, 1, state::Config::default(), connected);
        while presence.status().is_err() {
            assert!(presence.changed().await);
        }
    });
}

#[test]
fn limits_follow_the_spec_drift_is_put_right_and_the_epoch_stays() {
    scenario(60, async {
        let mut scene = Scene::new(json!({})).await;
        scene.keep().await.unwrap();
        let epoch = scene.config(STREAM).await.unwrap().metadata[EPOCH].clone();
        scene.set("maxMessagesPerRoom", json!(7));
        scene.set("maxAgeSeconds", json!(600));
        scene
            .edit(|config| {
                config.allow_direct = false;
                config.subjects.push("elsewhere.>".into());
                config.max_bytes = 5_000_000;
            })
            .await;
        let kept = scene.keep().await.unwrap();
        let (stream, Done::Updated(mut fields)) = kept.done[0].clone() else {
            panic!("{kept:?}");
        };
        fields.sort_unstable();
        assert_eq!(stream, STREAM);
        assert_eq!(
            fields,
            [
                "allow_direct",
                "max_age",
                "max_msgs_per_subject",
                "subjects"
            ]
        );
        assert_eq!(scene.keep().await.unwrap(), Kept::default());
        let config = scene.config(STREAM).await.unwrap();
        assert_eq!(config.max_messages_per_subject, 7);
        assert_eq!(config.max_age, Duration::from_secs(600));
        assert_eq!(config.max_bytes, 5_000_000, "theirs");
        assert_eq!(config.metadata[EPOCH], epoch);
    });
}

#[test]
fn another_owners_stream_is_named_and_left_alone_and_the_bucket_is_made_all_the_same() {
    scenario(60, async {
        let scene = Scene::new(json!({})).await;
        scene.keep().await.unwrap();
        let owner = |config: &mut async_nats::jetstream::stream::Config| {
            config
                .metadata
                .insert(OWNER.into(), "east/shop/chat".into());
            config.max_messages_per_subject = 3;
        };
        scene.edit(owner).await;
        scene
            .server
            .streams()
            .await
            .delete_stream(BUCKET)
            .await
            .unwrap();
        let error = scene.keep().await.unwrap_err();
        assert_eq!(error.reason(), "StreamConflict");
        assert!(
            error
                .to_string()
                .contains("linnet_shop_chat belongs to east/shop/chat")
        );
        assert_eq!(
            scene.config(STREAM).await.unwrap().max_messages_per_subject,
            3
        );
        assert!(scene.config(BUCKET).await.is_some());
        let deleted = scene.delete().await;
        assert_eq!(deleted.deleted, [BUCKET]);
        assert_eq!(
            deleted.others,
            [(STREAM.to_owned(), "east/shop/chat".to_owned())]
        );
        assert!(scene.config(STREAM).await.is_some());
    });
}

#[test]
fn a_stream_of_before_is_adopted_with_what_it_holds() {
    scenario(60, async {
        let scene = Scene::new(json!({})).await;
        scene.keep().await.unwrap();
        let streams = scene.server.streams().await;
        let subject = "linnet.shop.chat.history.0.r_lobby";
        streams
            .publish(subject, "kept".into())
            .await
            .unwrap()
            .await
            .unwrap();
        let epoch = scene.config(STREAM).await.unwrap().metadata[EPOCH].clone();
        scene
            .edit(|config| drop(config.metadata.remove(OWNER)))
            .await;
        let kept = scene.keep().await.unwrap();
        assert_eq!(kept.done, [(STREAM.to_owned(), Done::Updated(vec![OWNER]))]);
        let mut stream = streams.get_stream(STREAM).await.unwrap();
        let info = stream.info().await.unwrap();
        assert_eq!(info.state.messages, 1);
        assert_eq!(info.config.metadata[EPOCH], epoch);
    });
}

#[test]
fn history_that_is_taken_out_of_the_spec_stays_and_is_named() {
    scenario(60, async {
        let mut scene = Scene::new(json!({"partitions": 2})).await;
        scene.keep().await.unwrap();
        scene.manifest["spec"]
            .as_object_mut()
            .unwrap()
            .remove("history");
        let kept = scene.keep().await.unwrap();
        assert_eq!(kept.done, []);
        assert_eq!(kept.orphans, ["linnet_shop_chat_0", "linnet_shop_chat_1"]);
        let deleted = scene.delete().await.deleted;
        assert_eq!(
            deleted,
            [BUCKET, "linnet_shop_chat_0", "linnet_shop_chat_1"]
        );
        assert_eq!(scene.delete().await, Deleted::default(), "nothing is left");
    });
}

#[test]
fn the_streams_of_a_channel_whose_name_begins_alike_are_not_its_own() {
    scenario(60, async {
        let scene = Scene::new(json!({})).await;
        let mut other = scene.manifest.clone();
        other["metadata"]["name"] = json!("chat-two");
        let other: RealtimeChannel = serde_json::from_value(other).unwrap();
        let plan = Plan::of("linnet", &Channel::compile(&other));
        let broker = scene
            .brokers
            .get(&scene.channel().nats.unwrap(), &scene.secrets)
            .await
            .unwrap();
        Keeper::new(&broker, &plan).keep().await.unwrap();
        assert_eq!(scene.keep().await.unwrap(), created(&[STREAM, BUCKET]));
        assert_eq!(scene.delete().await.deleted, [BUCKET, STREAM]);
        assert_eq!(
            Keeper::new(&broker, &plan).keep().await.unwrap(),
            Kept::default()
        );
    });
}

#[test]
fn rooms_with_workers_get_a_work_queue_with_its_consumers() {
    scenario(60, async {
        let mut scene = Scene::new(json!({})).await;
        scene.manifest["spec"]["rooms"] = json!([{"match": "*", "delivery": "Worker"}]);
        scene.manifest["spec"]["workers"] = json!({"partitions": 3});
        let queue = "linnet_shop_chat_work";
        let all = [STREAM, BUCKET, queue, "linnet_shop_chat_dead"];
        assert_eq!(scene.keep().await.unwrap(), created(&all));
        let consumers = || async {
            let streams = scene.server.streams().await;
            let stream = streams.get_stream(queue).await.unwrap();
            stream.cached_info().state.consumer_count
        };
        assert_eq!(consumers().await, 3);
        assert_eq!(scene.keep().await.unwrap(), Kept::default());
        scene.manifest["spec"]["workers"]["acknowledgeSeconds"] = json!(3);
        scene.keep().await.unwrap();
        let streams = scene.server.streams().await;
        let stream = streams.get_stream(queue).await.unwrap();
        let consumer = stream.consumer_info("worker_2").await.unwrap();
        assert_eq!(consumer.config.ack_wait, Duration::from_secs(3));
        scene.manifest["spec"]["rooms"] = json!([]);
        let orphans = scene.keep().await.unwrap().orphans;
        assert_eq!(orphans, ["linnet_shop_chat_dead", queue]);
        assert_eq!(scene.delete().await.deleted.len(), 4);
    });
}
