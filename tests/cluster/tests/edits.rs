//! What an edit does, field by field: exactly the children that are to change do, and gateways are replaced only where
//! the field is one that asks for it.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_cluster_tests::Namespace;
use linnet_cluster_tests::channel::{READY, channel, condition, settled};
use linnet_cluster_tests::edit::{CHAT, Edit, Edited, Seen};
use linnet_tests::scenario;
use serde_json::{Value, json};

const CONFIGURATION: &[&str] = &["ConfigMap chat-gateway"];
const SERVICE: &[&str] = &["Service chat-gateway"];
const INGRESS: &[&str] = &["Ingress chat-gateway"];
const ROUTES: &[&str] = &["HTTPRoute chat-gateway", "Ingress chat-gateway"];
const POLICY: &[&str] = &["NetworkPolicy chat-gateway"];
const GATEWAYS: &[&str] = &["Deployment chat-gateway"];
const BOTH: &[&str] = &["ConfigMap chat-gateway", "Deployment chat-gateway"];
const NOTHING: &[&str] = &[];

fn edit(field: &'static str, spec: Value, changes: &'static [&'static str]) -> Edit {
    Edit::new(field, spec, changes)
}

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
        // Published keys are no Secret, which would be mounted. These are nowhere.
        (
            "authentication.jwt",
            json!({"authentication": {"jwt": {"jwksUri": "https://nowhere.invalid/keys"}}}),
        ),
        (
            "authentication.anonymous",
            json!({"authentication": {"anonymous": "Deny"}}),
        ),
        (
            "authentication.anonymous, again Allow",
            json!({"authentication": {"anonymous": "Allow"}}),
        ),
        (
            "authentication.jwt, taken out",
            json!({"authentication": {"jwt": null}}),
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
        .map(|(field, spec)| edit(field, spec, CONFIGURATION).until(is_applied))
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
        // The streams' number of copies, which the only server of the tests' NATS refuses: the status says so, and that is
        // all.
        edit(
            "history.replicas",
            json!({"history": {"replicas": 3}}),
            NOTHING,
        )
        .until(copies_are_refused),
        edit(
            "history.replicas, again one",
            json!({"history": {"replicas": 1}}),
            NOTHING,
        )
        .until(has_its_streams),
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
    let keys = |name: Value| json!({"authentication": {"apiKeySecretName": name}});
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
        edit(
            "authentication.apiKeySecretName, where there was none",
            keys(json!("keys")),
            BOTH,
        ),
        edit(
            "authentication.apiKeySecretName, renamed",
            keys(json!("others")),
            BOTH,
        ),
        edit(
            "authentication.apiKeySecretName, taken out",
            keys(Value::Null),
            BOTH,
        ),
        edit("history, taken out", json!({"history": null}), BOTH),
    ]
}

fn is_applied(chat: &Value) -> bool {
    let applied = condition(chat, "ConfigurationApplied");
    applied["status"] == "True"
        && applied["observedGeneration"] == chat["metadata"]["generation"]
        && chat["status"]["updatedReplicas"] == chat["spec"]["replicas"]
}

/// `BrokerReady` has this reason, for the spec as it is.
fn broker_is(chat: &Value, reason: &str) -> bool {
    let broker = condition(chat, "BrokerReady");
    broker["reason"] == reason && broker["observedGeneration"] == chat["metadata"]["generation"]
}

fn copies_are_refused(chat: &Value) -> bool {
    let said = condition(chat, "BrokerReady")["message"].as_str();
    broker_is(chat, "StreamRefused") && said.is_some_and(|said| said.contains("num_replicas"))
}

fn has_its_streams(chat: &Value) -> bool {
    broker_is(chat, "Ready")
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
        let mut edited = Edited::new(&kubectl);

        for edit in live() {
            let before = Seen::now(&kubectl).await;
            let old = edited.served(&before.pods).await;
            let (_, after) = edited.make(&edit).await;
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
            let (before, after) = edited.make(&edit).await;
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
        let none = edit("replicas, to none", json!({"replicas": 0}), GATEWAYS)
            .until(|chat| chat["status"]["replicas"] == 0);
        edited.make(&none).await;
        // Another template waits for pods that go.
        settled(&kubectl, "pods", 60, |pods| {
            pods["items"].as_array().unwrap().is_empty()
        })
        .await;
        for edit in rolling() {
            let (before, after) = edited.make(&edit).await;
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
        edited.is_right();
    });
}
