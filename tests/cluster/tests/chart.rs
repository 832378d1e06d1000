//! The chart as it was installed, and as the API server sees what else it can render.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_cluster_tests::{Kubectl, Namespace, cluster, scenario};
use tokio::process::Command;

const SYSTEM: &str = "linnet-system";

/// What `helm template` makes of the chart with `settings`.
async fn render(namespace: &str, settings: &[&str]) -> String {
    let mut command = Command::new("helm");
    command
        .args(["template", "other"])
        .arg(cluster::file("charts/linnet"))
        .args(["--namespace", namespace]);
    for setting in settings {
        command.args(["--set-json", setting]);
    }
    let done = command
        .output()
        .await
        .expect("helm is on the PATH: eval \"$(tests/cluster/cluster env)\"");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap()
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn the_api_server_takes_whatever_the_chart_renders() {
    scenario(180, async {
        let namespace = Namespace::create("chart").await;
        let here = format!("watchNamespaces=[\"{}\"]", namespace.name());
        let combinations: [&[&str]; 5] = [
            &[],
            &[&here, "crds.create=false"],
            &["nats.enabled=true", "networkPolicy.enabled=true"],
            &[
                "nats={\"enabled\": true, \"replicas\": 3}",
                "crds.keep=false",
                &here,
            ],
            &["nats.url=\"nats://elsewhere:4222\"", "replicas=1"],
        ];
        for settings in combinations {
            let manifests = render(namespace.name(), settings).await;
            let refusal = namespace.kubectl().dry_run(&manifests).await.err();
            assert_eq!(refusal, None, "{settings:?}");
        }
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn the_operator_may_do_what_its_rules_say_and_no_more() {
    scenario(60, async {
        let account = format!("--as=system:serviceaccount:{SYSTEM}:linnet-operator");
        let kubectl = Kubectl::new("default");
        let cases = [
            (true, "get", "secrets"),
            (false, "list", "secrets"),
            (true, "patch", "pods"),
            (false, "create", "pods"),
            (false, "create", "pods/exec"),
            (true, "patch", "deployments.apps"),
            (false, "update", "deployments.apps"),
            (true, "patch", "realtimechannels.realtime.linnet.dev/status"),
            (false, "create", "realtimechannels.realtime.linnet.dev"),
            (true, "create", "events.events.k8s.io"),
            (false, "create", "leases.coordination.k8s.io"),
            (false, "create", "clusterroles.rbac.authorization.k8s.io"),
        ];
        for (expected, verb, resource) in cases {
            let answer = kubectl
                .ask(&["auth", "can-i", verb, resource, &account, "--quiet"])
                .await;
            assert_eq!(answer.is_ok(), expected, "{verb} {resource}: {answer:?}");
        }
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn two_operators_are_ready_and_one_leads() {
    scenario(60, async {
        let kubectl = Kubectl::new(SYSTEM);
        let deployment = kubectl.get("deployment/linnet-operator").await;
        assert_eq!(deployment["status"]["readyReplicas"], 2, "{deployment}");
        let lease = kubectl.get("lease/linnet-operator").await;
        // The pod, and after an underscore what tells its restarts apart.
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap();
        let leader = holder.split('_').next().unwrap();
        let selector = "--selector=app.kubernetes.io/name=linnet-operator";
        let pods = kubectl
            .run(&["get", "pods", selector, "--output=name"])
            .await;
        assert!(pods.contains(leader), "{leader} leads, of {pods}");
    });
}
