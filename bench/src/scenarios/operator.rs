//! The operator on a real API server: how soon a channel serves, and what many channels cost.

use std::{
    collections::BTreeSet,
    env,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use super::{Settings, progress};
use crate::{
    cluster::{Audit, Kubectl, first_connection},
    process::{self, Operator},
    report::{Report, Row, Unit},
    stats::Summary,
};

/// Where everything happens.
const NAMESPACE: &str = "linnet-bench";
/// Whom the operator is taken for: the audit log tells its requests by that.
const USER: &str = "system:serviceaccount:linnet-bench:operator";
/// How long all channels may take until the operator has seen them.
const PATIENCE: Duration = Duration::from_secs(900);
/// The definition of channels.
const DEFINITION: &str = include_str!("../../../crds/realtimechannels.yaml");

/// Measures all of it.
pub fn run(settings: &Settings) -> Result<Report> {
    let binary = match &settings.operator {
        Some(path) => path.clone(),
        None => process::sibling("linnet-operator")?,
    };
    let kubectl = Kubectl::new(NAMESPACE)?;
    let room = Room::make(&kubectl)?;
    let start = || room.start(&binary);
    let channels = settings.pick(1000, 20);
    let mut report = Report::new("operator", "The operator on a real API server");
    report.method = format!(
        "linnet-operator on the machine of a one-node cluster, for one namespace, with the embedded broker. A start: from \
         kubectl apply to a WebSocket that is accepted at the Service's address, the image being there; the reference is \
         the same Deployment, Service, ConfigMap and ServiceAccount applied by hand, in turns. Then {channels} channels with \
         replicas: 0: what the API server's audit log has of the operator's writes, Events and Leases aside, over {} s, \
         and after a restart until it has read every channel; CPU time and resident memory over the same time; and for {} \
         edits the time from the API server's answer to the edit until its answer to the operator's write of the ConfigMap.",
        settings.pick(300, 5),
        settings.pick(100, 5)
    );
    starts(settings, &kubectl, &start, &mut report)?;
    many(settings, &kubectl, &start, channels, &mut report)?;
    Ok(report)
}

/// The namespace, which goes when this does.
struct Room<'a> {
    kubectl: &'a Kubectl,
    folder: tempfile::TempDir,
    image: String,
}

impl<'a> Room<'a> {
    fn make(kubectl: &'a Kubectl) -> Result<Self> {
        let others = [
            "deployments",
            "--all-namespaces",
            "--selector=app.kubernetes.io/name=linnet-operator",
        ];
        let others = kubectl.get(&others)?;
        let runs = |one: &Value| one["spec"]["replicas"] != 0;
        if others["items"].as_array().into_iter().flatten().any(runs) {
            bail!(
                "an operator serves this cluster, which would do the work too: scale its Deployment to 0 first"
            );
        }
        // One that is there is its installer's.
        let definition = "crd/realtimechannels.realtime.linnet.dev";
        let there = kubectl.run(&["get", definition, "--ignore-not-found", "--output=name"])?;
        if there.is_empty() {
            kubectl.feed(&["apply", "--server-side", "--filename", "-"], DEFINITION)?;
        }
        kubectl.run(&[
            "wait",
            "--for=condition=Established",
            "crd/realtimechannels.realtime.linnet.dev",
        ])?;
        kubectl.run(&["delete", "namespace", NAMESPACE, "--ignore-not-found"])?;
        let account = json!({"kind": "ServiceAccount", "name": "operator", "namespace": NAMESPACE});
        kubectl.apply(&[
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator", "namespace": NAMESPACE}}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": "operator", "namespace": NAMESPACE}, "subjects": [account],
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}}),
        ])?;
        let tag = env::var("LINNET_IMAGE_TAG").unwrap_or_else(|_| "dev".to_owned());
        let folder = tempfile::tempdir()?;
        kubectl.kubeconfig_of("operator", &folder.path().join("kubeconfig"))?;
        Ok(Self {
            kubectl,
            folder,
            image: format!("linnet-gateway:{tag}"),
        })
    }

    fn start(&self, binary: &Path) -> Result<Operator> {
        let (kubeconfig, log) = (
            self.folder.path().join("kubeconfig"),
            self.folder.path().join("log"),
        );
        Operator::start(binary, NAMESPACE, &self.image, &kubeconfig, &log)
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        // The measurement is over: what is left shows at the next one.
        let _ = self
            .kubectl
            .run(&["delete", "namespace", NAMESPACE, "--wait=false"]);
    }
}

/// From apply to the first connection, for a channel and for the same by hand.
fn starts(
    settings: &Settings,
    kubectl: &Kubectl,
    start: &impl Fn() -> Result<Operator>,
    report: &mut Report,
) -> Result<()> {
    let operator = start()?;
    // The first pod of an image is slower; and what the operator makes of a channel is the reference.
    apply_and_connect(kubectl, "warm-gateway", &[channel("warm", 1)])?;
    let by_hand = by_hand(kubectl, "warm")?;
    let (mut channels, mut plain) = (Vec::new(), Vec::new());
    for pair in 0..settings.pairs {
        progress(&format!(
            "operator: start {} of {}",
            pair + 1,
            settings.pairs
        ));
        let mut turns = [true, false];
        turns.rotate_left(pair % 2);
        for is_channel in turns {
            let (name, times, objects) = match is_channel {
                true => (
                    format!("c{pair}"),
                    &mut channels,
                    vec![channel(&format!("c{pair}"), 1)],
                ),
                false => {
                    let name = format!("p{pair}");
                    let objects = by_hand.replace("warm", &name);
                    (name, &mut plain, serde_json::from_str(&objects)?)
                }
            };
            let took = apply_and_connect(kubectl, &format!("{name}-gateway"), &objects)?;
            times.push(took.as_secs_f64() * 1e6);
        }
    }
    kubectl.run(&["delete", "realtimechannels", "--all", "--wait=false"])?;
    kubectl.run(&["delete", "deployments", "--all", "--wait=false"])?;
    operator.stop()?;
    let ratio = Summary::of_ratios(&channels, &plain);
    let row = |what: &str, times: &[f64]| {
        Summary::of(times).map(|times| Row::new(what, Unit::Microseconds, times))
    };
    report
        .rows
        .extend(row("channel: apply → first connection", &channels).map(|row| row.at_most(10e6)));
    report
        .rows
        .extend(row("by hand: apply → first connection", &plain));
    report
        .rows
        .extend(ratio.map(|ratio| Row::new("channel / by hand", Unit::Ratio, ratio).at_most(1.5)));
    Ok(())
}

fn apply_and_connect(kubectl: &Kubectl, service: &str, objects: &[Value]) -> Result<Duration> {
    let address = kubectl.address_of(service)?;
    let begun = Instant::now();
    kubectl.apply(objects)?;
    first_connection(address.get()?)?;
    Ok(begun.elapsed())
}

/// What the operator made of the channel `name`, as JSON to be applied by hand under another name.
fn by_hand(kubectl: &Kubectl, name: &str) -> Result<String> {
    let name = format!("{name}-gateway");
    let kinds = ["serviceaccount", "configmap", "service", "deployment"];
    let objects = kinds.map(|kind| {
        let mut object = kubectl.get(&[kind, &name])?;
        let labels = object["metadata"]["labels"].take();
        // Not the operator's: it would look after them.
        object["metadata"] = json!({"name": name, "labels": {"app.kubernetes.io/instance": labels["app.kubernetes.io/instance"]}});
        remove(&mut object, "", &["status"]);
        remove(&mut object, "/spec", &["clusterIP", "clusterIPs"]);
        remove(
            &mut object,
            "/spec/template/metadata/labels",
            &["app.kubernetes.io/managed-by"],
        );
        Ok(object)
    });
    let objects = objects.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(serde_json::to_string(&objects)?)
}

fn remove(object: &mut Value, path: &str, fields: &[&str]) {
    if let Some(map) = object.pointer_mut(path).and_then(Value::as_object_mut) {
        map.retain(|name, _| !fields.contains(&name.as_str()));
    }
}

/// What many channels cost that nothing happens to, and how soon an edit of one of them is carried out.
fn many(
    settings: &Settings,
    kubectl: &Kubectl,
    start: &impl Fn() -> Result<Operator>,
    channels: usize,
    report: &mut Report,
) -> Result<()> {
    let operator = start()?;
    let all: Vec<_> = (0..channels)
        .map(|number| channel(&format!("many-{number}"), 0))
        .collect();
    for (number, some) in all.chunks(100).enumerate() {
        progress(&format!("operator: channels from {} on", number * 100));
        kubectl.apply(some)?;
    }
    progress("operator: until all are observed");
    observed(kubectl, channels)?;
    quiet(settings)?;

    let steady = Duration::from_secs(settings.pick(300, 5));
    progress(&format!(
        "operator: {} s in which nothing happens",
        steady.as_secs()
    ));
    let (audit, before, begun) = (Audit::from_now()?, operator.cpu()?, Instant::now());
    thread::sleep(steady);
    let cpu = (operator.cpu()? - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    let writes = audit.writes_of(USER)?.len();
    let resident = operator.resident()? as f64 / 1024.0;
    let one = |what: &str, unit, value: f64| {
        Summary::of([value]).map(|value| Row::new(what, unit, value))
    };
    let rows = &mut report.rows;
    rows.extend(
        one(
            &format!("{channels} channels, steady: writes"),
            Unit::Count,
            writes as f64,
        )
        .map(|row| row.at_most(0.0)),
    );
    rows.extend(
        one(
            &format!("{channels} channels, steady: resident memory"),
            Unit::Kilobytes,
            resident,
        )
        .map(|row| row.at_most(64.0 * 1024.0)),
    );
    rows.extend(one(
        &format!("{channels} channels, steady: CPU"),
        Unit::PercentOfCore,
        cpu * 100.0,
    ));

    progress("operator: a restart");
    operator.stop()?;
    let audit = Audit::from_now()?;
    let begun = Instant::now();
    let operator = start()?;
    let mut watched = BTreeSet::new();
    loop {
        let requests = audit.of(USER)?;
        let read: BTreeSet<_> = requests
            .iter()
            .filter(|request| request.verb == "get" && request.resource == "realtimechannels")
            .map(|request| request.name.as_str())
            .collect();
        if read.len() >= channels {
            watched.extend(
                requests
                    .iter()
                    .filter(|request| request.verb == "watch")
                    .map(|request| request.resource.clone()),
            );
            break;
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "{} of {channels} channels were read after a restart",
            read.len()
        );
        thread::sleep(Duration::from_millis(200));
    }
    let took = begun.elapsed().as_secs_f64() * 1e6;
    // The last of them are still being looked at.
    quiet(settings)?;
    let writes = audit.writes_of(USER)?.len();
    rows.extend(
        one(
            &format!("{channels} channels, restart: writes"),
            Unit::Count,
            writes as f64,
        )
        .map(|row| row.at_most(0.0)),
    );
    rows.extend(one(
        &format!("{channels} channels, restart: until every one was read"),
        Unit::Microseconds,
        took,
    ));

    let delays = edits(settings, channels, kubectl)?;
    let mut sorted = delays.clone();
    sorted.sort_by(f64::total_cmp);
    let p99 = sorted[(sorted.len() * 99).div_ceil(100) - 1];
    rows.extend(
        Summary::of(delays)
            .map(|delays| Row::new("edit → ConfigMap applied", Unit::Microseconds, delays)),
    );
    rows.extend(
        one("edit → ConfigMap applied, p99", Unit::Microseconds, p99).map(|row| row.at_most(1e6)),
    );
    report.notes.push(format!(
        "Kinds that the operator watches and keeps in memory: {}.",
        watched.into_iter().collect::<Vec<_>>().join(", ")
    ));
    operator.stop()
}

/// Edits one channel after the other; microseconds from the API server's answer to the edit to its answer to the
/// operator's write.
fn edits(settings: &Settings, channels: usize, kubectl: &Kubectl) -> Result<Vec<f64>> {
    let edits = settings.pick(100, 5);
    let mut delays = Vec::new();
    for edit in 0..edits {
        // A stride that has no factor in common with the number of channels spreads the edits over them.
        let name = format!("many-{}", edit * 37 % channels);
        let child = format!("{name}-gateway");
        let audit = Audit::from_now()?;
        let spec = json!({"spec": {"limits": {"messagesPerSecond": 21 + edit}}}).to_string();
        kubectl.run(&[
            "patch",
            "realtimechannel",
            &name,
            "--type=merge",
            "--patch",
            &spec,
        ])?;
        let begun = Instant::now();
        let delay = loop {
            let requests = audit.of("")?;
            let edited = requests.iter().find(|request| {
                request.user != USER && request.verb == "patch" && request.name == name
            });
            let applied = requests.iter().find(|request| {
                request.user == USER
                    && request.verb == "patch"
                    && request.resource == "configmaps"
                    && request.name == child
            });
            if let (Some(edited), Some(applied)) = (edited, applied) {
                break applied.at.duration_since(edited.at).as_secs_f64();
            }
            ensure!(
                begun.elapsed() < Duration::from_secs(60),
                "an edit of {name} is not carried out"
            );
            thread::sleep(Duration::from_millis(50));
        };
        delays.push(delay * 1e6);
    }
    Ok(delays)
}

/// Waits until the operator has said of all channels that it has seen them as they are.
fn observed(kubectl: &Kubectl, channels: usize) -> Result<()> {
    let begun = Instant::now();
    loop {
        let path = "--output=jsonpath={range .items[*]}{.metadata.name} {.metadata.generation} {.status.observedGeneration}{\"\\n\"}{end}";
        let list = kubectl.run(&["get", "realtimechannels", path])?;
        let seen = list.lines().filter(|line| {
            let words: Vec<_> = line.split(' ').collect();
            words[0].starts_with("many-") && words.get(1) == words.get(2)
        });
        let seen = seen.count();
        if seen >= channels {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "{seen} of {channels} channels were observed within {PATIENCE:?}"
        );
        thread::sleep(Duration::from_millis(500));
    }
}

/// Waits until the operator has written nothing for a while.
fn quiet(settings: &Settings) -> Result<()> {
    let while_ = Duration::from_secs(settings.pick(10, 2));
    let begun = Instant::now();
    loop {
        let audit = Audit::from_now()?;
        thread::sleep(while_);
        if audit.writes_of(USER)?.is_empty() {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "the operator writes without end"
        );
    }
}

fn channel(name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "realtime.linnet.dev/v1alpha1",
        "kind": "RealtimeChannel",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"replicas": replicas, "authentication": {"anonymous": "Allow"}, "rollout": {"drainSeconds": 0},
            // All connections here come from one address.
            "service": {"sessionAffinity": "None"}},
    })
}
