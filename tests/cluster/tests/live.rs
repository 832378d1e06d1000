//! Edits of a channel that serves: they reach the gateways while clients stay connected.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::collections::BTreeSet;
use std::time::Instant;

use futures_util::future::join_all;
use linnet_cluster_tests::channel::{READY, because, channel, condition, settled};
use linnet_cluster_tests::{Cluster, Guest, Namespace, image};
use linnet_tests::scenario;
use serde_json::json;

const CHAT: &str = "realtimechannel/chat";

/// Clients that hold a connection meanwhile.
const CLIENTS: usize = 500;

/// Seconds within which an edit is in force on all gateways.
const IN_FORCE: u64 = 5;

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn an_edit_of_limits_rooms_authentication_and_log_level_is_in_force_within_seconds_and_nobody_is_dropped()
 {
    scenario(240, async {
        let (cluster, namespace) = (Cluster::current(), Namespace::create("live").await);
        let kubectl = namespace.kubectl();
        let host = format!("{}.linnet.localhost", namespace.name());
        let spec = json!({"replicas": 2, "expose": {"hosts": [host], "ingress": {"className": "contour"}}});
        let mut chat = channel("chat", &spec);
        kubectl.apply(&chat.to_string()).await;
        kubectl.wait("condition=Ready", CHAT, READY).await;
        settled(&kubectl, CHAT, READY, |chat| {
            chat["status"]["updatedReplicas"] == 2
        })
        .await;

        let door = cluster.http(&host);
        let mut guests = Vec::new();
        for _ in 0..CLIENTS / 20 {
            guests.extend(join_all((0..20).map(|_| Guest::enter(&door))).await);
        }
        let gateways: BTreeSet<_> = guests
            .iter()
            .map(|guest| guest.gateway().to_owned())
            .collect();
        assert_eq!(gateways.len(), 2, "clients on both gateways");
        for guest in &mut guests {
            guest.subscribe("lobby").await;
        }
        let pods = kubectl.run(&["get", "pods", "--output=name"]).await;
        let stranger = "https://stranger.example";
        assert_eq!(Guest::status_for(&door, stranger).await, 403);
        let large = json!("x".repeat(2000));
        let publish = |room: &str| json!({"type": "publish", "room": room, "data": large});
        assert_eq!(guests[0].ask(publish("stage.a")).await["type"], "ack");

        chat["spec"]["limits"] = json!({"messageSize": "1Ki"});
        chat["spec"]["rooms"] = json!([{"match": "stage.*", "publish": "Nobody"}]);
        chat["spec"]["telemetry"] = json!({"logLevel": "debug"});
        chat["spec"]["authentication"]["allowedOrigins"] = json!([stranger]);
        let begin = Instant::now();
        kubectl.apply(&chat.to_string()).await;
        settled(&kubectl, CHAT, 60, |chat| {
            let applied = condition(chat, "ConfigurationApplied");
            applied["status"] == "True"
                && applied["observedGeneration"] == chat["metadata"]["generation"]
                && chat["status"]["updatedReplicas"] == 2
        })
        .await;
        let took = begin.elapsed();
        println!(
            "edit → in force on both gateways, as the status says: {:.2} s",
            took.as_secs_f64()
        );

        for guest in &mut guests {
            let answer = guest.ask(publish("lobby")).await;
            assert_eq!(answer["code"], "message_too_large", "{answer}");
            let answer = guest
                .ask(json!({"type": "publish", "room": "stage.a", "data": 1}))
                .await;
            assert_eq!(answer["code"], "forbidden", "{answer}");
        }
        assert_eq!(Guest::status_for(&door, stranger).await, 101);
        join_all(guests.iter_mut().map(Guest::ping)).await;
        assert_eq!(
            kubectl.run(&["get", "pods", "--output=name"]).await,
            pods,
            "no pod was replaced"
        );
        assert!(took.as_secs() < IN_FORCE, "{took:?}");
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn a_spec_that_gateways_could_not_serve_reaches_none_and_is_mended_by_another_edit() {
    scenario(180, async {
        let namespace = Namespace::create("refused").await;
        let kubectl = namespace.kubectl();
        let mut chat = channel("chat", &json!({}));
        kubectl.apply(&chat.to_string()).await;
        kubectl.wait("condition=Ready", CHAT, READY).await;
        let configuration = kubectl.get("configmap/chat-gateway").await;

        // The API server knows nothing of what is in a pod template.
        chat["spec"]["gateway"] = json!({"podTemplate": {"spec": {"containres": []}}});
        chat["spec"]["limits"] = json!({"messagesPerSecond": 7});
        kubectl.apply(&chat.to_string()).await;
        let refused = settled(&kubectl, CHAT, 30, |chat| {
            condition(chat, "Accepted")["status"] == "False"
        })
        .await;
        let told = condition(&refused, "Accepted")["message"].as_str().unwrap();
        assert!(
            told.contains("spec.gateway.podTemplate") && told.contains("containres"),
            "{told}"
        );
        assert_eq!(
            condition(&refused, "GatewaysAvailable")["status"],
            "True",
            "{refused:#}"
        );
        assert_eq!(
            kubectl.get("configmap/chat-gateway").await["data"],
            configuration["data"]
        );

        chat["spec"]["gateway"] = json!({});
        kubectl.apply(&chat.to_string()).await;
        settled(&kubectl, CHAT, 30, |chat| {
            let ready = condition(chat, "Ready");
            ready["status"] == "True"
                && ready["observedGeneration"] == chat["metadata"]["generation"]
        })
        .await;
        assert_ne!(
            kubectl.get("configmap/chat-gateway").await["data"],
            configuration["data"]
        );
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn a_field_that_gateways_are_too_old_for_is_a_warning_and_the_rest_of_the_edit_is_in_force() {
    scenario(180, async {
        let (cluster, namespace) = (Cluster::current(), Namespace::create("older").await);
        let kubectl = namespace.kubectl();
        let host = format!("{}.linnet.localhost", namespace.name());
        let page = "https://page.example";
        let mut chat = channel(
            "chat",
            &json!({
                "gateway": {"image": image::older(), "imagePullPolicy": "Never"},
                "rollout": {"drainSeconds": 1},
                "authentication": {"allowedOrigins": [page]},
                "expose": {"hosts": [host], "ingress": {"className": "contour"}},
            }),
        );
        kubectl.apply(&chat.to_string()).await;
        kubectl.wait("condition=Ready", CHAT, READY).await;
        because(
            &kubectl,
            CHAT,
            ("ConfigurationApplied", "AllGateways"),
            READY,
        )
        .await;
        let door = cluster.http(&host);
        let mut guest = Guest::enter(&door).await;
        let pods = kubectl.run(&["get", "pods", "--output=name"]).await;
        let large = json!({"type": "publish", "room": "lobby", "data": "x".repeat(2000)});
        assert_eq!(guest.ask(large.clone()).await["type"], "ack");

        chat["spec"]["limits"] = json!({"messageSize": "1Ki", "connectsPerSecondPerAddress": 1});
        kubectl.apply(&chat.to_string()).await;
        let applied = ("ConfigurationApplied", "PassedOver");
        let warned = because(&kubectl, CHAT, applied, 60).await;
        let applied = condition(&warned, "ConfigurationApplied");
        assert_eq!(applied["status"], "True", "{applied}");
        let told = applied["message"].as_str().unwrap();
        assert!(
            told.contains("spec.limits.connectsPerSecondPerAddress"),
            "{told}"
        );
        assert_eq!(condition(&warned, "Ready")["status"], "True", "{warned:#}");
        let answer = guest.ask(large).await;
        assert_eq!(answer["code"], "message_too_large", "{answer}");
        for _ in 0..10 {
            // All of one address, the ingress's: a gateway that knew the field would refuse them.
            assert_eq!(Guest::status_for(&door, page).await, 101);
        }
        let now = kubectl.run(&["get", "pods", "--output=name"]).await;
        assert_eq!(now, pods, "no pod was replaced");

        chat["spec"]["gateway"] = json!({});
        kubectl.apply(&chat.to_string()).await;
        let newer = ("ConfigurationApplied", "AllGateways");
        because(&kubectl, CHAT, newer, READY).await;
    });
}
