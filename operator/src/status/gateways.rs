//! `GatewaysAvailable`, and the numbers of gateways.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;

use super::conditions::{Draft, types};
use crate::gateways::Readings;
use crate::names;

/// How many gateways there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// That there are to be.
    pub wanted: i32,
    /// That exist.
    pub existing: i32,
    /// That take connections.
    pub ready: i32,
    /// That run the newest template, whatever their configuration.
    pub newest_template: i32,
}

/// The numbers that the Deployment tells.
#[must_use]
pub fn numbers(deployment: &Deployment) -> Numbers {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    let status = deployment.status.clone().unwrap_or_default();
    // What it tells of an older template is not about this one.
    let seen = status.observed_generation >= deployment.metadata.generation;
    Numbers {
        wanted: wanted.unwrap_or(1),
        existing: status.replicas.unwrap_or(0),
        ready: status.ready_replicas.unwrap_or(0),
        newest_template: status.updated_replicas.filter(|_| seen).unwrap_or(0),
    }
}

/// How many gateways run the newest template and say that they serve the configuration with hash `hash`.
#[must_use]
pub fn updated(deployment: &Deployment, pods: &[Pod], readings: &Readings, hash: &str) -> i32 {
    let template = deployment.spec.as_ref();
    let template = template.and_then(|spec| spec.template.metadata.as_ref());
    let newest = template.and_then(|metadata| metadata.annotations.as_ref()?.get(names::TEMPLATE));
    let confirmed = pods.iter().filter(|pod| {
        let metadata = &pod.metadata;
        let of = metadata
            .annotations
            .as_ref()
            .and_then(|all| all.get(names::TEMPLATE));
        let reading = metadata.name.as_ref().and_then(|name| readings.get(name));
        metadata.deletion_timestamp.is_none()
            && of == newest
            && matches!(reading, Some(Ok(reading)) if reading.config_hash == hash)
    });
    let confirmed = i32::try_from(confirmed.count()).unwrap_or(i32::MAX);
    // After `kubectl rollout restart` pods of one template of ours are of two of the Deployment's.
    confirmed.min(numbers(deployment).newest_template)
}

/// Whether there are gateways for clients.
#[must_use]
pub fn condition(deployment: &Deployment, pods: &[Pod]) -> Draft {
    let Numbers {
        wanted,
        ready,
        newest_template,
        existing,
    } = numbers(deployment);
    let type_ = types::GATEWAYS_AVAILABLE;
    let troubles = troubles(deployment, pods);
    let because = match troubles.is_empty() {
        true => String::new(),
        false => format!(": {}", troubles.join("; ")),
    };
    if wanted == 0 {
        return Draft::fails(type_, "ScaledToZero", "no gateway is asked for");
    }
    if ready == 0 {
        let message = format!("none of {wanted} gateways is ready{because}");
        return Draft::fails(type_, "NoGatewayReady", message);
    }
    if newest_template < wanted || existing > newest_template {
        let message = format!(
            "gateways are being replaced: {newest_template} of {wanted} are of the newest template{because}"
        );
        return Draft::holds(type_, "RollingOut", message);
    }
    if ready < wanted {
        let message = format!("{ready} of {wanted} gateways are ready{because}");
        return Draft::holds(type_, "SomeGatewaysReady", message);
    }
    Draft::holds(
        type_,
        "AllGatewaysReady",
        format!("{wanted} of {wanted} gateways are ready"),
    )
}

/// What keeps gateways from getting ready, for people; each reason once, in the pods' order.
fn troubles(deployment: &Deployment, pods: &[Pod]) -> Vec<String> {
    let mut troubles = Vec::new();
    let status = deployment.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    for condition in conditions.into_iter().flatten() {
        // Quotas, admission: no pod was made that could tell.
        if condition.type_ == "ReplicaFailure" && condition.status == "True" {
            troubles.extend(condition.message.clone());
        }
    }
    for pod in pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
    {
        for trouble in pod_troubles(pod) {
            if !troubles.contains(&trouble) {
                troubles.push(trouble);
            }
        }
    }
    troubles
}

fn pod_troubles(pod: &Pod) -> Vec<String> {
    /// What every pod goes through.
    const NORMAL: [&str; 2] = ["ContainerCreating", "PodInitializing"];
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    let conditions = status.conditions.iter().flatten();
    let scheduling = conditions
        .filter(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
        .map(|condition| {
            let reason = condition.reason.as_deref().unwrap_or("Unschedulable");
            format!(
                "{reason}: {}",
                condition.message.as_deref().unwrap_or_default()
            )
        });
    let waiting = status
        .container_statuses
        .iter()
        .flatten()
        .filter_map(|container| {
            let (name, image) = (&container.name, &container.image);
            let waiting = container.state.as_ref()?.waiting.as_ref()?;
            let reason = waiting.reason.as_deref()?;
            if NORMAL.contains(&reason) {
                return None;
            }
            // The message of a back-off names the pod and a time that grows: each would be a write.
            Some(match reason {
                // These two take turns, for the same cause.
                "ErrImagePull" => format!("container {name}: ImagePullBackOff: {image}"),
                _ if reason.contains("Image") => format!("container {name}: {reason}: {image}"),
                _ => format!("container {name}: {reason}"),
            })
        });
    scheduling.chain(waiting).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Truth;
    use super::*;

    fn deployment(wanted: i32, existing: i32, newest: i32, ready: i32) -> Deployment {
        let annotations = json!({names::TEMPLATE: "t"});
        serde_json::from_value(json!({
            "metadata": {"generation": 3},
            "spec": {
                "replicas": wanted, "selector": {},
                "template": {"metadata": {"annotations": annotations}},
            },
            "status": {
                "observedGeneration": 3, "replicas": existing, "updatedReplicas": newest,
                "readyReplicas": ready,
            },
        }))
        .unwrap()
    }

    fn pod(name: &str, template: &str, status: Value) -> Pod {
        let annotations = json!({names::TEMPLATE: template});
        let metadata = json!({"name": name, "annotations": annotations});
        serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap()
    }

    fn reading(hash: &str) -> crate::gateways::Reading {
        let reading = json!({
            "name": "a", "configHash": hash, "connections": 0, "draining": false, "version": "1",
        });
        serde_json::from_value(reading).unwrap()
    }

    #[test]
    fn one_gateway_makes_a_channel_available_and_the_reason_tells_the_rest() {
        for (numbers, truth, reason) in [
            ((0, 0, 0, 0), Truth::False, "ScaledToZero"),
            ((2, 2, 2, 0), Truth::False, "NoGatewayReady"),
            ((2, 2, 2, 1), Truth::True, "SomeGatewaysReady"),
            ((2, 3, 1, 3), Truth::True, "RollingOut"),
            ((2, 3, 2, 3), Truth::True, "RollingOut"),
            ((2, 2, 2, 2), Truth::True, "AllGatewaysReady"),
        ] {
            let (wanted, existing, newest, ready) = numbers;
            let draft = condition(&deployment(wanted, existing, newest, ready), &[]);
            assert_eq!(
                (draft.truth, draft.reason.as_str()),
                (truth, reason),
                "{numbers:?}"
            );
        }
    }

    #[test]
    fn why_no_gateway_gets_ready_is_told_once() {
        let waiting = |reason: &str| {
            json!({"containerStatuses": [{
                "name": "gateway", "image": "linnet:1", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"waiting": {"reason": reason, "message": "back-off 10s"}},
            }]})
        };
        let unscheduled = json!({"conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room",
        }]});
        let pods = [
            pod("a", "t", waiting("ImagePullBackOff")),
            pod("b", "t", waiting("ErrImagePull")),
            pod("crashing", "t", waiting("CrashLoopBackOff")),
            pod("c", "t", waiting("ContainerCreating")),
            pod("d", "t", unscheduled),
        ];
        let draft = condition(&deployment(4, 4, 4, 0), &pods);
        assert_eq!(
            draft.message,
            "none of 4 gateways is ready: container gateway: ImagePullBackOff: linnet:1; \
             container gateway: CrashLoopBackOff; Unschedulable: no room"
        );
    }

    #[test]
    fn a_gateway_is_updated_when_template_and_configuration_are_the_newest() {
        let pods = [
            pod("new", "t", json!({})),
            pod("old-configuration", "t", json!({})),
            pod("old-template", "s", json!({})),
            pod("silent", "t", json!({})),
        ];
        let readings: Readings = [
            ("new".to_owned(), Ok(reading("h"))),
            ("old-configuration".to_owned(), Ok(reading("g"))),
            ("old-template".to_owned(), Ok(reading("h"))),
        ]
        .into();
        assert_eq!(updated(&deployment(3, 4, 3, 3), &pods, &readings, "h"), 1);
        assert_eq!(updated(&deployment(3, 4, 0, 3), &pods, &readings, "h"), 0);
    }
}
