//! What this version does not do yet, and what a gateway does not do on its own.
//!
//! The API is complete from its first version; behaviour arrives later. A manifest that asks for
//! behaviour that is missing is refused rather than served differently from what it says. When a
//! behaviour arrives, its lines here go. Fields that the operator acts on mean nothing to a gateway
//! that serves a manifest alone, so it refuses them likewise.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::expose::Expose;
use crate::gateway::Gateway;
use crate::network_policy::NetworkPolicy;
use crate::rollout::Rebalance;
use crate::rooms::Delivery;
use crate::service::Service;
use crate::validate::Problem;
use crate::{RealtimeChannel, RealtimeChannelSpec};

const MISSING: &str = "not yet supported by this version of the gateway";
const OPERATORS: &str =
    "not supported by a gateway on its own: the operator acts on it. Leave it out here";
/// Under the operator the default broker may serve; a gateway that has none can't.
const WORKER_WITHOUT_BROKER: &str = "Worker needs spec.broker: the built-in broker has no workers";

/// The same of a handler that is asked over it.
const HANDLER_WITHOUT_BROKER: &str =
    "natsSubject needs spec.broker: without NATS a handler is asked by url";

/// A field of the spec, and whether it asks for what is missing. Without a broker there is one gateway and one store in
/// its memory.
type Unsupported<T> = (&'static str, fn(&T) -> bool);

/// What the operator does, and nobody does for a gateway that serves a manifest alone.
const ALONE: &[Unsupported<RealtimeChannelSpec>] = &[
    ("replicas", |s| s.replicas != 1 && s.broker.is_none()),
    ("autoscaling", |s| s.autoscaling.is_some()),
    ("gateway", |s| s.gateway != Gateway::default()),
    ("rollout.maxSurge", |s| {
        s.rollout.max_surge != IntOrString::String("100%".into())
    }),
    ("rollout.rebalance", |s| {
        s.rollout.rebalance != Rebalance::Disabled
    }),
    ("service", |s| s.service != Service::default()),
    ("expose.hosts", |s| {
        s.expose.hosts != Expose::default().hosts
    }),
    ("expose.ingress", |s| s.expose.ingress.is_some()),
    ("expose.httpRoute", |s| s.expose.http_route.is_some()),
    ("networkPolicy", |s| {
        s.network_policy != NetworkPolicy::default()
    }),
];

/// What nobody does yet.
const SPEC: &[Unsupported<RealtimeChannelSpec>] = &[
    ("history.replicas", |s| {
        s.broker.is_none() && s.history.as_ref().is_some_and(|h| h.replicas != 1)
    }),
    ("history.partitions", |s| {
        s.broker.is_none() && s.history.as_ref().is_some_and(|h| h.partitions != 1)
    }),
];

/// The fields of `channel` that ask for what a gateway of this version does not do on its own.
#[must_use]
pub fn unsupported_alone(channel: &RealtimeChannel) -> Vec<Problem> {
    let mut problems = find(ALONE, &channel.spec, "spec", OPERATORS);
    problems.extend(unsupported(channel));
    problems
}

/// The fields of `channel` that ask for what this version does not do, with the operator neither.
#[must_use]
pub fn unsupported(channel: &RealtimeChannel) -> Vec<Problem> {
    let mut problems = find(SPEC, &channel.spec, "spec", MISSING);
    for (i, rule) in channel.spec.rooms.iter().enumerate() {
        let path = format!("spec.rooms[{i}]");
        if rule.delivery == Delivery::Worker && channel.spec.broker.is_none() {
            let path = format!("{path}.delivery");
            problems.push(Problem::new(path, WORKER_WITHOUT_BROKER));
        }
    }
    let handler = channel.spec.handler.as_ref();
    if handler.is_some_and(|h| h.nats_subject.is_some()) && channel.spec.broker.is_none() {
        let path = "spec.handler.natsSubject";
        problems.push(Problem::new(path, HANDLER_WITHOUT_BROKER));
    }
    problems
}

fn find<T>(table: &[Unsupported<T>], value: &T, parent: &str, message: &str) -> Vec<Problem> {
    let asked = table.iter().filter(|(_, asks)| asks(value));
    asked
        .map(|(field, _)| Problem::new(format!("{parent}.{field}"), message))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_line_of_the_tables_names_its_field_and_no_other() {
        let route = json!({"parentRefs": [{"name": "g"}]});
        let cases = [
            ("replicas", json!({"replicas": 0})),
            ("autoscaling", json!({"autoscaling": {"maxReplicas": 3}})),
            ("gateway", json!({"gateway": {"image": "x"}})),
            ("rollout.maxSurge", json!({"rollout": {"maxSurge": 1}})),
            (
                "rollout.rebalance",
                json!({"rollout": {"rebalance": "Paced"}}),
            ),
            ("service", json!({"service": {"type": "NodePort"}})),
            ("expose.hosts", json!({"expose": {"hosts": ["a.example"]}})),
            ("expose.ingress", json!({"expose": {"ingress": {}}})),
            ("expose.httpRoute", json!({"expose": {"httpRoute": route}})),
            ("networkPolicy", json!({"networkPolicy": {"mode": "None"}})),
            ("history.replicas", json!({"history": {"replicas": 3}})),
            ("history.partitions", json!({"history": {"partitions": 2}})),
        ];
        assert_eq!(cases.len(), ALONE.len() + SPEC.len());
        for (field, spec) in cases {
            let channel = RealtimeChannel::new("chat", serde_json::from_value(spec).unwrap());
            let operators = ALONE.iter().any(|(name, _)| *name == field);
            let message = if operators { OPERATORS } else { MISSING };
            let problem = Problem::new(format!("spec.{field}"), message);
            let alone = vec![problem];
            assert_eq!(unsupported_alone(&channel), alone);
            let under_the_operator = if operators { vec![] } else { alone };
            assert_eq!(unsupported(&channel), under_the_operator);
        }
    }

    #[test]
    fn workers_need_a_broker() {
        let rooms = json!([{"match": "a"}, {"match": "b", "delivery": "Worker"}]);
        let spec = json!({"rooms": rooms, "history": {}});
        let mut channel = RealtimeChannel::new("chat", serde_json::from_value(spec).unwrap());
        let problem = Problem::new("spec.rooms[1].delivery", WORKER_WITHOUT_BROKER);
        assert_eq!(unsupported(&channel), [problem]);
        let broker = json!({"nats": {"urls": ["nats://n"]}});
        channel.spec.broker = serde_json::from_value(broker).unwrap();
        assert_eq!(unsupported(&channel), []);
    }

    #[test]
    fn a_handler_that_is_asked_over_nats_needs_a_broker() {
        let with = |handler| {
            let spec = json!({ "handler": handler });
            RealtimeChannel::new("chat", serde_json::from_value(spec).unwrap())
        };
        let url = with(json!({"url": "http://b", "events": ["connect"]}));
        assert_eq!(unsupported_alone(&url), []);
        let mut nats = with(json!({"natsSubject": "b", "events": ["request"]}));
        let problem = Problem::new("spec.handler.natsSubject", HANDLER_WITHOUT_BROKER);
        assert_eq!(unsupported(&nats), [problem]);
        let broker = json!({"nats": {"urls": ["nats://n"]}});
        nats.spec.broker = serde_json::from_value(broker).unwrap();
        assert_eq!(unsupported(&nats), []);
    }

    #[test]
    fn copies_and_partitions_need_a_broker() {
        let broker = json!({"nats": {"urls": ["nats://n"]}});
        let history = json!({"replicas": 3, "partitions": 8});
        let spec = json!({"broker": broker, "history": history, "replicas": 2});
        let channel = RealtimeChannel::new("chat", serde_json::from_value(spec).unwrap());
        assert_eq!(unsupported_alone(&channel), []);
    }

    #[test]
    fn the_defaults_are_supported() {
        let channel = RealtimeChannel::new("chat", RealtimeChannelSpec::default());
        assert_eq!(unsupported_alone(&channel), []);
    }
}
