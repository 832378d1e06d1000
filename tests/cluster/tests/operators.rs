//! The operators themselves: what they may do, which of them does it, and what follows when one dies.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use linnet_cluster_tests::audit::{Request, lines};
use linnet_cluster_tests::channel::{READY, channel, condition, settled};
use linnet_cluster_tests::operator::{self, OPERATOR, SYSTEM, system};
use linnet_cluster_tests::stage::{self, set};
use linnet_cluster_tests::weather::Size;
use linnet_cluster_tests::{Audit, Cluster, Guest, Kubectl, Namespace, Weather};
use linnet_tests::{scenario, until, within};
use serde_json::{Value, json};
use tokio::sync::Mutex;

const CHAT: &str = "realtimechannel/chat";

const STORM: &str = env!("CARGO_BIN_EXE_linnet-cluster-storm");

const SIZE: Size = Size {
    clients: 500,
    rooms: 20,
    rate: 50,
};

/// These tests break what all channels need: one at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// A right that the operators do without until this is dropped.
struct Without {
    rules: Value,
}

impl Without {
    async fn right(verb: &str, resource: &str) -> Self {
        let role = system().get(&format!("clusterrole/{OPERATOR}")).await;
        let rules = role["rules"].clone();
        let mut fewer = Vec::new();
        for rule in rules.as_array().unwrap() {
            let (with, others): (Vec<_>, Vec<_>) = rule["resources"]
                .as_array()
                .unwrap()
                .iter()
                .cloned()
                .partition(|name| name == resource);
            if !others.is_empty() {
                let mut rule = rule.clone();
                rule["resources"] = json!(others);
                fewer.push(rule);
            }
            if !with.is_empty() {
                let mut rule = rule.clone();
                rule["resources"] = json!(with);
                rule["verbs"]
                    .as_array_mut()
                    .unwrap()
                    .retain(|name| name != verb);
                fewer.push(rule);
            }
        }
        let without = Self { rules };
        without.write(&json!(fewer));
        let account = format!("--as=system:serviceaccount:{SYSTEM}:{OPERATOR}");
        until(("nobody may", verb, resource), || async {
            let may = system()
                .ask(&["auth", "can-i", verb, resource, &account])
                .await;
            may.is_err().then_some(())
        })
        .await;
        without
    }

    fn write(&self, rules: &Value) {
        let patch = json!([{"op": "replace", "path": "/rules", "value": rules}]).to_string();
        let done = Command::new("kubectl")
            .args([
                "patch",
                "clusterrole",
                OPERATOR,
                "--type=json",
                "--patch",
                &patch,
            ])
            .stdout(Stdio::null())
            .status();
        // Where a test ends by a panic, its own words are to be the last.
        if !done.is_ok_and(|status| status.success()) {
            eprintln!("the role {OPERATOR} could not be changed");
        }
    }
}

impl Drop for Without {
    fn drop(&mut self) {
        self.write(&self.rules);
    }
}

async fn ready(purpose: &str, spec: &Value) -> (Namespace, Kubectl) {
    let namespace = Namespace::create(purpose).await;
    let kubectl = namespace.kubectl();
    kubectl.apply(&channel("chat", spec).to_string()).await;
    kubectl.wait("condition=Accepted", CHAT, READY).await;
    (namespace, kubectl)
}

/// The pods that wrote, in the order in which each began.
fn writers(writes: &[Request]) -> Vec<String> {
    let mut sorted: Vec<_> = writes
        .iter()
        .filter(|write| write.resource() != "leases")
        .collect();
    sorted.sort_by_key(|write| write.at().to_owned());
    let mut writers: Vec<String> = sorted
        .into_iter()
        .map(|write| write.pod().to_owned())
        .collect();
    writers.dedup();
    writers
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn a_right_that_lacks_is_named_and_is_enough_once_it_is_there() {
    scenario(300, async {
        let _alone = ALONE.lock().await;
        for (verb, resource, kind) in [
            ("patch", "poddisruptionbudgets", "PodDisruptionBudget"),
            ("create", "services", "Service"),
            ("get", "networkpolicies", "NetworkPolicy"),
        ] {
            let without = Without::right(verb, resource).await;
            let (_namespace, kubectl) = ready("rights", &json!({})).await;
            let refused = settled(&kubectl, CHAT, 60, |chat| {
                condition(chat, "Ready")["reason"] == "ApplyFailed"
            })
            .await;
            let told = condition(&refused, "Ready")["message"].as_str().unwrap();
            assert!(told.contains(kind), "{kind}: {told}");
            assert!(told.contains(&format!("cannot {verb} ")), "{verb}: {told}");
            // What does not need the right is there.
            kubectl.get("deployment/chat-gateway").await;
            drop(without);
            kubectl.wait("condition=Ready", CHAT, READY).await;
        }
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn of_two_operators_only_the_one_that_leads_writes() {
    scenario(180, async {
        let _alone = ALONE.lock().await;
        let operators = settled(
            &system(),
            &format!("deployment/{OPERATOR}"),
            60,
            |operators| operators["status"]["readyReplicas"] == 2,
        )
        .await;
        assert_eq!(operators["spec"]["replicas"], 2);
        let leader = operator::leader().await;
        let audit = Audit::from_now();
        let (namespace, kubectl) = ready("leads", &json!({"replicas": 0})).await;
        kubectl.run(&["delete", CHAT, "--timeout=60s"]).await;
        let writes = audit.writes(namespace.name());
        assert!(
            writes.len() >= 5,
            "the channel had children:\n{}",
            lines(&writes)
        );
        assert_eq!(writers(&writes), [leader], "{}", lines(&writes));
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn when_the_leader_is_killed_one_operator_goes_on_and_never_two_at_once() {
    scenario(300, async {
        let _alone = ALONE.lock().await;
        let (namespace, kubectl) = ready("killed", &json!({"replicas": 0})).await;
        let audit = Audit::from_now();
        operator::kill_leader().await;
        let begin = Instant::now();
        kubectl
            .run(&["delete", "serviceaccount/chat-gateway"])
            .await;
        settled(&kubectl, "serviceaccounts", 60, |accounts| {
            let accounts = accounts["items"].as_array().unwrap();
            accounts
                .iter()
                .any(|account| account["metadata"]["name"] == "chat-gateway")
        })
        .await;
        println!(
            "leader killed → a child is made again: {:.1} s",
            begin.elapsed().as_secs_f64()
        );
        let writers = writers(&audit.writes(namespace.name()));
        let each: BTreeSet<_> = writers.iter().collect();
        assert_eq!(
            writers.len(),
            each.len(),
            "they wrote by turns: {writers:?}"
        );
        operator::all_ready().await;
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn an_operator_that_starts_anew_writes_nothing_where_nothing_changed() {
    scenario(300, async {
        let _alone = ALONE.lock().await;
        let (namespace, kubectl) = ready("anew", &json!({"replicas": 1})).await;
        kubectl.wait("condition=Ready", CHAT, READY).await;
        settled(&kubectl, CHAT, 60, |chat| {
            chat["status"]["updatedReplicas"] == 1
        })
        .await;
        let audit = Audit::from_now();
        let operators = format!("deployment/{OPERATOR}");
        system().run(&["rollout", "restart", &operators]).await;
        operator::all_ready().await;
        // The old leader hands over at its end, and a new one looks at every channel. A further look is this one's end.
        let old = audit.pass(namespace.name(), "chat", 0).await;
        kubectl.run(&["label", CHAT, "example.com/touch=1"]).await;
        audit.pass(namespace.name(), "chat", old).await;
        let writes = audit.writes(namespace.name());
        assert!(writes.is_empty(), "{}", lines(&writes));
    });
}

/// Runs kubectl until that succeeds: the API server is on its way.
async fn at_last(kubectl: &Kubectl, arguments: &[&str]) {
    within(("kubectl", arguments), 90, async {
        while kubectl.ask(arguments).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn while_the_api_server_restarts_nobody_is_dropped_and_edits_are_carried_out_after_it() {
    scenario(300, async {
        let _alone = ALONE.lock().await;
        let namespace = Namespace::create("restart").await;
        let kubectl = namespace.kubectl();
        set(&kubectl, &stage::chat(&json!({}))).await;
        let mut weather = Weather::begin(STORM, SIZE).await;
        weather.part("API server away").await;
        {
            let begin = Instant::now();
            Cluster::current().restart("kube-apiserver").await;
            at_last(&kubectl, &["get", "--raw", "/readyz"]).await;
            println!("API server away: {:.1} s", begin.elapsed().as_secs_f64());
            let edit = r#"{"spec":{"limits":{"messageSize":"32Ki"}}}"#;
            at_last(&kubectl, &["patch", CHAT, "--type=merge", "--patch", edit]).await;
            settled(&kubectl, CHAT, 60, |chat| {
                let applied = condition(chat, "ConfigurationApplied");
                applied["status"] == "True"
                    && applied["observedGeneration"] == chat["metadata"]["generation"]
            })
            .await;
            println!(
                "edit in force after: {:.1} s",
                begin.elapsed().as_secs_f64()
            );
        }
        let report = weather.calm().await;
        let moved = report.part("API server away").count;
        assert_eq!(moved, 0, "clients need no API server: {report}");
        kubectl.run(&["delete", CHAT, "--timeout=100s"]).await;
    });
}

/// Where a scale-down stands when the operator is killed.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Which gateway goes is not written: that needs a right that the operator does without.
    Decided,
    /// It is written, and the number stands as it is, for the like reason.
    Marked,
    /// The gateway goes, and still has a client.
    Going,
}

impl Stage {
    fn lacks(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Decided => Some(("patch", "pods")),
            Self::Marked => Some(("patch", "deployments")),
            Self::Going => None,
        }
    }

    async fn comes(self, kubectl: &Kubectl) {
        match self {
            Self::Decided => {
                settled(kubectl, CHAT, 30, |chat| chat["spec"]["replicas"] == 1).await;
            }
            Self::Marked => {
                settled(kubectl, "pods", 30, is_marked).await;
            }
            Self::Going => {
                settled(kubectl, "pods", 30, |pods| {
                    let mut pods = pods["items"].as_array().unwrap().iter();
                    pods.any(|pod| pod["metadata"]["deletionTimestamp"].is_string())
                })
                .await;
            }
        }
    }
}

fn is_marked(pods: &Value) -> bool {
    let mut pods = pods["items"].as_array().unwrap().iter();
    pods.any(|pod| {
        let cost = &pod["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"];
        cost.is_string()
    })
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn a_scale_down_whose_operator_is_killed_at_any_step_comes_to_its_end() {
    scenario(400, async {
        let _alone = ALONE.lock().await;
        let spec = json!({"replicas": 2, "rollout": {"drainSeconds": 20}, "service": {"sessionAffinity": "None"}});
        for stage in [Stage::Decided, Stage::Marked, Stage::Going] {
            let namespace = Namespace::create("step").await;
            let kubectl = namespace.kubectl();
            let host = format!("{}.linnet.localhost", namespace.name());
            let mut spec = spec.clone();
            spec["expose"] = json!({"hosts": [host], "ingress": {"className": "contour"}});
            kubectl.apply(&channel("chat", &spec).to_string()).await;
            settled(&kubectl, CHAT, READY, |chat| {
                chat["status"]["updatedReplicas"] == 2
            })
            .await;
            let door = Cluster::current().http(&host);
            let mut guests = Vec::new();
            for _ in 0..10 {
                guests.push(Guest::enter(&door).await);
            }

            let without = match stage.lacks() {
                Some((verb, resource)) => Some(Without::right(verb, resource).await),
                None => None,
            };
            kubectl.run(&["scale", "rtch/chat", "--replicas=1"]).await;
            stage.comes(&kubectl).await;
            operator::kill_leader().await;
            drop(without);

            let chat = settled(&kubectl, CHAT, 90, |chat| {
                chat["status"]["replicas"] == 1
                    && chat["status"]["updatedReplicas"] == 1
                    && condition(chat, "GatewaysAvailable")["reason"] == "AllGatewaysReady"
            })
            .await;
            assert_eq!(
                condition(&chat, "Ready")["status"],
                "True",
                "{stage:?}: {chat:#}"
            );
            let pods = settled(&kubectl, "pods", 60, |pods| {
                pods["items"].as_array().unwrap().len() == 1
            })
            .await;
            assert!(
                !is_marked(&pods),
                "{stage:?}: the one that stays is marked: {pods:#}"
            );
        }
    });
}
