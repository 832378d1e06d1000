//! What an edit changes: the children, and whether the pods are replaced.

use serde_json::{Value, json};

use super::{children, nats, one};
use crate::children::Child;

/// Which children an edit of `from` to `to` changes.
fn changed(from: Value, to: Value) -> Vec<Child> {
    let (from, to) = (children(from), children(to));
    Child::ALL
        .into_iter()
        .filter(|child| from.get(child) != to.get(child))
        .collect()
}

fn template(more: Value) -> Value {
    one(Child::Deployment, more)["spec"]["template"].take()
}

fn with(mut base: Value, more: &Value) -> Value {
    let fields = base.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    base
}

#[test]
fn a_live_change_changes_the_config_map_alone() {
    for more in [
        json!({"rooms": [{"match": "a"}]}),
        json!({"limits": {"messagesPerSecond": 7}}),
        json!({"heartbeat": {"intervalSeconds": 7}}),
        json!({"telemetry": {"logLevel": "debug"}}),
        json!({"telemetry": {"samplingRatePerMillion": 7}}),
        json!({"console": "Enabled"}),
        json!({"handler": {"url": "http://back-end", "events": ["request"]}}),
        json!({"transports": {"webSocket": {"compression": "PerMessage"}}}),
        json!({"authentication": {"anonymous": "Allow", "allowedOrigins": ["*"]}}),
    ] {
        for base in [json!({}), json!({"broker": nats()})] {
            let edited = with(base.clone(), &more);
            assert_eq!(changed(base, edited), [Child::ConfigMap], "{more}");
        }
    }
    let history = |more| json!({"broker": nats(), "history": more});
    for more in [
        json!({"maxMessagesPerRoom": 7}),
        json!({"maxAgeSeconds": 700}),
        json!({"deduplicationSeconds": 7}),
    ] {
        let changed = changed(history(json!({})), history(more.clone()));
        assert_eq!(changed, [Child::ConfigMap], "{more}");
    }
}

#[test]
fn these_changes_roll_the_pods() {
    let base = || json!({"broker": nats()});
    for more in [
        json!({"gateway": {"image": "other"}}),
        json!({"gateway": {"env": [{"name": "A", "value": "b"}]}}),
        json!({"gateway": {"podTemplate": {"spec": {"nodeSelector": {"a": "b"}}}}}),
        json!({"broker": {"nats": {"urls": ["nats://other:4222"], "credentialsSecretName": "creds"}}}),
        json!({"broker": {"nats": {"urls": ["nats://n:4222"]}}}),
        json!({"rollout": {"drainSeconds": 7}}),
        json!({"expose": {"path": "/chat"}}),
        json!({"history": {}}),
    ] {
        let edited = with(base(), &more);
        assert_ne!(template(base()), template(edited), "{more}");
    }
}

#[test]
fn these_changes_change_children_and_neither_pods_nor_configuration() {
    let base = || json!({"broker": nats(), "history": {}});
    let route = json!({"parentRefs": [{"name": "g"}]});
    for (more, children) in [
        (json!({"replicas": 3}), vec![Child::Deployment]),
        (json!({"rollout": {"maxSurge": 1}}), vec![Child::Deployment]),
        (
            json!({"service": {"type": "NodePort"}}),
            vec![Child::Service],
        ),
        (json!({"expose": {"hosts": ["a.example"]}}), vec![]),
        (json!({"expose": {"ingress": {}}}), vec![Child::Ingress]),
        (
            json!({"expose": {"httpRoute": route}}),
            vec![Child::HttpRoute],
        ),
        (
            json!({"networkPolicy": {"mode": "None"}}),
            vec![Child::NetworkPolicy],
        ),
        (json!({"history": {"replicas": 3}}), vec![]),
        (json!({"autoscaling": {"maxReplicas": 3}}), vec![]),
    ] {
        let edited = with(base(), &more);
        assert_eq!(changed(base(), edited.clone()), children, "{more}");
        assert_eq!(template(base()), template(edited), "{more}");
    }
}
