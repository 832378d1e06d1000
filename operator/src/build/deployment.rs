//! The gateways.

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{meta, pod};
use crate::children::Child;
use crate::names;
use crate::validate::Validated;

/// Old templates that the API server keeps. The channel is what is rolled back, so they only serve those who look.
const REVISIONS: i32 = 2;

/// How long a rollout that does not move may take, in seconds, beyond a drain: Kubernetes' default.
const STUCK: i32 = 600;

/// Builds the Deployment, with so many gateways.
#[must_use]
pub fn build(channel: &Validated, replicas: i32) -> Deployment {
    Deployment {
        metadata: meta::of(Child::Deployment, channel),
        spec: Some(DeploymentSpec {
            replicas: Some(replicas),
            selector: LabelSelector {
                match_labels: Some(names::selector(&channel.name)),
                ..LabelSelector::default()
            },
            strategy: Some(strategy(channel)),
            revision_history_limit: Some(REVISIONS),
            progress_deadline_seconds: Some(progress_deadline(channel)),
            template: pod::template(channel),
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

/// Gives it so many gateways.
pub fn scale(deployment: &mut Deployment, replicas: i32) {
    if let Some(spec) = &mut deployment.spec {
        spec.replicas = Some(replicas);
    }
}

/// The hash of a Deployment's template, which its annotation tells.
#[must_use]
pub fn template_hash(deployment: &Deployment) -> Option<String> {
    let metadata = deployment.spec.as_ref()?.template.metadata.as_ref()?;
    metadata.annotations.as_ref()?.get(names::TEMPLATE).cloned()
}

/// Seconds without progress after which a rollout is told to have failed. Where the old gateway goes before the new one
/// comes, all of its drain is a time without progress.
fn progress_deadline(channel: &Validated) -> i32 {
    let grace = i32::try_from(pod::grace_seconds(&channel.spec)).unwrap_or(i32::MAX);
    STUCK.saturating_add(grace)
}

/// New gateways first, then the old ones drain; but two that are each their own broker would tear the channel's rooms
/// apart, so an embedded one goes before its successor comes.
fn strategy(channel: &Validated) -> DeploymentStrategy {
    if channel.is_embedded() {
        return DeploymentStrategy {
            type_: Some("Recreate".into()),
            rolling_update: None,
        };
    }
    DeploymentStrategy {
        type_: Some("RollingUpdate".into()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(channel.spec.rollout.max_surge.clone()),
            max_unavailable: Some(IntOrString::Int(0)),
        }),
    }
}
