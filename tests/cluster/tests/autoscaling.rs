//! Gateways come and go with the connections of a storm: nobody loses a message by it.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_cluster_tests::channel::settled;
use linnet_cluster_tests::stage::{CHAT, chat, pods, set};
use linnet_cluster_tests::weather::Size;
use linnet_cluster_tests::{Namespace, Weather, scenario};
use serde_json::json;

const STORM: &str = env!("CARGO_BIN_EXE_linnet-cluster-storm");

const SIZE: Size = Size {
    clients: 200,
    rooms: 20,
    rate: 100,
};

/// Seconds until the operator has seen a change of the connections and acted: it asks every 10 to 20 s, twice here.
const ACTED: u64 = 120;

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn gateways_are_added_and_taken_away_under_connections_and_nothing_is_lost() {
    scenario(600, async {
        let namespace = Namespace::create("scaling").await;
        let kubectl = namespace.kubectl();
        let spec = |target: u64| {
            json!({
                "replicas": 1,
                "autoscaling": {
                    "minReplicas": 1, "maxReplicas": 2, "targetConnections": target,
                    "scaleDown": {"stabilizationWindowSeconds": 5},
                },
            })
        };
        set(&kubectl, &chat(&spec(100))).await;
        let mut weather = Weather::begin(STORM, SIZE).await;

        weather.part("up").await;
        // 200 clients and 10 publishers, of which each gateway is meant to hold 100.
        settled(&kubectl, CHAT, ACTED, |chat| {
            chat["status"]["readyReplicas"] == 2
        })
        .await;

        weather.part("spread").await;
        // Whoever is connected stays where he is. A restart spreads all over both, or nobody would have to move below.
        let restart = ["rollout", "restart", "deployment/chat-gateway"];
        kubectl.run(&restart).await;
        let rollout = [
            "rollout",
            "status",
            "deployment/chat-gateway",
            "--timeout=120s",
        ];
        kubectl.run(&rollout).await;
        pods(&kubectl, 2).await;

        weather.part("down").await;
        kubectl.apply(&chat(&spec(1000)).to_string()).await;
        settled(&kubectl, CHAT, 2 * ACTED, |chat| {
            chat["status"]["replicas"] == 1
        })
        .await;
        pods(&kubectl, 1).await;

        let report = weather.calm().await;
        assert_eq!(
            report.part("up").count,
            0,
            "more gateways move nobody: {report}"
        );
        assert!(report.part("down").count > 0, "nobody moved: {report}");
        kubectl.run(&["delete", CHAT, "--timeout=100s"]).await;
    });
}
