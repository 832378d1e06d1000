//! Releases of the chart: upgraded, removed, and beside each other. These tests change what all channels need, so they
//! run one at a time; `tests/cluster/install` puts the release back in the end.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use linnet_cluster_tests::channel::{READY, channel, condition, settled};
use linnet_cluster_tests::helm::{chart as folder, helm};
use linnet_cluster_tests::operator::{OPERATOR, SYSTEM, system};
use linnet_cluster_tests::stage::{CHAT, chat, gateways, is_ready, name, pods, set};
use linnet_cluster_tests::weather::Size;
use linnet_cluster_tests::{Cluster, Guest, Kubectl, Namespace, Weather, cluster, scenario};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

const STORM: &str = env!("CARGO_BIN_EXE_linnet-cluster-storm");

const SIZE: Size = Size {
    clients: 200,
    rooms: 20,
    rate: 100,
};

const RELEASE: &str = "linnet";

static ALONE: Mutex<()> = Mutex::const_new(());

/// The release is a test's own until this is dropped, and is as before then.
struct Release(#[allow(dead_code, reason = "held")] MutexGuard<'static, ()>);

impl Release {
    async fn take() -> Self {
        Self(ALONE.lock().await)
    }

    /// As the tests need it.
    fn install() -> bool {
        let install = Command::new(cluster::file("tests/cluster/install"))
            .stdout(Stdio::null())
            .status();
        install.unwrap().success()
    }

    /// Upgrades with `settings` besides those of before, such as `image.repository=elsewhere`.
    async fn upgrade(&self, settings: &[&str]) {
        let folder = folder();
        let mut arguments = vec![
            "upgrade",
            RELEASE,
            &folder,
            "--namespace",
            SYSTEM,
            "--reuse-values",
            "--wait",
        ];
        for setting in settings {
            arguments.extend(["--set-json", setting]);
        }
        arguments.extend(["--timeout", "180s"]);
        helm(&arguments).await;
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        // Where a test ends by a panic, its own words are to be the last.
        if !Self::install() {
            eprintln!("the release could not be put back: tests/cluster/install");
        }
    }
}

/// How the cluster names the image of the gateway or operator when it is given by its whole name: to Kubernetes another
/// image.
fn whole(image: &str) -> String {
    format!("docker.io/library/linnet-{image}")
}

/// Uids of the pods of gateways.
async fn uids(kubectl: &Kubectl) -> BTreeSet<String> {
    let pods = kubectl.get("pods").await;
    let uids = gateways(&pods).map(|pod| pod["metadata"]["uid"].as_str().unwrap().to_owned());
    uids.collect()
}

/// A live change arrives at the gateways: the operator that runs now has looked at the channel.
async fn looked_at(kubectl: &Kubectl, channel: &str, per_second: u64) {
    let edit = json!({"spec": {"limits": {"messagesPerSecond": per_second}}}).to_string();
    kubectl
        .run(&["patch", channel, "--type=merge", "--patch", &edit])
        .await;
    settled(kubectl, channel, 90, |channel| {
        let applied = condition(channel, "ConfigurationApplied");
        applied["status"] == "True"
            && applied["observedGeneration"] == channel["metadata"]["generation"]
    })
    .await;
}

/// How a channel's gateways stand while a default image rolls.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Standing {
    Old,
    Rolling,
    New,
}

impl Standing {
    async fn of(kubectl: &Kubectl) -> Self {
        let pods = kubectl.get("pods").await;
        let new = |pod: &&Value| {
            let image = pod["spec"]["containers"][0]["image"].as_str().unwrap();
            image.starts_with(&whole("gateway"))
        };
        let (new, old): (Vec<_>, Vec<_>) = gateways(&pods).partition(new);
        // Old ones that are on their way out drain: their place is taken.
        let old = old.iter().filter(|pod| is_ready(pod)).count();
        match (old, new.len()) {
            (_, 0) => Self::Old,
            (0, 2) if new.iter().all(|pod| is_ready(pod)) => Self::New,
            _ => Self::Rolling,
        }
    }
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn a_new_operator_leaves_gateways_alone_and_a_new_default_image_rolls_one_channel_at_a_time() {
    scenario(900, async {
        let release = Release::take().await;
        let (namespace, beside) = (
            Namespace::create("upgrade").await,
            Namespace::create("beside").await,
        );
        let (kubectl, other) = (namespace.kubectl(), beside.kubectl());
        let second = channel(
            "chat",
            &json!({"replicas": 2, "rollout": {"drainSeconds": 5}}),
        );
        other.apply(&second.to_string()).await;
        other.wait("condition=Ready", CHAT, READY).await;
        set(&kubectl, &chat(&json!({}))).await;
        pods(&other, 2).await;
        let before = (uids(&kubectl).await, uids(&other).await);
        let mut weather = Weather::begin(STORM, SIZE).await;

        weather.part("new operator").await;
        let operator = format!("image.repository=\"{}\"", whole("operator"));
        release.upgrade(&[&operator]).await;
        looked_at(&kubectl, CHAT, 900).await;
        looked_at(&other, CHAT, 900).await;
        let after = (uids(&kubectl).await, uids(&other).await);
        assert_eq!(before, after, "gateways were replaced");

        weather.part("new default image").await;
        let gateway = format!("gateway.image.repository=\"{}\"", whole("gateway"));
        release.upgrade(&[&gateway]).await;
        let mut seen = Vec::new();
        loop {
            let now = (Standing::of(&kubectl).await, Standing::of(&other).await);
            if seen.last() != Some(&now) {
                println!("{now:?}");
                seen.push(now);
            }
            assert_ne!(
                now,
                (Standing::Rolling, Standing::Rolling),
                "both roll at once: {seen:?}"
            );
            if now == (Standing::New, Standing::New) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        pods(&kubectl, 2).await;

        let report = weather.calm().await;
        assert_eq!(report.part("new operator").count, 0, "{report}");
        let count = report.part("new default image").count;
        assert!(count >= SIZE.clients, "{report}");
        // Or putting the release back would roll them once more.
        for kubectl in [&kubectl, &other] {
            kubectl.run(&["delete", CHAT, "--timeout=100s"]).await;
        }
    });
}

/// Everything in the namespace of the release and everything without a namespace that helm put there, as `kind/name`,
/// without what Kubernetes itself keeps in each namespace.
async fn all_that_is_there() -> BTreeSet<String> {
    let mut there = BTreeSet::new();
    let kinds = ["api-resources", "--verbs=list", "--output=name"];
    let namespaced = system()
        .run(&[&kinds[..], &["--namespaced=true"]].concat())
        .await;
    let kinds_here: Vec<_> = namespaced
        .lines()
        .filter(|kind| !kind.starts_with("events"))
        .collect();
    let here = system()
        .run(&["get", &kinds_here.join(","), "--output=name"])
        .await;
    there.extend(here.lines().map(ToOwned::to_owned));
    let kinds = system()
        .run(&[&kinds[..], &["--namespaced=false"]].concat())
        .await;
    let unreadable = ["componentstatuses"];
    let kinds: Vec<_> = kinds
        .lines()
        .filter(|kind| !unreadable.contains(kind))
        .collect();
    let elsewhere = system().get(&kinds.join(",")).await;
    for object in elsewhere["items"].as_array().unwrap() {
        if object["metadata"]["annotations"]["meta.helm.sh/release-name"] == RELEASE {
            there.insert(format!(
                "{}/{}",
                object["kind"].as_str().unwrap(),
                name(object)
            ));
        }
    }
    there.remove("configmap/kube-root-ca.crt");
    there.remove("serviceaccount/default");
    there
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn what_an_uninstalled_release_leaves_is_what_it_says_and_a_new_one_goes_on_with_it() {
    scenario(600, async {
        let release = Release::take().await;
        let namespace = Namespace::create("again").await;
        let kubectl = namespace.kubectl();
        let host = format!("{}.linnet.localhost", namespace.name());
        let door = Cluster::current().http(&host);
        let spec = json!({
            "replicas": 1, "history": {"maxMessagesPerRoom": 10}, "rollout": {"drainSeconds": 1},
            "expose": {"hosts": [host], "ingress": {"className": "contour"}},
        });
        let kept = channel("kept", &spec);
        let kept_channel = "realtimechannel/kept";
        kubectl.apply(&kept.to_string()).await;
        kubectl.wait("condition=Ready", kept_channel, READY).await;
        Guest::enter(&door)
            .await
            .publish("lobby", &json!("before"))
            .await;

        // As NOTES.txt has it: the channels first.
        kubectl
            .run(&["delete", "realtimechannels", "--all", "--timeout=60s"])
            .await;
        helm(&["uninstall", RELEASE, "--namespace", SYSTEM, "--wait"]).await;
        let pods = ["wait", "--for=delete", "pods", "--all", "--timeout=90s"];
        system().run(&pods).await;
        let left = all_that_is_there().await;
        let told = [
            "CustomResourceDefinition/realtimechannels.realtime.linnet.dev",
            "lease.coordination.k8s.io/linnet-operator",
            "persistentvolumeclaim/data-linnet-nats-0",
        ];
        assert_eq!(left, told.map(ToOwned::to_owned).into());

        assert!(
            Release::install(),
            "the chart can be installed over what is left"
        );
        kubectl.apply(&kept.to_string()).await;
        kubectl.wait("condition=Ready", kept_channel, READY).await;
        let mut guest = Guest::enter(&door).await;
        let history = guest.ask(json!({"type": "history", "room": "lobby"})).await;
        assert_eq!(history["messages"][0]["data"], "before", "{history}");
        kubectl
            .run(&["delete", kept_channel, "--timeout=60s"])
            .await;
        drop(release);
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn two_releases_serve_namespaces_of_their_own_with_rights_in_those_alone() {
    scenario(600, async {
        let release = Release::take().await;
        let first = Namespace::create("first").await;
        let second = Namespace::create("second").await;
        let nobodys = Namespace::create("nobodys").await;
        let home = Namespace::create("home").await;
        let watch = |namespace: &Namespace| format!("watchNamespaces=[\"{}\"]", namespace.name());
        release.upgrade(&[&watch(&first)]).await;
        let folder = folder();
        let values = cluster::file("tests/cluster/values.yaml");
        let tag = std::env::var("LINNET_IMAGE_TAG").unwrap_or_else(|_| "dev".into());
        let tags = format!("image.tag={tag},gateway.image.tag={tag}");
        let nats =
            format!("nats={{\"enabled\": false, \"url\": \"nats://linnet-nats.{SYSTEM}:4222\"}}");
        helm(&[
            "install",
            "other",
            &folder,
            "--namespace",
            home.name(),
            "--wait",
            "--timeout",
            "180s",
            "--values",
            values.to_str().unwrap(),
            "--set",
            &tags,
            "--set-json",
            &watch(&second),
            "--set-json",
            "crds.create=false",
            "--set-json",
            &nats,
            "--set-json",
            "rbac.aggregate=false",
        ])
        .await;

        let cluster = Cluster::current();
        for namespace in [&first, &second] {
            let kubectl = namespace.kubectl();
            let host = format!("{}.linnet.localhost", namespace.name());
            let spec = json!({
                "replicas": 2, "rollout": {"drainSeconds": 1}, "history": {"deletionPolicy": "Delete"},
                "expose": {"hosts": [host], "ingress": {"className": "contour"}},
            });
            kubectl.apply(&channel("chat", &spec).to_string()).await;
            kubectl.wait("condition=Ready", CHAT, READY).await;
            pods(&kubectl, 2).await;
            Guest::enter(&cluster.http(&host))
                .await
                .publish("lobby", &json!(1))
                .await;
        }
        // Each may do in its own namespace what the rules say, and nothing elsewhere.
        let accounts = [
            (SYSTEM, OPERATOR, &first),
            (home.name(), "other-linnet-operator", &second),
        ];
        for (home, account, own) in accounts {
            let account = format!("--as=system:serviceaccount:{home}:{account}");
            for namespace in [&first, &second, &nobodys] {
                let may = namespace
                    .kubectl()
                    .ask(&[
                        "auth",
                        "can-i",
                        "patch",
                        "deployments.apps",
                        &account,
                        "--quiet",
                    ])
                    .await;
                assert_eq!(
                    may.is_ok(),
                    namespace.name() == own.name(),
                    "{account} in {}",
                    namespace.name()
                );
            }
        }
        // Whose namespace nobody serves is left alone: by now both have looked at everything.
        let unserved = nobodys.kubectl();
        unserved
            .apply(&channel("chat", &json!({})).to_string())
            .await;
        for namespace in [&first, &second] {
            looked_at(&namespace.kubectl(), CHAT, 19).await;
        }
        assert_eq!(unserved.get(CHAT).await["status"], Value::Null);

        for namespace in [&first, &second] {
            namespace
                .kubectl()
                .run(&["delete", CHAT, "--timeout=60s"])
                .await;
        }
        unserved.run(&["delete", CHAT, "--timeout=60s"]).await;
        helm(&["uninstall", "other", "--namespace", home.name(), "--wait"]).await;
        // The first goes on without it.
        let kubectl = first.kubectl();
        kubectl
            .apply(&channel("chat", &json!({"replicas": 1})).to_string())
            .await;
        kubectl.wait("condition=Ready", CHAT, READY).await;
        kubectl.run(&["delete", CHAT, "--timeout=100s"]).await;
    });
}
