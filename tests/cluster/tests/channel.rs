//! The whole way: the operator that the chart installed makes gateways of an example, and clients meet through the
//! ingress.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_cluster_tests::wait::{STEP, within};
use linnet_cluster_tests::{Cluster, Door, Guest, Kubectl, Namespace, cluster, scenario};
use serde_json::json;

/// Seconds until a channel must be Ready: images are there, so this is far more than it takes.
const READY: u64 = 90;

/// A client on each of two gateways. The ingress learns of the second a little after it is ready.
async fn one_on_each(door: &Door) -> (Guest, Guest) {
    let first = Guest::enter(door).await;
    let other = within("a client on another gateway", STEP, async {
        loop {
            let guest = Guest::enter(door).await;
            if guest.gateway() != first.gateway() {
                return guest;
            }
        }
    });
    let other = other.await;
    (first, other)
}

/// Waits until the channel is Ready, which it is with its first gateway, and has both.
async fn ready(kubectl: &Kubectl, channel: &str) {
    kubectl.wait("condition=Ready", channel, READY).await;
    let both = "jsonpath={.status.readyReplicas}=2";
    kubectl.wait(both, channel, READY).await;
}

/// What is published on one gateway arrives on the other, each message once and in order.
async fn chat(door: &Door) {
    let (mut ann, mut bob) = one_on_each(door).await;
    bob.subscribe("lobby").await;
    for number in 0..20 {
        ann.publish("lobby", &json!({ "number": number })).await;
    }
    for number in 0..20 {
        assert_eq!(bob.message().await, json!({ "number": number }));
    }
}

/// An example under a host of its own, so that tests beside each other do not meet.
fn example(name: &str, host: &str) -> String {
    let text = std::fs::read_to_string(cluster::file("examples").join(name)).unwrap();
    let line = text.lines().find(|line| line.contains("hosts:")).unwrap();
    text.replace(line, &format!("    hosts: [{host}]"))
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn two_gateways_behind_an_ingress_are_one_chat_with_a_console() {
    scenario(240, async {
        let (cluster, namespace) = (Cluster::current(), Namespace::create("ingress").await);
        let kubectl = namespace.kubectl();
        let host = format!("{}.linnet.localhost", namespace.name());
        kubectl.apply(&example("ingress.yaml", &host)).await;
        ready(&kubectl, "realtimechannel/chat").await;

        let door = cluster.http(&host);
        chat(&door).await;
        let (status, page) = door.get("/").await;
        assert_eq!(status, 200);
        assert!(page.contains("<html"), "the console page: {page}");
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn two_gateways_behind_an_http_route_are_one_chat_with_and_without_tls() {
    scenario(240, async {
        let (cluster, namespace) = (Cluster::current(), Namespace::create("route").await);
        let kubectl = namespace.kubectl();
        let host = format!("{}.linnet.localhost", namespace.name());
        kubectl.apply(&example("gateway-api.yaml", &host)).await;
        ready(&kubectl, "realtimechannel/lounge").await;

        chat(&cluster.http(&host)).await;
        chat(&cluster.https(&host, cluster.certificate())).await;
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn what_a_channel_had_is_gone_with_it() {
    scenario(240, async {
        let namespace = Namespace::create("gone").await;
        let kubectl = namespace.kubectl();
        let host = format!("{}.linnet.localhost", namespace.name());
        kubectl.apply(&example("ingress.yaml", &host)).await;
        ready(&kubectl, "realtimechannel/chat").await;
        kubectl
            .run(&["delete", "realtimechannel/chat", "--timeout=60s"])
            .await;
        // Children go by the garbage collector, after the channel.
        let kinds =
            "deployment,service,ingress,configmap,serviceaccount,poddisruptionbudget,networkpolicy";
        let selector = "--selector=app.kubernetes.io/managed-by=linnet-operator";
        let left = ["wait", "--for=delete", kinds, selector, "--timeout=60s"];
        kubectl.run(&left).await;
    });
}
