//! The chart as it was installed, and as the API server sees what else it can render.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_cluster_tests::{Kubectl, Namespace, cluster, scenario};
use tokio::process::Command;

const SYSTEM: &str = "linnet-system";

/// Every object that the chart's switches can make, for a release in `home` that serves all namespaces, or `served`.
async fn all_combinations(home: &str, served: [&str; 2]) -> String {
    let python = cluster::file(".cache/venv/bin/python");
    let done = Command::new(&python)
        .arg(cluster::file("tests/chart/switches.py"))
        .arg(home)
        .args(served)
        .kill_on_drop(true)
        .output()
        .await;
    let done = done.unwrap_or_else(|error| {
        panic!(
            "{}: {error}; tests/run cluster installs it",
            python.display()
        )
    });
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    String::from_utf8(done.stdout).unwrap()
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn the_api_server_takes_whatever_the_switches_of_the_chart_render() {
    scenario(900, async {
        let (home, served) = (
            Namespace::create("chart").await,
            Namespace::create("served").await,
        );
        let both = [home.name(), served.name()];
        let manifests = all_combinations(home.name(), both).await;
        for kind in [
            "StatefulSet",
            "NetworkPolicy",
            "ServiceMonitor",
            "PodMonitor",
            "Role",
            "ClusterRole",
        ] {
            assert!(manifests.contains(&format!("kind: {kind}\n")), "no {kind}");
        }
        let refusal = Kubectl::anywhere().dry_run(&manifests).await.err();
        assert_eq!(refusal, None);
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
