//! Fleets that change under clients who follow rooms: no message is lost or doubled.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::time::{Duration, Instant};

use linnet_cluster_tests::channel::{READY, channel, condition, settled};
use linnet_cluster_tests::stage::{CHAT, chat, name, pods, set};
use linnet_cluster_tests::weather::{Report, Size};
use linnet_cluster_tests::{Kubectl, Namespace, Weather, image, scenario};
use linnet_tests::within;
use serde_json::{Value, json};
use tokio::sync::Mutex;

const STORM: &str = env!("CARGO_BIN_EXE_linnet-cluster-storm");

const SIZE: Size = Size {
    clients: 500,
    rooms: 20,
    rate: 50,
};

/// Between two looks at what can only be polled.
const LOOK: Duration = Duration::from_millis(500);

/// The storms' channels answer at every host: one at a time.
static EVERY_HOST: Mutex<()> = Mutex::const_new(());

/// A storm over `chat` while it is changed.
async fn weather(
    kubectl: &Kubectl,
    chat: &Value,
    what: &str,
    change: impl AsyncFnOnce(),
) -> Report {
    let _alone = EVERY_HOST.lock().await;
    set(kubectl, chat).await;
    let mut weather = Weather::begin(STORM, SIZE).await;
    weather.part(what).await;
    change().await;
    let report = weather.calm().await;
    assert!(report.part(what).count > 0, "nobody moved: {report}");
    kubectl.run(&["delete", CHAT, "--timeout=100s"]).await;
    report
}

/// How many connections each gateway says it has, the fewest first; `None` while one does not say.
async fn connections(kubectl: &Kubectl) -> Option<Vec<u64>> {
    let mut all = Vec::new();
    for pod in kubectl.get("pods").await["items"].as_array().unwrap() {
        let status = kubectl.status_of(name(pod)).await;
        all.push(status.ok()?["connections"].as_u64()?);
    }
    all.sort_unstable();
    Some(all)
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn from_three_gateways_to_two_nothing_is_lost_or_doubled() {
    scenario(400, async {
        let namespace = Namespace::create("down").await;
        let kubectl = namespace.kubectl();
        weather(
            &kubectl,
            &chat(&json!({"replicas": 3})),
            "scale down",
            async || {
                kubectl.run(&["scale", "rtch/chat", "--replicas=2"]).await;
                pods(&kubectl, 2).await;
            },
        )
        .await;
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn while_a_new_image_rolls_nothing_is_lost_or_doubled() {
    scenario(400, async {
        let namespace = Namespace::create("roll").await;
        let kubectl = namespace.kubectl();
        let next = image::next();
        weather(&kubectl, &chat(&json!({})), "new image", async || {
            let old = pods(&kubectl, 2).await;
            let edit = json!({"spec": {"gateway": {"image": next, "imagePullPolicy": "Never"}}});
            let patch = edit.to_string();
            kubectl
                .run(&["patch", CHAT, "--type=merge", "--patch", &patch])
                .await;
            settled(&kubectl, CHAT, 90, |chat| {
                condition(chat, "GatewaysAvailable")["observedGeneration"]
                    == chat["metadata"]["generation"]
                    && chat["status"]["updatedReplicas"] == 2
            })
            .await;
            let bytes = |pod: &Value| pod["status"]["containerStatuses"][0]["imageID"].clone();
            for pod in pods(&kubectl, 2).await {
                assert_eq!(pod["spec"]["containers"][0]["image"], next.as_str());
                assert_ne!(
                    bytes(&pod),
                    bytes(&old[0]),
                    "it is the same image under another name"
                );
            }
        })
        .await;
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn to_a_gateway_that_was_added_connections_move_and_nothing_is_lost_or_doubled() {
    scenario(400, async {
        let namespace = Namespace::create("even").await;
        let kubectl = namespace.kubectl();
        let paced = json!({
            "replicas": 1, "rollout": {"rebalance": "Paced"}, "service": {"sessionAffinity": "None"},
        });
        weather(&kubectl, &chat(&paced), "scale up", async || {
            kubectl.run(&["scale", "rtch/chat", "--replicas=2"]).await;
            pods(&kubectl, 2).await;
            let begin = Instant::now();
            // Far from the mean on the side of caution: clients go where chance leads them.
            let enough = SIZE.clients as u64 / 3;
            let even = within("two gateways with about as many clients", 120, async {
                loop {
                    let all = connections(&kubectl).await;
                    if let Some(all) = all.filter(|all| all.len() == 2 && all[0] >= enough) {
                        return all;
                    }
                    tokio::time::sleep(LOOK).await;
                }
            });
            println!(
                "{:?} after {:.1} s",
                even.await,
                begin.elapsed().as_secs_f64()
            );
        })
        .await;
        let told = kubectl.happened().await;
        assert!(told.contains("Rebalancing"), "{told}");
        assert!(!told.contains("RebalanceInVain"), "{told}");
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
