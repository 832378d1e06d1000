//! NATS servers that lack what the operator needs, or are away: it says so, in words that name what to do.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::time::{Duration, Instant};

use linnet_crds::RealtimeChannel;
use linnet_gateway::config::Channel;
use linnet_operator::assets::{BrokerError, Brokers, Keeper, Kept, Plan, Secrets};
use linnet_tests::assets::{BUCKET, STREAM, Scene};
use linnet_tests::prelude::*;

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
