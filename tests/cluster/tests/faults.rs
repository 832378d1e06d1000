//! What breaks under two hundred clients: everybody ends with every message once and in order.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::process::{Command, Stdio};
use std::time::Duration;

use linnet_cluster_tests::channel::settled;
use linnet_cluster_tests::helm::{parts, render};
use linnet_cluster_tests::operator::{self, crash, processes, system};
use linnet_cluster_tests::stage::{CHAT, chat, gateways, is_ready, name, pods, set};
use linnet_cluster_tests::weather::{Report, Size};
use linnet_cluster_tests::{Kubectl, Namespace, Weather, scenario};
use linnet_tests::within;
use serde_json::{Value, json};
use tokio::sync::Mutex;

const STORM: &str = env!("CARGO_BIN_EXE_linnet-cluster-storm");

const SIZE: Size = Size {
    clients: 200,
    rooms: 20,
    rate: 100,
};

/// Between two looks at what can only be polled.
const LOOK: Duration = Duration::from_millis(200);

/// The storms' channels answer at every host: one at a time.
static EVERY_HOST: Mutex<()> = Mutex::const_new(());

/// A storm over `chat` while `fault` happens.
async fn weather(kubectl: &Kubectl, chat: &Value, what: &str, fault: impl AsyncFnOnce()) -> Report {
    set(kubectl, chat).await;
    pods(kubectl, 2).await;
    let mut weather = Weather::begin(STORM, SIZE).await;
    weather.part(what).await;
    fault().await;
    let report = weather.calm().await;
    kubectl.run(&["delete", CHAT, "--timeout=100s"]).await;
    report
}

/// Some clients were on what broke.
fn somebody_moved(report: &Report) {
    assert!(report.parts[0].count > 0, "nobody moved: {report}");
}

/// How often the containers of a pod were started again.
fn restarts(pod: &Value) -> u64 {
    pod["status"]["containerStatuses"][0]["restartCount"]
        .as_u64()
        .unwrap_or(0)
}

/// Waits until `pod`, whose process was killed, has a new one and is ready.
async fn again(kubectl: &Kubectl, pod: &Value) {
    let before = restarts(pod);
    settled(kubectl, &format!("pod/{}", name(pod)), 120, |pod| {
        restarts(pod) > before && is_ready(pod)
    })
    .await;
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn nothing_is_lost_when_a_gateways_process_is_killed() {
    scenario(400, async {
        let _alone = EVERY_HOST.lock().await;
        let namespace = Namespace::create("killed").await;
        let kubectl = namespace.kubectl();
        let report = weather(&kubectl, &chat(&json!({})), "gateway killed", async || {
            let gateway = &pods(&kubectl, 2).await[0];
            crash(gateway);
            again(&kubectl, gateway).await;
        })
        .await;
        somebody_moved(&report);
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn nothing_is_lost_when_a_gateways_pod_is_deleted_by_force() {
    scenario(400, async {
        let _alone = EVERY_HOST.lock().await;
        let namespace = Namespace::create("forced").await;
        let kubectl = namespace.kubectl();
        let report = weather(&kubectl, &chat(&json!({})), "pod deleted", async || {
            let gateway = pods(&kubectl, 2).await.remove(0);
            let pod = format!("pod/{}", name(&gateway));
            kubectl
                .run(&["delete", &pod, "--force", "--grace-period=0"])
                .await;
            let others = pods(&kubectl, 2).await;
            assert!(others.iter().all(|other| name(other) != name(&gateway)));
            // To the API server the pod is gone, but its node gives it the grace to drain.
            let ended = async {
                while !processes(&gateway).is_empty() {
                    tokio::time::sleep(LOOK).await;
                }
            };
            within("the deleted pod's process ends", 60, ended).await;
        })
        .await;
        somebody_moved(&report);
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn nothing_is_lost_when_one_of_three_nats_servers_is_killed() {
    scenario(500, async {
        let _alone = EVERY_HOST.lock().await;
        let namespace = Namespace::create("nats").await;
        let kubectl = namespace.kubectl();
        let url = three_servers(&namespace).await;
        let spec = json!({"broker": {"nats": {"urls": [url]}}, "history": {"replicas": 3}});
        weather(&kubectl, &chat(&spec), "NATS server killed", async || {
            let server = kubectl.get("pod/other-linnet-nats-0").await;
            crash(&server);
            again(&kubectl, &server).await;
        })
        .await;
    });
}

/// The chart's NATS with three servers, in the namespace; gives its address.
async fn three_servers(namespace: &Namespace) -> String {
    let tag = std::env::var("LINNET_IMAGE_TAG").unwrap_or_else(|_| "dev".into());
    let nats = json!({
        "enabled": true, "replicas": 3, "storage": {"size": "1Gi"},
        "image": {"repository": "linnet-nats", "tag": tag, "pullPolicy": "Never"},
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
    });
    let all = render(namespace.name(), &[&format!("nats={nats}")]).await;
    let of_nats = parts(&all)
        .into_iter()
        .filter(|part| part.contains("# Source: linnet/templates/nats/"));
    let of_nats: Vec<_> = of_nats.collect();
    let kubectl = namespace.kubectl();
    kubectl.apply(&of_nats.join("\n---\n")).await;
    let ready = [
        "rollout",
        "status",
        "statefulset/other-linnet-nats",
        "--timeout=180s",
    ];
    kubectl.run(&ready).await;
    format!("nats://other-linnet-nats.{}:4222", namespace.name())
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn nothing_is_lost_when_the_leading_operator_is_killed_in_the_middle_of_a_rollout() {
    scenario(400, async {
        let _alone = EVERY_HOST.lock().await;
        let namespace = Namespace::create("leader").await;
        let kubectl = namespace.kubectl();
        let report = weather(&kubectl, &chat(&json!({})), "leader killed", async || {
            let old = pods(&kubectl, 2).await;
            let restart = ["rollout", "restart", "deployment/chat-gateway"];
            kubectl.run(&restart).await;
            let leader = operator::kill_leader().await;
            again(&system(), &leader).await;
            let rollout = [
                "rollout",
                "status",
                "deployment/chat-gateway",
                "--timeout=120s",
            ];
            kubectl.run(&rollout).await;
            for new in pods(&kubectl, 2).await {
                assert!(old.iter().all(|old| name(old) != name(&new)));
            }
        })
        .await;
        somebody_moved(&report);
        operator::all_ready().await;
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn the_second_gateway_is_evicted_only_once_the_first_is_replaced_and_nothing_is_lost() {
    scenario(400, async {
        let _alone = EVERY_HOST.lock().await;
        let namespace = Namespace::create("evicted").await;
        let kubectl = namespace.kubectl();
        let report = weather(&kubectl, &chat(&json!({})), "both evicted", async || {
            let old = pods(&kubectl, 2).await;
            // Without a place for a replacement the second must stay, however long that takes.
            let cordon = Cordon::new().await;
            evict(&kubectl, name(&old[0])).await.unwrap();
            for _ in 0..3 {
                let refusal = evict(&kubectl, name(&old[1])).await.unwrap_err();
                assert!(refusal.contains("disruption budget"), "{refusal}");
            }
            drop(cordon);
            // As a drain of a node does: asks until it may.
            let evicted = async {
                while let Err(refusal) = evict(&kubectl, name(&old[1])).await {
                    assert!(refusal.contains("disruption budget"), "{refusal}");
                    tokio::time::sleep(LOOK).await;
                }
            };
            within("the second eviction", 120, evicted).await;
            let now = kubectl.get("pods").await;
            let replacement = gateways(&now)
                .any(|pod| is_ready(pod) && old.iter().all(|old| name(old) != name(pod)));
            assert!(replacement, "evicted without a replacement: {now:#}");
            pods(&kubectl, 2).await;
        })
        .await;
        assert!(
            report.parts[0].count >= SIZE.clients,
            "somebody stayed: {report}"
        );
    });
}

/// No node takes new pods until this is dropped.
struct Cordon {
    nodes: Vec<String>,
}

impl Cordon {
    async fn new() -> Self {
        let all = Kubectl::anywhere()
            .run(&["get", "nodes", "--output=name"])
            .await;
        let cordon = Self {
            nodes: all.lines().map(ToOwned::to_owned).collect(),
        };
        for node in &cordon.nodes {
            Kubectl::anywhere().run(&["cordon", node]).await;
        }
        cordon
    }
}

impl Drop for Cordon {
    fn drop(&mut self) {
        for node in &self.nodes {
            let done = Command::new("kubectl")
                .args(["uncordon", node])
                .stdout(Stdio::null())
                .status();
            // Where a test ends by a panic, its own words are to be the last.
            if !done.is_ok_and(|status| status.success()) {
                eprintln!("{node} takes no new pods: kubectl uncordon {node}");
            }
        }
    }
}

/// Asks for the eviction of a pod.
async fn evict(kubectl: &Kubectl, pod: &str) -> Result<String, String> {
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": kubectl.namespace()},
    });
    let path = format!(
        "/api/v1/namespaces/{}/pods/{pod}/eviction",
        kubectl.namespace()
    );
    kubectl
        .feed(
            &["create", "--raw", &path, "--filename", "-"],
            &eviction.to_string(),
        )
        .await
}
