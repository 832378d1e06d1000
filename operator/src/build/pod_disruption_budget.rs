//! How many gateways an eviction may take at once.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::meta;
use crate::children::Child;
use crate::names;
use crate::validate::Validated;

/// Builds the PodDisruptionBudget.
#[must_use]
pub fn build(channel: &Validated) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: meta::of(Child::PodDisruptionBudget, channel),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(names::selector(&channel.name)),
                ..LabelSelector::default()
            }),
            // One that never gets ready must not keep a node from being drained.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
