//! A channel of gateways that storms blow over, and what may happen to them.

use serde_json::{Value, json};

use crate::channel::{READY, channel, condition, merge, settled};
use crate::cluster::Cluster;
use crate::kubectl::Kubectl;
use linnet_tests::{Client, until};

/// The channel on stage.
pub const CHAT: &str = "realtimechannel/chat";

/// Two gateways that answer at every host of the ingress, drain within ten seconds, and keep all that is said; with
/// `spec` laid over that.
#[must_use]
pub fn chat(spec: &Value) -> Value {
    let mut all = json!({
        "replicas": 2,
        "rollout": {"drainSeconds": 10},
        "history": {"maxMessagesPerRoom": 10_000},
        "limits": {"messagesPerSecond": 1000, "messageBurst": 1000},
        // An Envoy has at most 1024 of each for a Service unless told otherwise.
        "service": {"annotations": {
            "projectcontour.io/max-connections": "100000",
            "projectcontour.io/max-pending-requests": "100000",
            "projectcontour.io/max-requests": "100000",
        }},
        "expose": {"ingress": {
            "className": "contour", "annotations": {"projectcontour.io/response-timeout": "infinity"},
        }},
    });
    merge(&mut all, spec);
    channel("chat", &all)
}

/// Applies `chat`, and returns once all its gateways are there and the ingress leads to them.
///
/// # Panics
/// When that does not come to be.
pub async fn set(kubectl: &Kubectl, chat: &Value) {
    kubectl.apply(&chat.to_string()).await;
    kubectl.wait("condition=Ready", CHAT, READY).await;
    let replicas = chat["spec"]["replicas"].clone();
    settled(kubectl, CHAT, READY, |chat| {
        chat["status"]["updatedReplicas"] == replicas
    })
    .await;
    let address = Cluster::current().address();
    // Another test's channel may still answer there, for a moment after its end.
    let pods = kubectl.get("pods").await;
    until("the ingress leads to these gateways", || async {
        let client = Client::attempt(address).await?;
        let gateway = &client.connected["gateway"];
        gateways(&pods)
            .any(|pod| pod["metadata"]["name"] == *gateway)
            .then_some(())
    })
    .await;
}

/// Waits until there are `count` pods of gateways, all of them ready and none on its way out.
///
/// # Panics
/// When that does not come to be.
pub async fn pods(kubectl: &Kubectl, count: usize) -> Vec<Value> {
    let whole = settled(kubectl, "pods", READY, |pods| {
        let gateways: Vec<_> = gateways(pods).collect();
        gateways.len() == count && gateways.iter().all(|pod| is_ready(pod))
    })
    .await;
    gateways(&whole).cloned().collect()
}

/// The gateways' pods among `pods`.
pub fn gateways(pods: &Value) -> impl Iterator<Item = &Value> {
    pods["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|pod| pod["metadata"]["labels"]["app.kubernetes.io/name"] == "linnet-gateway")
}

/// Whether a pod is ready, and not on its way out.
#[must_use]
pub fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready")["status"] == "True" && pod["metadata"]["deletionTimestamp"].is_null()
}

/// Name of an object.
///
/// # Panics
/// When it has none.
#[must_use]
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}
