//! Fleets that change under clients who follow rooms: no message is lost or doubled.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_cluster_tests::channel::{READY, channel, condition, settled};
use linnet_cluster_tests::{Cluster, Kubectl, Namespace};
use linnet_tests::storm::{Progress, Storm};
use linnet_tests::{Client, Doors, scenario};
use serde_json::{Value, json};
use tokio::sync::Mutex;

const CHAT: &str = "realtimechannel/chat";

/// Clients that follow a room each, as many as there may be messages in a second.
const CLIENTS: usize = 100;

/// The storms' channels answer at every host: one at a time.
static EVERY_HOST: Mutex<()> = Mutex::const_new(());

/// A channel whose connections move within ten seconds, and whose history holds all that is said.
fn chat(replicas: u32) -> Value {
    let spec = json!({
        "replicas": replicas,
        "rollout": {"drainSeconds": 10},
        "history": {"maxMessagesPerRoom": 10_000},
        "limits": {"messagesPerSecond": 1000, "messageBurst": 1000},
        "expose": {"ingress": {"className": "contour", "annotations": {"projectcontour.io/response-timeout": "infinity"}}},
    });
    channel("chat", &spec)
}

/// A storm over the channel, which lasts while `change` happens.
async fn weather(kubectl: &Kubectl, chat: &Value, change: impl AsyncFnOnce()) {
    let _alone = EVERY_HOST.lock().await;
    kubectl.apply(&chat.to_string()).await;
    kubectl.wait("condition=Ready", CHAT, READY).await;
    let replicas = chat["spec"]["replicas"].clone();
    settled(kubectl, CHAT, READY, |chat| {
        chat["status"]["updatedReplicas"] == replicas
    })
    .await;
    let address = Cluster::current().address();
    linnet_tests::until("the ingress leads to a gateway", || {
        Client::attempt(address)
    })
    .await;

    let storm = Storm {
        clients: CLIENTS,
        messages: 9000,
        publishers: 10,
        rooms: 10,
        rate: 150,
        ..Storm::new()
    };
    let doors = Doors::one(address);
    let outcome = storm
        .blow(&doors, 1, async |mut progress: Progress| {
            progress.reaches(5).await;
            change().await;
            assert!(
                !progress.is_over(),
                "the storm was over before the change was"
            );
        })
        .await;
    let mut reader = Client::open(address, "").await.unwrap();
    outcome.is_whole(&mut reader).await;
    let resumes: usize = outcome
        .followers
        .iter()
        .map(|follower| follower.resumes - 1)
        .sum();
    assert!(resumes > 0, "some clients were on a gateway that went");
    println!(
        "{CLIENTS} clients, {} messages: moved {resumes} times",
        outcome.acked.len()
    );
    kubectl.run(&["delete", CHAT, "--timeout=100s"]).await;
}

/// Waits until `count` pods are there, all of them ready.
async fn pods(kubectl: &Kubectl, count: usize) {
    settled(kubectl, "pods", 90, |pods| {
        let pods = pods["items"].as_array().unwrap();
        pods.len() == count
            && pods
                .iter()
                .all(|pod| condition(pod, "Ready")["status"] == "True")
    })
    .await;
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn from_three_gateways_to_two_nothing_is_lost_or_doubled() {
    scenario(400, async {
        let namespace = Namespace::create("down").await;
        let kubectl = namespace.kubectl();
        weather(&kubectl, &chat(3), async || {
            kubectl.run(&["scale", "rtch/chat", "--replicas=2"]).await;
            pods(&kubectl, 2).await;
        })
        .await;
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn while_a_new_image_rolls_nothing_is_lost_or_doubled() {
    scenario(400, async {
        let namespace = Namespace::create("roll").await;
        let kubectl = namespace.kubectl();
        weather(&kubectl, &chat(2), async || {
            let image = kubectl.get("deployment/chat-gateway").await;
            let image = &image["spec"]["template"]["spec"]["containers"][0]["image"];
            // The same image by its whole name: to Kubernetes another one.
            let whole = format!("docker.io/library/{}", image.as_str().unwrap());
            let edit = json!({"spec": {"gateway": {"image": whole}}}).to_string();
            kubectl
                .run(&["patch", CHAT, "--type=merge", "--patch", &edit])
                .await;
            settled(&kubectl, CHAT, 90, |chat| {
                condition(chat, "GatewaysAvailable")["observedGeneration"]
                    == chat["metadata"]["generation"]
                    && chat["status"]["updatedReplicas"] == 2
            })
            .await;
            pods(&kubectl, 2).await;
            let pods = kubectl.get("pods").await;
            for pod in pods["items"].as_array().unwrap() {
                assert_eq!(pod["spec"]["containers"][0]["image"], whole.as_str());
            }
        })
        .await;
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn a_bad_image_never_takes_the_last_good_gateway_and_another_edit_mends_it() {
    scenario(300, async {
        let namespace = Namespace::create("bad").await;
        let kubectl = namespace.kubectl();
        let spec = json!({"replicas": 1, "rollout": {"drainSeconds": 1}});
        kubectl.apply(&channel("chat", &spec).to_string()).await;
        kubectl.wait("condition=Ready", CHAT, READY).await;
        let good = kubectl.run(&["get", "pods", "--output=name"]).await;

        let edit = json!({"spec": {"gateway": {"image": "linnet-gateway:none-such", "imagePullPolicy": "Never"}}}).to_string();
        kubectl
            .run(&["patch", CHAT, "--type=merge", "--patch", &edit])
            .await;
        let bad = settled(&kubectl, CHAT, 60, |chat| {
            let available = condition(chat, "GatewaysAvailable");
            available["message"]
                .as_str()
                .is_some_and(|told| told.contains("none-such"))
        })
        .await;
        assert_eq!(
            condition(&bad, "GatewaysAvailable")["status"],
            "True",
            "{bad:#}"
        );
        assert_eq!(condition(&bad, "Ready")["status"], "True", "{bad:#}");
        assert_eq!(
            bad["status"]["updatedReplicas"].as_i64().unwrap_or(0),
            0,
            "{bad:#}"
        );
        let pods = kubectl.run(&["get", "pods", "--output=name"]).await;
        assert!(pods.contains(good.trim()), "{good} is not among {pods}");

        let edit = json!({"spec": {"gateway": {"image": null, "imagePullPolicy": null, "env": [{"name": "MENDED", "value": "yes"}]}}});
        kubectl
            .run(&["patch", CHAT, "--type=merge", "--patch", &edit.to_string()])
            .await;
        settled(&kubectl, CHAT, 90, |chat| {
            condition(chat, "GatewaysAvailable")["reason"] == "AllGatewaysReady"
                && condition(chat, "Ready")["status"] == "True"
                && chat["status"]["observedGeneration"] == chat["metadata"]["generation"]
                && chat["status"]["updatedReplicas"] == 1
        })
        .await;
        let pods = kubectl.get("pods").await;
        let pods = pods["items"].as_array().unwrap();
        let mended = pods.iter().any(|pod| {
            pod["spec"]["containers"][0]["env"]
                .to_string()
                .contains("MENDED")
        });
        assert!(mended, "{pods:#?}");
    });
}
