//! A channel's deletion: whatever the broker does, nothing hangs, and what stays is named.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_cluster_tests::channel::{READY, because, channel, condition, settled};
use linnet_cluster_tests::operator::system;
use linnet_cluster_tests::{Kubectl, Namespace};
use linnet_tests::scenario;
use serde_json::{Value, json};

const CHAT: &str = "realtimechannel/chat";

/// Within which a channel must be gone, as kubectl wants it: its gateways go first, and `brokerGoneAfterSeconds` of
/// values.yaml is in it.
const GONE: &str = "--timeout=100s";

/// A broker that nobody will ever reach.
const NOWHERE: &str = "nats://nowhere.invalid:4222";

/// A channel whose gateways are quick to go, with more of its spec.
fn chat(deletion_policy: &str, more: &Value) -> Value {
    let mut chat = channel("chat", more);
    chat["spec"]["history"]["deletionPolicy"] = json!(deletion_policy);
    chat["spec"]["rollout"]["drainSeconds"] = json!(1);
    chat
}

/// The streams on the release's NATS that belong to channels of `namespace`.
async fn streams(namespace: &str) -> Vec<String> {
    let raw = "/api/v1/namespaces/linnet-system/pods/linnet-nats-0:8222/proxy/jsz?streams=true";
    let answer: Value = serde_json::from_str(&system().run(&["get", "--raw", raw]).await).unwrap();
    let accounts = answer["account_details"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let streams = accounts.iter().flat_map(|account| {
        account["stream_detail"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    });
    let names = streams.map(|stream| stream["name"].as_str().unwrap().to_owned());
    let part = format!("_{}_", namespace.replace('-', "_"));
    let dashed = format!("_{namespace}_");
    names
        .filter(|name| name.contains(&part) || name.contains(&dashed))
        .collect()
}

/// Makes the channel on the release's NATS and waits until it has its streams.
async fn with_streams(purpose: &str, deletion_policy: &str) -> (Namespace, Kubectl) {
    let namespace = Namespace::create(purpose).await;
    let kubectl = namespace.kubectl();
    kubectl
        .apply(&chat(deletion_policy, &json!({})).to_string())
        .await;
    kubectl.wait("condition=Ready", CHAT, READY).await;
    assert!(
        !streams(namespace.name()).await.is_empty(),
        "the channel has streams"
    );
    (namespace, kubectl)
}

async fn delete(kubectl: &Kubectl) {
    kubectl.run(&["delete", CHAT, GONE]).await;
}

/// Deletes the channel, whose streams go along.
async fn delete_with_streams(namespace: &Namespace) {
    delete(&namespace.kubectl()).await;
    assert_eq!(streams(namespace.name()).await, [] as [String; 0]);
}

/// Applies a channel whose broker nobody can reach, and waits until the operator has tried.
async fn tried(kubectl: &Kubectl, deletion_policy: &str, nats: &Value) {
    let more = json!({"broker": {"nats": nats}});
    kubectl
        .apply(&chat(deletion_policy, &more).to_string())
        .await;
    settled(kubectl, CHAT, 60, |chat| {
        !condition(chat, "BrokerReady").is_null()
    })
    .await;
}

/// Makes the Secret `login`.
async fn make_login(kubectl: &Kubectl) {
    let token = "--from-literal=token=abc";
    kubectl
        .run(&["create", "secret", "generic", "login", token])
        .await;
}

/// Waits for a Warning that names the streams that stay.
async fn told_what_stays(kubectl: &Kubectl, stream: &str, why: &str) {
    settled(kubectl, "events", 30, |events| {
        let mut events = events["items"].as_array().unwrap().iter();
        events.any(|event| {
            let text = event["message"].as_str().unwrap_or_default();
            event["reason"] == "StreamsStay" && text.contains(stream) && text.contains(why)
        })
    })
    .await;
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn with_delete_streams_go_with_the_channel() {
    scenario(300, async {
        let (namespace, _) = with_streams("delete", "Delete").await;
        delete_with_streams(&namespace).await;
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn with_retain_streams_stay_and_a_channel_of_the_same_name_has_them_again() {
    scenario(300, async {
        let (namespace, kubectl) = with_streams("retain", "Retain").await;
        let before = streams(namespace.name()).await;
        let metadata = kubectl.get(CHAT).await["metadata"].clone();
        assert!(
            metadata["finalizers"].is_null(),
            "nothing keeps it: {metadata:#}"
        );
        delete(&kubectl).await;
        let history = |streams: &[String]| -> Vec<String> {
            streams
                .iter()
                .filter(|name| !name.starts_with("KV_"))
                .cloned()
                .collect()
        };
        assert_eq!(history(&streams(namespace.name()).await), history(&before));
        kubectl.apply(&chat("Delete", &json!({})).to_string()).await;
        kubectl.wait("condition=Ready", CHAT, READY).await;
        delete_with_streams(&namespace).await;
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn a_broker_that_never_answers_keeps_no_channel_and_what_may_be_there_is_named() {
    scenario(300, async {
        let namespace = Namespace::create("never").await;
        let kubectl = namespace.kubectl();
        for policy in ["Retain", "Delete"] {
            tried(&kubectl, policy, &json!({"urls": [NOWHERE]})).await;
            delete(&kubectl).await;
        }
        told_what_stays(&kubectl, "chat", "").await;
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn a_secret_that_is_gone_first_keeps_no_channel_and_is_named() {
    scenario(300, async {
        let namespace = Namespace::create("secret").await;
        let kubectl = namespace.kubectl();
        make_login(&kubectl).await;
        let nats = json!({"urls": [NOWHERE], "credentialsSecretName": "login"});
        for policy in ["Retain", "Delete"] {
            tried(&kubectl, policy, &nats).await;
            kubectl
                .run(&["delete", "secret/login", "--ignore-not-found"])
                .await;
            delete(&kubectl).await;
        }
        told_what_stays(&kubectl, "chat", "login").await;
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn a_missing_secret_is_named_and_its_arrival_is_enough() {
    scenario(180, async {
        let namespace = Namespace::create("arrives").await;
        let kubectl = namespace.kubectl();
        let more = json!({"replicas": 0, "broker": {"nats": {"urls": [NOWHERE], "credentialsSecretName": "login"}}});
        kubectl.apply(&chat("Retain", &more).to_string()).await;
        let missing = because(&kubectl, CHAT, ("BrokerReady", "SecretMissing"), 60).await;
        assert!(
            missing["status"].to_string().contains("login"),
            "{missing:#}"
        );
        make_login(&kubectl).await;
        settled(&kubectl, CHAT, 60, |chat| {
            !chat["status"].to_string().contains("SecretMissing")
        })
        .await;
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn a_namespace_that_goes_takes_channels_and_their_streams_along() {
    scenario(300, async {
        let (namespace, kubectl) = with_streams("leaving", "Delete").await;
        let retained = chat("Retain", &json!({}))
            .to_string()
            .replace("\"chat\"", "\"other\"");
        kubectl.apply(&retained).await;
        kubectl
            .wait("condition=Ready", "realtimechannel/other", READY)
            .await;
        kubectl
            .run(&["delete", "namespace", namespace.name(), "--timeout=150s"])
            .await;
        let left = streams(namespace.name()).await;
        assert!(left.iter().all(|name| name.contains("other")), "{left:?}");
        assert!(!left.is_empty(), "Retain keeps its streams");
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn a_paused_channel_can_be_deleted() {
    scenario(300, async {
        let (namespace, kubectl) = with_streams("paused", "Delete").await;
        kubectl
            .run(&["annotate", CHAT, "realtime.linnet.dev/paused=true"])
            .await;
        kubectl.wait("condition=Paused", CHAT, 30).await;
        delete_with_streams(&namespace).await;
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn a_channel_whose_gateways_are_being_replaced_can_be_deleted() {
    scenario(300, async {
        let (namespace, kubectl) = with_streams("rolling", "Delete").await;
        kubectl
            .run(&["rollout", "restart", "deployment/chat-gateway"])
            .await;
        settled(&kubectl, "pods", 30, |pods| {
            pods["items"].as_array().unwrap().len() > 1
        })
        .await;
        delete_with_streams(&namespace).await;
    });
}
