//! Passes of channels that have a broker, which is nowhere: what a pass does around it.

use std::time::Duration;

use http::Method;
use linnet_crds::RealtimeChannel;
use serde_json::{Value, json};

use super::*;
use crate::settings::Settings;
use crate::streams::FINALIZER;
use crate::testing::api_server::ApiServer;

const CHANNEL: &str = "/apis/realtime.linnet.dev/v1alpha1/namespaces/talk/realtimechannels/chat";
const CONFIG_MAP: &str = "/api/v1/namespaces/talk/configmaps/chat-gateway";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/talk/deployments/chat-gateway";
const POD: &str = "/api/v1/namespaces/talk/pods/chat-0";

struct Scene {
    server: ApiServer,
    context: Context,
}

impl Scene {
    /// A channel with history on a broker where nobody listens.
    fn new(history: Value) -> Self {
        let server = ApiServer::default();
        server.put(
            CHANNEL,
            json!({
                "apiVersion": "realtime.linnet.dev/v1alpha1", "kind": "RealtimeChannel",
                "metadata": {"name": "chat", "namespace": "talk", "uid": "channel", "generation": 1},
                "spec": {
                    "authentication": {"anonymous": "Allow"},
                    "broker": {"nats": {"urls": ["nats://127.0.0.1:1"]}},
                    "history": history,
                },
            }),
        );
        let context = Context::new(server.client(), Settings::plain(), None);
        Self { server, context }
    }

    fn edit(&self, edit: impl FnOnce(&mut Value)) {
        self.server.edit(CHANNEL, edit);
    }

    fn is_deleted(&self) {
        self.edit(|channel| {
            channel["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        });
    }

    async fn pass(&self) -> Next {
        pass(&self.context, "talk", "chat").await.unwrap()
    }

    fn finalizers(&self) -> Value {
        let channel = self.server.get(CHANNEL).unwrap();
        channel["metadata"]["finalizers"].clone()
    }

    fn broker_ready(&self) -> Option<(String, String, String)> {
        let channel = self.server.get(CHANNEL).unwrap();
        let channel: RealtimeChannel = serde_json::from_value(channel).unwrap();
        let conditions = channel.status.unwrap().conditions.into_iter();
        let mut conditions = conditions.filter(|condition| condition.type_ == "BrokerReady");
        let condition = conditions.next()?;
        Some((condition.status, condition.reason, condition.message))
    }

    fn record(&self) -> Value {
        let config_map = self.server.get(CONFIG_MAP).unwrap();
        let text = &config_map["metadata"]["annotations"][crate::names::STREAMS];
        text.as_str()
            .map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
    }
}

#[tokio::test]
async fn a_broker_that_is_away_is_a_condition_and_holds_up_no_child() {
    let scene = Scene::new(json!({}));
    scene.pass().await;
    let (status, reason, message) = scene.broker_ready().unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Unreachable"));
    assert!(message.contains("nats://127.0.0.1:1"), "{message}");
    assert!(scene.server.get(DEPLOYMENT).is_some());
    assert!(scene.server.events().contains(&"Unreachable".into()));
    assert_eq!(scene.finalizers(), Value::Null);
    scene.server.writes();
    scene.pass().await;
    assert_eq!(scene.server.writes(), [], "it is said once");
}

#[tokio::test]
async fn the_finalizer_comes_before_anything_else_and_goes_with_the_policy() {
    let scene = Scene::new(json!({"deletionPolicy": "Delete"}));
    scene.pass().await;
    let first = &scene.server.writes()[0];
    assert_eq!(
        (&first.method, first.path.as_str()),
        (&Method::PATCH, CHANNEL)
    );
    assert_eq!(scene.finalizers(), json!([FINALIZER]));
    scene.edit(|channel| {
        channel["spec"]["history"]["deletionPolicy"] = json!("Retain");
        channel["metadata"]["finalizers"] = json!(["someone.else/s", FINALIZER]);
    });
    scene.pass().await;
    assert_eq!(scene.finalizers(), json!(["someone.else/s"]));
}

#[tokio::test]
async fn a_paused_channel_keeps_what_was_said_of_its_broker_and_gets_no_finalizer() {
    let scene = Scene::new(json!({}));
    scene.pass().await;
    let said = scene.broker_ready();
    scene.edit(|channel| {
        channel["spec"]["history"]["deletionPolicy"] = json!("Delete");
        channel["metadata"]["annotations"] = json!({crate::names::PAUSED: "true"});
    });
    scene.pass().await;
    assert_eq!(scene.broker_ready(), said);
    assert_eq!(scene.finalizers(), Value::Null);
}

#[tokio::test]
async fn streams_of_the_broker_before_are_named_for_as_long_as_the_channel_is_there() {
    let scene = Scene::new(json!({}));
    scene.pass().await;
    assert_eq!(scene.record()["urls"], json!(["nats://127.0.0.1:1"]));
    scene.edit(|channel| {
        channel["spec"].as_object_mut().unwrap().remove("broker");
    });
    for _ in 0..3 {
        scene.pass().await;
        let (status, reason, message) = scene.broker_ready().unwrap();
        assert_eq!(
            (status.as_str(), reason.as_str()),
            ("True", "StreamsLeftBehind")
        );
        assert!(
            message.contains("linnet_talk_chat on nats://127.0.0.1:1"),
            "{message}"
        );
    }
    assert_eq!(
        scene.record()["left"][0]["streams"],
        json!(["linnet_talk_chat"])
    );
    assert_eq!(
        scene
            .server
            .events()
            .iter()
            .filter(|reason| *reason == "StreamsLeftBehind")
            .count(),
        1
    );
}

/// A channel that is to be deleted with its streams, and has a gateway.
async fn deleting() -> Scene {
    let scene = Scene::new(json!({"deletionPolicy": "Delete"}));
    scene.pass().await;
    scene.server.put(
        POD,
        json!({"metadata": {"name": "chat-0", "namespace": "talk", "labels": crate::names::labels("chat")}}),
    );
    scene.is_deleted();
    scene.server.writes();
    scene.server.events();
    scene
}

#[tokio::test]
async fn the_gateways_go_before_the_streams() {
    let scene = deleting().await;
    assert!(scene.pass().await.is_some());
    let writes = scene.server.writes();
    let writes: Vec<_> = writes
        .iter()
        .map(|write| (&write.method, write.path.as_str()))
        .collect();
    assert_eq!(writes, [(&Method::DELETE, DEPLOYMENT)]);
    scene.pass().await;
    assert_eq!(scene.server.writes(), [], "the pod is waited for");
    assert_eq!(scene.finalizers(), json!([FINALIZER]));
}

#[tokio::test]
async fn a_broker_that_is_away_is_waited_for_with_a_word_and_then_given_up_with_another() {
    let mut scene = deleting().await;
    scene.server.remove(POD);
    assert!(scene.pass().await.is_some());
    assert!(scene.pass().await.is_some());
    assert_eq!(scene.server.events(), ["DeletionWaits"], "once");
    scene.context = scene.context.bounded(1, Duration::ZERO);
    assert_eq!(scene.pass().await, None);
    assert_eq!(scene.finalizers(), json!([]));
    assert_eq!(scene.server.events(), ["StreamsStay"]);
}

#[tokio::test]
async fn a_secret_that_is_gone_and_a_word_of_a_person_let_a_channel_go_at_once() {
    for (field, value) in [
        ("/spec/broker/nats/credentialsSecretName", json!("gone")),
        (
            "/metadata/annotations",
            json!({crate::names::ABANDON_STREAMS: "true"}),
        ),
    ] {
        let scene = deleting().await;
        scene.edit(|channel| {
            let (parent, key) = field.rsplit_once('/').unwrap();
            channel.pointer_mut(parent).unwrap()[key] = value;
        });
        assert_eq!(scene.pass().await, None, "{field}");
        assert_eq!(scene.finalizers(), json!([]));
        assert_eq!(scene.server.events(), ["StreamsStay"]);
        let others = scene.server.writes();
        assert!(
            others.iter().all(|write| write.path == CHANNEL),
            "{others:?}"
        );
    }
}

#[tokio::test]
async fn a_deletion_of_a_paused_or_broken_channel_goes_on() {
    let scene = deleting().await;
    scene.server.remove(POD);
    scene.edit(|channel| {
        channel["metadata"]["annotations"] =
            json!({crate::names::PAUSED: "true", crate::names::ABANDON_STREAMS: "true"});
        channel["spec"]["replicas"] = json!(-3);
    });
    assert_eq!(scene.pass().await, None);
    assert_eq!(scene.finalizers(), json!([]));
}
