//! A channel's children: made within seconds, put back where somebody changed what we applied, left alone otherwise.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::time::Instant;

use linnet_cluster_tests::audit::lines;
use linnet_cluster_tests::channel::{READY, because, channel, settled};
use linnet_cluster_tests::{Audit, Kubectl, Namespace};
use linnet_tests::scenario;
use serde_json::{Value, json};

/// Seconds within which the operator answers a change.
const SOON: u64 = 30;

const CHAT: &str = "realtimechannel/chat";

/// A channel `chat` that is Ready, in a namespace of its own.
async fn ready(purpose: &str, spec: &Value) -> (Namespace, Kubectl) {
    let namespace = Namespace::create(purpose).await;
    let kubectl = namespace.kubectl();
    kubectl.apply(&channel("chat", spec).to_string()).await;
    kubectl.wait("condition=Ready", CHAT, READY).await;
    (namespace, kubectl)
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn a_channel_is_ready_within_seconds_and_says_what_it_has() {
    scenario(180, async {
        let begin = Instant::now();
        let (_namespace, kubectl) = ready("ready", &json!({"replicas": 2})).await;
        println!("apply → Ready: {:.1} s", begin.elapsed().as_secs_f64());
        let chat = settled(&kubectl, CHAT, SOON, |chat| {
            chat["status"]["updatedReplicas"] == 2
        })
        .await;
        let status = &chat["status"];
        assert_eq!(status["replicas"], 2, "{status:#}");
        assert_eq!(status["observedGeneration"], chat["metadata"]["generation"]);
        let selector = format!("--selector={}", status["selector"].as_str().unwrap());
        let pods = kubectl
            .run(&["get", "pods", &selector, "--output=name"])
            .await;
        assert_eq!(pods.lines().count(), 2, "{pods}");
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn what_was_applied_is_put_back() {
    scenario(180, async {
        let (_namespace, kubectl) = ready("putback", &json!({})).await;
        let child = "chat-gateway";

        let service = format!("service/{child}");
        let edit = r#"{"spec":{"sessionAffinity":"None"}}"#;
        kubectl
            .run(&["patch", &service, "--type=merge", "--patch", edit])
            .await;
        settled(&kubectl, &service, SOON, |service| {
            service["spec"]["sessionAffinity"] == "ClientIP"
        })
        .await;

        let deployment = format!("deployment/{child}");
        kubectl.run(&["scale", &deployment, "--replicas=2"]).await;
        settled(&kubectl, &deployment, SOON, |deployment| {
            deployment["spec"]["replicas"] == 1
        })
        .await;

        let configuration = format!("configmap/{child}");
        let before = kubectl.get(&configuration).await["data"].clone();
        let key = before.as_object().unwrap().keys().next().unwrap();
        let edit = json!({"data": {(key): "nonsense"}}).to_string();
        kubectl
            .run(&["patch", &configuration, "--type=merge", "--patch", &edit])
            .await;
        settled(&kubectl, &configuration, SOON, |configuration| {
            configuration["data"] == before
        })
        .await;

        let budget = format!("poddisruptionbudget/{child}");
        let uid = kubectl.get(&budget).await["metadata"]["uid"].clone();
        kubectl.run(&["delete", &budget]).await;
        settled(&kubectl, "poddisruptionbudgets", SOON, |budgets| {
            let budgets = budgets["items"].as_array().unwrap();
            budgets.len() == 1 && budgets[0]["metadata"]["uid"] != uid
        })
        .await;
        kubectl.wait("condition=Ready", CHAT, SOON).await;
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn what_others_set_stays_and_costs_no_write() {
    scenario(240, async {
        let (namespace, kubectl) = ready("stays", &json!({})).await;
        let deployment = "deployment/chat-gateway";
        kubectl.run(&["rollout", "restart", deployment]).await;
        kubectl
            .run(&["rollout", "status", deployment, "--timeout=90s"])
            .await;
        let injected = r#"{"metadata":{"annotations":{"example.com/injected":"yes"},"labels":{"example.com/team":"a"}}}"#;
        for child in [
            deployment,
            "service/chat-gateway",
            "configmap/chat-gateway",
            "serviceaccount/chat-gateway",
        ] {
            kubectl
                .run(&["patch", child, "--type=merge", "--patch", injected])
                .await;
        }
        // The old pod drains; its going is news to the operator.
        settled(&kubectl, "pods", 120, |pods| {
            pods["items"].as_array().unwrap().len() == 1
        })
        .await;
        settled(&kubectl, CHAT, SOON, |chat| {
            chat["status"]["updatedReplicas"] == 1
        })
        .await;

        let (audit, mut passes) = (Audit::from_now(), 0);
        for touch in 0..4 {
            let touch = format!("example.com/touch={touch}");
            kubectl.run(&["label", CHAT, "--overwrite", &touch]).await;
            passes = audit.pass(namespace.name(), "chat", passes).await;
        }
        let writes = audit.writes(namespace.name());
        assert!(
            writes.is_empty(),
            "nothing had changed:\n{}",
            lines(&writes)
        );

        let deployment = kubectl.get(deployment).await;
        let template = &deployment["spec"]["template"]["metadata"]["annotations"];
        assert!(
            template["kubectl.kubernetes.io/restartedAt"].is_string(),
            "{template:#}"
        );
        let service = kubectl.get("service/chat-gateway").await;
        assert_eq!(
            service["metadata"]["annotations"]["example.com/injected"],
            "yes"
        );
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn a_service_of_somebody_else_is_never_touched() {
    scenario(240, async {
        let namespace = Namespace::create("conflict").await;
        let kubectl = namespace.kubectl();
        let foreign = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "chat-gateway"},
            "spec": {"ports": [{"port": 1234, "protocol": "TCP"}], "selector": {"app": "other"}}});
        kubectl.apply(&foreign.to_string()).await;
        let before = kubectl.get("service/chat-gateway").await;

        let chat = channel("chat", &json!({"replicas": 0})).to_string();
        kubectl.apply(&chat).await;
        let refused = because(&kubectl, CHAT, ("Accepted", "NameConflict"), SOON).await;
        let told = refused["status"].to_string();
        assert!(told.contains("Service chat-gateway"), "{told}");
        assert_eq!(kubectl.get("service/chat-gateway").await, before);
        assert_eq!(
            kubectl.run(&["get", "deployments", "--output=name"]).await,
            ""
        );

        kubectl.run(&["delete", CHAT, "--timeout=60s"]).await;
        assert_eq!(kubectl.get("service/chat-gateway").await, before);

        // Once it is out of the way, the channel comes to its own.
        kubectl.apply(&chat).await;
        because(&kubectl, CHAT, ("Accepted", "NameConflict"), SOON).await;
        kubectl.run(&["delete", "service/chat-gateway"]).await;
        because(&kubectl, CHAT, ("Accepted", "Valid"), SOON).await;
        kubectl.get("deployment/chat-gateway").await;
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn of_two_channels_with_one_host_the_older_keeps_it() {
    scenario(240, async {
        let namespace = Namespace::create("hosts").await;
        let kubectl = namespace.kubectl();
        let host = format!("{}.linnet.localhost", namespace.name());
        let expose = json!({"hosts": [host], "ingress": {"className": "contour"}});
        let spec = json!({"replicas": 0, "expose": expose});
        kubectl.apply(&channel("older", &spec).to_string()).await;
        settled(&kubectl, "realtimechannel/older", SOON, |older| {
            older["status"]["url"].is_string()
        })
        .await;
        // Ages are whole seconds, and equal ones are told apart by name.
        kubectl.apply(&channel("younger", &spec).to_string()).await;

        let younger = because(
            &kubectl,
            "realtimechannel/younger",
            ("Exposed", "HostConflict"),
            SOON,
        )
        .await;
        assert!(younger["status"].to_string().contains(&host), "{younger:#}");
        let ingresses = kubectl.run(&["get", "ingresses", "--output=name"]).await;
        assert_eq!(ingresses.trim(), "ingress.networking.k8s.io/older-gateway");

        kubectl
            .run(&["delete", "realtimechannel/older", "--timeout=60s"])
            .await;
        settled(&kubectl, "ingresses", 2 * SOON, |ingresses| {
            let ingresses = ingresses["items"].as_array().unwrap();
            ingresses
                .iter()
                .any(|ingress| ingress["metadata"]["name"] == "younger-gateway")
        })
        .await;
    });
}
