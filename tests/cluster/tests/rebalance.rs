//! A gateway that does not make room when the operator asks it to.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::time::Duration;

use futures_util::future::join_all;
use linnet_cluster_tests::channel::{READY, channel, settled};
use linnet_cluster_tests::obstacle::Obstacle;
use linnet_cluster_tests::stage::{CHAT, name, pods};
use linnet_cluster_tests::{Cluster, Guest, Namespace, scenario};
use linnet_tests::until;
use serde_json::{Value, json};

/// Clients of the gateway that is to make room.
const CROWD: usize = 100;

/// How long the operator waits after the first refusal, and after the second.
const WAITS: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(10)];

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn a_gateway_that_refuses_to_make_room_is_asked_again_each_time_later_until_it_does() {
    scenario(240, async {
        let (cluster, namespace) = (Cluster::current(), Namespace::create("room").await);
        let kubectl = namespace.kubectl();
        let host = format!("{}.linnet.localhost", namespace.name());
        let spec = json!({
            "replicas": 1,
            "rollout": {"rebalance": "Paced", "drainSeconds": 5},
            "service": {"sessionAffinity": "None"},
            // Guests answer no ping, and must not be missed before the operator has asked often enough.
            "heartbeat": {"intervalSeconds": 120},
            "expose": {"hosts": [host], "ingress": {"className": "contour"}},
        });
        kubectl.apply(&channel("chat", &spec).to_string()).await;
        kubectl.wait("condition=Ready", CHAT, READY).await;
        let door = cluster.http(&host);
        let mut guests = Vec::new();
        for _ in 0..CROWD / 20 {
            guests.extend(join_all((0..20).map(|_| Guest::enter(&door))).await);
        }
        let crowded = &pods(&kubectl, 1).await[0];
        let obstacle = Obstacle::before(crowded);

        kubectl.run(&["scale", "rtch/chat", "--replicas=2"]).await;
        pods(&kubectl, 2).await;
        let refused = obstacle.has_refused(3).await;
        for (pair, least) in refused.windows(2).zip(WAITS) {
            let waited = pair[1] - pair[0];
            println!("asked again after {:.1} s", waited.as_secs_f64());
            assert!(waited >= least, "{waited:?}");
        }
        let status = kubectl.status_of(name(crowded)).await.unwrap();
        assert_eq!(status["connections"], CROWD, "{status}");
        assert_eq!(status["moving"], 0, "{status}");
        let reason = "--field-selector=reason=RebalanceRefused";
        let told = kubectl
            .run(&["get", "events", reason, "--output=json"])
            .await;
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["items"].as_array().unwrap().len(), 1, "{told:#}");
        let message = told["items"][0]["message"].as_str().unwrap();
        assert!(
            message.contains(name(crowded)) && message.contains("409"),
            "{message}"
        );

        obstacle.give_way();
        until("connections move", || async {
            let status = kubectl.status_of(name(crowded)).await.ok()?;
            (status["connections"].as_u64()? < CROWD as u64).then_some(())
        })
        .await;
        settled(&kubectl, "events", READY, |events| {
            let events = events["items"].as_array().unwrap();
            events.iter().any(|event| event["reason"] == "Rebalancing")
        })
        .await;
    });
}
