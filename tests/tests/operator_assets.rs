//! What the operator makes, puts right and deletes on a real NATS server.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::time::{Duration, Instant};

use linnet_crds::RealtimeChannel;
use linnet_gateway::broker::nats::presence::link::Link;
use linnet_gateway::broker::nats::presence::state;
use linnet_gateway::broker::nats::stream::{EPOCH, OWNER, StreamOf};
use linnet_gateway::broker::nats::subjects::Subjects;
use linnet_gateway::config::Channel;
use linnet_operator::assets::{
    AssetError, BrokerError, Brokers, Deleted, Done, Keeper, Kept, Plan, Secrets,
};
use linnet_tests::prelude::*;
use tokio::sync::watch;

const STREAM: &str = "linnet_shop_chat";
const BUCKET: &str = "KV_linnet_shop_chat_presence";

/// A channel on a server of its own, as the operator sees both.
struct Scene {
    server: NatsServer,
    brokers: Brokers,
    secrets: Secrets,
    manifest: Value,
}

impl Scene {
    async fn new(history: Value) -> Self {
        Self::on(NatsServer::jetstream().await, history)
    }

    fn on(server: NatsServer, history: Value) -> Self {
        let manifest = json!({
            "apiVersion": "realtime.linnet.dev/v1alpha1", "kind": "RealtimeChannel",
            "metadata": {"name": "chat", "namespace": "shop"},
            "spec": {"broker": {"nats": {"urls": [server.url()]}}, "history": history},
        });
        Self {
            server,
            brokers: Brokers::new(),
            secrets: Secrets::new(),
            manifest,
        }
    }

    fn channel(&self) -> Channel {
        let manifest: RealtimeChannel = serde_json::from_value(self.manifest.clone()).unwrap();
        Channel::compile(&manifest)
    }

    fn plan(&self) -> Plan {
        Plan::of("linnet", &self.channel())
    }

    async fn keep(&self) -> Result<Kept, AssetError> {
        let nats = self.channel().nats.unwrap();
        let broker = self.brokers.get(&nats, &self.secrets).await.unwrap();
        Keeper::new(&broker, &self.plan()).keep().await
    }

    async fn delete(&self) -> Deleted {
        let nats = self.channel().nats.unwrap();
        let broker = self.brokers.get(&nats, &self.secrets).await.unwrap();
        Keeper::new(&broker, &self.plan()).delete().await.unwrap()
    }

    async fn broker(&self) -> Result<(), BrokerError> {
        let nats = self.channel().nats.unwrap();
        self.brokers.get(&nats, &self.secrets).await.map(drop)
    }

    fn set(&mut self, field: &str, value: Value) {
        self.manifest["spec"]["history"][field] = value;
    }

    /// What the server says of a stream; `None` if it is not there.
    async fn config(&self, stream: &str) -> Option<async_nats::jetstream::stream::Config> {
        let streams = self.server.streams().await;
        let found = streams.get_stream(stream).await.ok()?;
        Some(found.cached_info().config.clone())
    }

    /// Changes a stream as people do with `nats stream edit`.
    async fn edit(&self, edit: impl FnOnce(&mut async_nats::jetstream::stream::Config)) {
        let mut config = self.config(STREAM).await.unwrap();
        edit(&mut config);
        self.server
            .streams()
            .await
            .update_stream(config)
            .await
            .unwrap();
    }
}

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

#[test]
fn copies_grow_and_shrink_in_a_cluster() {
    scenario(120, async {
        let cluster = NatsCluster::start().await;
        let urls = json!([cluster.node(0).url()]);
        let manifest = |replicas: u32| -> RealtimeChannel {
            serde_json::from_value(json!({
                "apiVersion": "realtime.linnet.dev/v1alpha1", "kind": "RealtimeChannel",
                "metadata": {"name": "chat", "namespace": "shop"},
                "spec": {"broker": {"nats": {"urls": urls}}, "history": {"replicas": replicas}},
            }))
            .unwrap()
        };
        let brokers = Brokers::new();
        for replicas in [1, 3, 1] {
            let channel = Channel::compile(&manifest(replicas));
            let plan = Plan::of("linnet", &channel);
            let nats = channel.nats.unwrap();
            let broker = brokers.get(&nats, &Secrets::new()).await.unwrap();
            let kept = Keeper::new(&broker, &plan).keep().await.unwrap();
            assert_eq!(kept.done.len(), 2, "{replicas}: {kept:?}");
            let streams = cluster.streams().await;
            for name in [STREAM, BUCKET] {
                let stream = streams.get_stream(name).await.unwrap();
                assert_eq!(stream.cached_info().config.num_replicas, replicas as usize);
            }
        }
    });
}

#[test]
fn more_copies_than_there_are_servers_is_said() {
    scenario(60, async {
        let scene = Scene::new(json!({"replicas": 3})).await;
        let error = scene.keep().await.unwrap_err();
        assert_eq!(error.reason(), "StreamRefused");
        assert!(error.to_string().contains(STREAM), "{error}");
    });
}

#[test]
fn a_server_without_jetstream_is_said_to_have_none() {
    scenario(60, async {
        let scene = Scene::on(NatsServer::start("").await, json!({}));
        let error = scene.keep().await.unwrap_err();
        assert_eq!(error.reason(), "JetStreamUnavailable", "{error}");
    });
}

#[test]
fn a_server_that_is_away_is_said_to_be_and_is_found_again() {
    scenario(60, async {
        let mut scene = Scene::new(json!({})).await;
        scene.keep().await.unwrap();
        scene.server.kill().await;
        let there = &scene;
        let error = until("the failure", || async move { there.broker().await.err() }).await;
        assert!(error.to_string().contains(&scene.server.url()), "{error}");
        // A thousand channels do not wait for it one after another.
        let started = Instant::now();
        for _ in 0..1000 {
            assert!(scene.broker().await.is_err());
        }
        assert!(started.elapsed() < Duration::from_secs(30));
        scene.server.launch().await;
        let there = &scene;
        until("the server", || async move { there.broker().await.ok() }).await;
        assert_eq!(scene.keep().await.unwrap(), Kept::default());
    });
}

#[test]
fn a_permission_that_lacks_is_named() {
    scenario(60, async {
        let config = "authorization {users: [{user: u, password: p, permissions: {publish: {\
             allow: [\"$JS.API.STREAM.INFO.>\", \"$JS.API.STREAM.NAMES\", \"_INBOX.>\"]}}}]}";
        let server = NatsServer::jetstream_with("", config).await;
        let mut scene = Scene::on(server, json!({}));
        scene.manifest["spec"]["broker"]["nats"]["credentialsSecretName"] = json!("login");
        assert!(
            matches!(scene.broker().await, Err(BrokerError::Credentials(_))),
            "it has no keys"
        );
        let login = |password: &str| {
            let keys = [("username", "u"), ("password", password)];
            let keys = keys.map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()));
            Secrets::from([("login".to_owned(), keys.into())])
        };
        scene.secrets = login("wrong");
        assert!(matches!(
            scene.broker().await,
            Err(BrokerError::Unauthorized(_))
        ));
        scene.secrets = login("p");
        let error = scene.keep().await.unwrap_err();
        assert_eq!(error.reason(), "PermissionDenied", "{error}");
        assert!(
            error
                .to_string()
                .contains("$JS.API.STREAM.CREATE.linnet_shop_chat"),
            "{error}"
        );
    });
}
