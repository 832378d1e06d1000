//! Rollouts under two thousand clients: everybody ends with every message once and in order.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_cluster_tests::channel::{condition, settled};
use linnet_cluster_tests::stage::{CHAT, chat, pods, set};
use linnet_cluster_tests::weather::Size;
use linnet_cluster_tests::{Kubectl, Namespace, Weather, scenario};
use serde_json::json;

const STORM: &str = env!("CARGO_BIN_EXE_linnet-cluster-storm");

const SIZE: Size = Size {
    clients: 2000,
    rooms: 100,
    rate: 200,
};

/// Waits until a rollout is over and what it replaced is gone.
async fn replaced(kubectl: &Kubectl) {
    let rollout = [
        "rollout",
        "status",
        "deployment/chat-gateway",
        "--timeout=180s",
    ];
    kubectl.run(&rollout).await;
    pods(kubectl, 2).await;
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn two_thousand_clients_lose_nothing_while_gateways_are_restarted_and_get_a_new_image() {
    scenario(900, async {
        let namespace = Namespace::create("rolling").await;
        let kubectl = namespace.kubectl();
        set(&kubectl, &chat(&json!({"rollout": {"drainSeconds": 20}}))).await;
        let image = &pods(&kubectl, 2).await[0]["spec"]["containers"][0]["image"];
        let mut weather = Weather::begin(STORM, SIZE).await;

        weather.part("restart").await;
        let restart = ["rollout", "restart", "deployment/chat-gateway"];
        kubectl.run(&restart).await;
        replaced(&kubectl).await;

        weather.part("new image").await;
        // The same image by its whole name: to Kubernetes another one.
        let whole = format!("docker.io/library/{}", image.as_str().unwrap());
        let edit = json!({"spec": {"gateway": {"image": whole}}}).to_string();
        let patch = ["patch", CHAT, "--type=merge", "--patch", &edit];
        kubectl.run(&patch).await;
        settled(&kubectl, CHAT, 120, |chat| {
            condition(chat, "GatewaysAvailable")["observedGeneration"]
                == chat["metadata"]["generation"]
                && chat["status"]["updatedReplicas"] == 2
        })
        .await;
        replaced(&kubectl).await;
        for pod in pods(&kubectl, 2).await {
            assert_eq!(pod["spec"]["containers"][0]["image"], whole.as_str());
        }

        let report = weather.calm().await;
        // All gateways were replaced, so everybody moved, and some twice.
        for part in ["restart", "new image"] {
            let count = report.part(part).count;
            assert!(count >= SIZE.clients, "{part}: {count} moves");
        }
        kubectl.run(&["delete", CHAT, "--timeout=100s"]).await;
    });
}
