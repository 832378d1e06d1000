//! The CustomResourceDefinition, as the API server takes it and kubectl shows it. `rules` has what it refuses.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_cluster_tests::channel::channel;
use linnet_cluster_tests::{Kubectl, Namespace, cluster};
use linnet_tests::scenario;
use serde_json::{Value, json};

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn the_definition_is_taken_as_a_whole() {
    scenario(60, async {
        let file = cluster::file("crds/realtimechannels.yaml");
        let definition = std::fs::read_to_string(file).unwrap();
        let refusal = Kubectl::anywhere().dry_run(&definition).await.err();
        assert_eq!(refusal, None);
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn kubectl_scales_lists_and_explains_channels() {
    scenario(60, async {
        let namespace = Namespace::create("kubectl").await;
        let kubectl = namespace.kubectl();
        kubectl
            .apply(&channel("chat", &json!({"replicas": 0})).to_string())
            .await;

        let raw = format!(
            "/apis/realtime.linnet.dev/v1alpha1/namespaces/{}/realtimechannels/chat/scale",
            namespace.name()
        );
        let scale: Value =
            serde_json::from_str(&kubectl.run(&["get", "--raw", &raw]).await).unwrap();
        assert_eq!(scale["kind"], "Scale");
        assert_eq!(scale["spec"]["replicas"].as_i64().unwrap_or(0), 0);
        kubectl.run(&["scale", "rtch/chat", "--replicas=1"]).await;
        assert_eq!(kubectl.get("rtch/chat").await["spec"]["replicas"], 1);
        kubectl.run(&["scale", "rtch/chat", "--replicas=0"]).await;

        let table = kubectl.run(&["get", "rtch"]).await;
        let head: Vec<_> = table.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(head, ["NAME", "READY", "REPLICAS", "URL", "AGE"]);
        let listed = kubectl.run(&["get", "linnet", "--output=name"]).await;
        assert_eq!(listed.trim(), "realtimechannel.realtime.linnet.dev/chat");

        let told = kubectl
            .run(&["explain", "realtimechannel.spec.rollout.drainSeconds"])
            .await;
        assert!(
            told.contains("DESCRIPTION:") && told.contains("<integer>"),
            "{told}"
        );
        let told = kubectl
            .run(&["explain", "realtimechannel.spec", "--recursive"])
            .await;
        for field in [
            "authentication",
            "maxMessagesPerRoom",
            "jwksUri",
            "podTemplate",
            "parentRefs",
        ] {
            assert!(told.contains(field), "{field}: {told}");
        }
    });
}
