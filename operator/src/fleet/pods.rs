//! Pods of the API server as `scaling` and `rollout` see them.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::gateways::Readings;
use crate::{names, rollout, scaling};

/// A pod as scaling sees it.
pub(super) fn gateway(pod: &Pod, readings: &Readings) -> scaling::Gateway {
    let name = pod.name_any();
    let reading = readings
        .get(&name)
        .and_then(|reading| reading.as_ref().ok());
    scaling::Gateway {
        connections: reading.map(|reading| reading.connections),
        ready: is_ready(pod),
        leaving: pod.metadata.deletion_timestamp.is_some(),
        cost: pod.annotations().get(scaling::COST_ANNOTATION).cloned(),
        pod: name,
    }
}

/// A pod as rollouts see it; `newest` is the hash of the Deployment's template.
pub(super) fn pod(pod: &Pod, newest: Option<&str>) -> rollout::Pod {
    let template = pod.annotations().get(names::TEMPLATE);
    rollout::Pod {
        name: pod.name_any(),
        ready: is_ready(pod),
        newest: template.map(String::as_str) == newest,
        going_until: pod.metadata.deletion_timestamp.as_ref().map(|time| time.0),
    }
}

/// Whether it runs: one that has ended has no connections, and is not one of the channel's gateways any more.
pub(super) fn counts(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    !matches!(phase, Some("Succeeded" | "Failed"))
}

/// How many pods are there, those that are past their grace aside.
pub fn remaining(pods: &[Pod], now: Timestamp) -> usize {
    let there = pods.iter().filter(|pod| counts(pod));
    let there = there.map(|one| self::pod(one, None));
    there
        .filter(|pod| pod.going_until.is_none() || pod.is_going(now))
        .count()
}

/// When a pod's node took it up, which never changes; before that, when it was made.
pub fn started(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref();
    let started = status.and_then(|status| status.start_time.as_ref());
    let made = pod.metadata.creation_timestamp.as_ref();
    started.or(made).map(|time| time.0)
}

/// Whether a pod takes connections.
pub fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref());
    conditions
        .unwrap_or_default()
        .iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
