//! What an edit does, field by field: exactly the children that are to change do, and gateways are replaced only where
//! the field is one that asks for it.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::collections::{BTreeMap, BTreeSet};

use linnet_cluster_tests::channel::{READY, channel, condition, settled};
use linnet_cluster_tests::{Kubectl, Namespace};
use linnet_tests::scenario;
use serde_json::{Value, json};

const CHAT: &str = "realtimechannel/chat";

/// Seconds within which an edit must have done what it does.
const SOON: u64 = 30;

/// The kinds of a channel's objects, and the pods.
const KINDS: &str = "serviceaccounts,configmaps,services,networkpolicies,poddisruptionbudgets,deployments,ingresses,httproutes,pods";

/// An edit of one field, and the children that it changes.
struct Edit {
    field: &'static str,
    spec: Value,
    changes: &'static [&'static str],
}

fn edit(field: &'static str, spec: Value, changes: &'static [&'static str]) -> Edit {
    Edit {
        field,
        spec,
        changes,
    }
}

const CONFIGURATION: &[&str] = &["ConfigMap chat-gateway"];
const SERVICE: &[&str] = &["Service chat-gateway"];
const INGRESS: &[&str] = &["Ingress chat-gateway"];
const ROUTES: &[&str] = &["HTTPRoute chat-gateway", "Ingress chat-gateway"];
const POLICY: &[&str] = &["NetworkPolicy chat-gateway"];
const GATEWAYS: &[&str] = &["Deployment chat-gateway"];
const BOTH: &[&str] = &["ConfigMap chat-gateway", "Deployment chat-gateway"];
const NOTHING: &[&str] = &[];

/// What reaches gateways as they run.
fn live() -> Vec<Edit> {
    let rooms = json!({"rooms": [{"match": "stage.*", "publish": "Nobody"}]});
    let edits = [
        ("rooms", rooms),
        ("limits", json!({"limits": {"messageSize": "32Ki"}})),
        (
            "authentication.allowedOrigins",
            json!({"authentication": {"allowedOrigins": ["https://a.example"]}}),
        ),
        ("heartbeat", json!({"heartbeat": {"intervalSeconds": 20}})),
        (
            "telemetry.logLevel",
            json!({"telemetry": {"logLevel": "debug"}}),
        ),
        (
            "telemetry.samplingRatePerMillion",
            json!({"telemetry": {"samplingRatePerMillion": 7}}),
        ),
        ("console", json!({"console": "Enabled"})),
        (
            "transports.webSocket",
            json!({"transports": {"webSocket": {"compression": "PerMessage"}}}),
        ),
        (
            "history.maxMessagesPerRoom",
            json!({"history": {"maxMessagesPerRoom": 7}}),
        ),
        (
            "history.maxAgeSeconds",
            json!({"history": {"maxAgeSeconds": 7000}}),
        ),
        (
            "history.deduplicationSeconds",
            json!({"history": {"deduplicationSeconds": 60}}),
        ),
    ];
    let edits = edits.into_iter();
    edits
        .map(|(field, spec)| edit(field, spec, CONFIGURATION))
        .collect()
}

/// What changes single children, and gateways in no way.
fn single() -> Vec<Edit> {
    let annotations = json!({"annotations": {"example.com/a": "b"}});
    let routed = json!({"ingress": null, "httpRoute": {"parentRefs": [{"name": "contour", "namespace": "projectcontour"}]}});
    let guests = json!({"internalFrom": [{"podSelector": {"matchLabels": {"app": "shop"}}}]});
    vec![
        edit(
            "service.annotations",
            json!({"service": annotations}),
            SERVICE,
        ),
        edit(
            "service.type",
            json!({"service": {"type": "NodePort"}}),
            SERVICE,
        ),
        edit(
            "service.externalTrafficPolicy",
            json!({"service": {"externalTrafficPolicy": "Local"}}),
            SERVICE,
        ),
        edit(
            "service.sessionAffinityTimeoutSeconds",
            json!({"service": {"sessionAffinityTimeoutSeconds": 600}}),
            SERVICE,
        ),
        edit(
            "service.sessionAffinity",
            json!({"service": {"sessionAffinity": "None"}}),
            SERVICE,
        ),
        edit(
            "rollout.rebalance",
            json!({"rollout": {"rebalance": "Paced"}}),
            NOTHING,
        ),
        edit(
            "rollout.maxSurge",
            json!({"rollout": {"maxSurge": 1}}),
            GATEWAYS,
        ),
        edit(
            "autoscaling",
            json!({"autoscaling": {"minReplicas": 1, "maxReplicas": 1}}),
            NOTHING,
        ),
        edit(
            "autoscaling, again without",
            json!({"autoscaling": null}),
            NOTHING,
        ),
        edit(
            "expose.ingress",
            json!({"expose": {"ingress": annotations}}),
            INGRESS,
        ),
        edit(
            "expose.hosts",
            json!({"expose": {"hosts": ["b.example"]}}),
            INGRESS,
        ),
        edit("expose.httpRoute", json!({"expose": routed}), ROUTES),
        edit(
            "networkPolicy.internalFrom",
            json!({"networkPolicy": guests}),
            POLICY,
        ),
        edit(
            "networkPolicy.mode",
            json!({"networkPolicy": {"mode": "None"}}),
            POLICY,
        ),
        edit("replicas", json!({"replicas": 2}), GATEWAYS),
    ]
}

/// What replaces the gateways.
fn rolling() -> Vec<Edit> {
    let nats = |more: Value| json!({"broker": {"nats": more}});
    vec![
        edit(
            "gateway.env",
            json!({"gateway": {"env": [{"name": "A", "value": "b"}]}}),
            GATEWAYS,
        ),
        edit(
            "gateway.image",
            json!({"gateway": {"image": "linnet-gateway:other"}}),
            GATEWAYS,
        ),
        edit(
            "gateway.imagePullPolicy",
            json!({"gateway": {"imagePullPolicy": "Never"}}),
            GATEWAYS,
        ),
        edit(
            "gateway.imagePullSecrets",
            json!({"gateway": {"imagePullSecrets": [{"name": "a"}]}}),
            GATEWAYS,
        ),
        edit(
            "gateway.resources",
            json!({"gateway": {"resources": {"limits": {"memory": "300Mi"}}}}),
            GATEWAYS,
        ),
        edit(
            "gateway.podTemplate",
            json!({"gateway": {"podTemplate": {"spec": {"nodeSelector": {"kubernetes.io/os": "linux"}}}}}),
            GATEWAYS,
        ),
        edit(
            "rollout.drainSeconds",
            json!({"rollout": {"drainSeconds": 3}}),
            BOTH,
        ),
        edit(
            "expose.path",
            json!({"expose": {"path": "/chat"}}),
            &[
                "ConfigMap chat-gateway",
                "Deployment chat-gateway",
                "HTTPRoute chat-gateway",
            ],
        ),
        edit(
            "broker",
            nats(json!({"urls": ["nats://linnet-nats.linnet-system:4222"]})),
            BOTH,
        ),
        edit(
            "broker.nats.credentialsSecretName",
            nats(json!({"credentialsSecretName": "login"})),
            BOTH,
        ),
        edit("history, taken out", json!({"history": null}), BOTH),
    ]
}

/// What the API server shows of a channel.
struct Seen {
    /// What tells that a child was written, by kind and name. The status of those that have one is others'.
    children: BTreeMap<String, Value>,
    /// The template of the gateways' pods.
    template: Value,
    /// The pods that do not go, and how often each was started again.
    pods: BTreeMap<String, Value>,
}

impl Seen {
    async fn now(kubectl: &Kubectl) -> Self {
        let list = kubectl.get(KINDS).await;
        let mut seen = Self {
            children: BTreeMap::new(),
            template: Value::Null,
            pods: BTreeMap::new(),
        };
        for object in list["items"].as_array().unwrap() {
            let (kind, metadata) = (object["kind"].as_str().unwrap(), &object["metadata"]);
            let name = metadata["name"].as_str().unwrap();
            if !name.starts_with("chat-gateway") {
                continue; // every namespace has a ConfigMap and a ServiceAccount
            }
            if kind == "Pod" {
                if metadata["deletionTimestamp"].is_null() {
                    let starts = object["status"]["containerStatuses"][0]["restartCount"].clone();
                    seen.pods.insert(name.to_owned(), starts);
                }
                continue;
            }
            if kind == "Deployment" {
                seen.template = object["spec"]["template"].clone();
            }
            let version = match &metadata["generation"] {
                Value::Null => &metadata["resourceVersion"],
                generation => generation,
            };
            let mut annotations = metadata["annotations"].clone();
            if let Some(annotations) = annotations.as_object_mut() {
                // The Deployment's controller writes it when it comes to it.
                annotations.remove("deployment.kubernetes.io/revision");
            }
            let version = json!([metadata["uid"], version, metadata["labels"], annotations]);
            seen.children.insert(format!("{kind} {name}"), version);
        }
        seen
    }

    /// The children that differ, are new, or are gone.
    fn changed<'a>(&'a self, before: &'a Self) -> BTreeSet<&'a str> {
        let names = self.children.keys().chain(before.children.keys());
        names
            .filter(|name| self.children.get(*name) != before.children.get(*name))
            .map(String::as_str)
            .collect()
    }
}

/// A channel under edits, and all that was wrong with them.
struct Edited {
    kubectl: Kubectl,
    wrong: Vec<String>,
}

impl Edited {
    /// Makes an edit, and waits until the operator has carried it out: `holds` of the channel then.
    async fn make(&mut self, edit: &Edit, holds: impl Fn(&Value) -> bool) -> (Seen, Seen) {
        let before = Seen::now(&self.kubectl).await;
        let patch = json!({"spec": edit.spec}).to_string();
        self.kubectl
            .run(&["patch", CHAT, "--type=merge", "--patch", &patch])
            .await;
        settled(&self.kubectl, CHAT, SOON, |chat| {
            chat["status"]["observedGeneration"] == chat["metadata"]["generation"] && holds(chat)
        })
        .await;
        let after = Seen::now(&self.kubectl).await;
        let (changed, meant) = (after.changed(&before), edit.changes.iter().copied());
        if changed != meant.collect() {
            let (field, changes) = (edit.field, edit.changes);
            self.wrong.push(format!(
                "{field} changed {changed:?} instead of {changes:?}"
            ));
        }
        (before, after)
    }

    fn check(&mut self, edit: &Edit, holds: bool, otherwise: &str) {
        if !holds {
            self.wrong.push(format!("{}: {otherwise}", edit.field));
        }
    }

    /// The configurations that gateways say they serve.
    async fn served(&self, pods: &BTreeMap<String, Value>) -> BTreeSet<String> {
        let mut served = BTreeSet::new();
        for pod in pods.keys() {
            let status = self.kubectl.status_of(pod).await.unwrap();
            served.insert(status["configHash"].as_str().unwrap().to_owned());
        }
        served
    }
}

fn is_applied(chat: &Value) -> bool {
    let applied = condition(chat, "ConfigurationApplied");
    applied["status"] == "True"
        && applied["observedGeneration"] == chat["metadata"]["generation"]
        && chat["status"]["updatedReplicas"] == chat["spec"]["replicas"]
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn an_edit_changes_the_children_and_the_gateways_that_it_is_meant_to_and_nothing_else() {
    scenario(400, async {
        let namespace = Namespace::create("edits").await;
        let kubectl = namespace.kubectl();
        let host = format!("{}.linnet.localhost", namespace.name());
        let spec = json!({
            "rollout": {"drainSeconds": 0}, "history": {},
            "expose": {"hosts": [host], "ingress": {"className": "contour"}},
        });
        kubectl.apply(&channel("chat", &spec).to_string()).await;
        kubectl.wait("condition=Ready", CHAT, READY).await;
        settled(&kubectl, CHAT, READY, is_applied).await;
        let mut edited = Edited {
            kubectl: kubectl.clone(),
            wrong: Vec::new(),
        };

        for edit in live() {
            let before = Seen::now(&kubectl).await;
            let old = edited.served(&before.pods).await;
            let (_, after) = edited.make(&edit, is_applied).await;
            let new = edited.served(&after.pods).await;
            edited.check(
                &edit,
                old != new,
                "the gateway serves what it served before",
            );
            edited.check(&edit, before.pods == after.pods, "gateways were replaced");
            edited.check(
                &edit,
                before.template == after.template,
                "the pod template changed",
            );
        }
        for edit in single() {
            let old = edited.served(&Seen::now(&kubectl).await.pods).await;
            let (before, after) = edited.make(&edit, |_| true).await;
            let stay = before
                .pods
                .iter()
                .all(|pod| after.pods.get(pod.0) == Some(pod.1));
            edited.check(&edit, stay, "gateways were replaced");
            edited.check(
                &edit,
                before.template == after.template,
                "the pod template changed",
            );
            let new = edited.served(&before.pods).await;
            edited.check(&edit, old == new, "the gateways' configuration changed");
        }

        // Without gateways it shows soon which templates differ.
        let none = edit("replicas, to none", json!({"replicas": 0}), GATEWAYS);
        edited
            .make(&none, |chat| chat["status"]["replicas"] == 0)
            .await;
        // Another template waits for pods that go.
        settled(&kubectl, "pods", 60, |pods| {
            pods["items"].as_array().unwrap().is_empty()
        })
        .await;
        for edit in rolling() {
            let (before, after) = edited.make(&edit, |_| true).await;
            edited.check(
                &edit,
                before.template != after.template,
                "the pod template is as before",
            );
        }
        for field in ["storage", "partitions"] {
            let history = json!({"storage": "Memory", "partitions": 2});
            let patch = json!({"spec": {"history": {(field): history[field]}}}).to_string();
            kubectl
                .run(&[
                    "patch",
                    CHAT,
                    "--type=merge",
                    "--patch",
                    r#"{"spec":{"history":{}}}"#,
                ])
                .await;
            let refused = kubectl
                .ask(&["patch", CHAT, "--type=merge", "--patch", &patch])
                .await;
            assert!(refused.unwrap_err().contains("is immutable"), "{field}");
        }
        assert!(edited.wrong.is_empty(), "{}", edited.wrong.join("\n"));
    });
}
