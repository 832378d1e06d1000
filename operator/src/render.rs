//! A channel's children without a cluster: what the operator would apply.

use linnet_crds::RealtimeChannel;
use serde_json::Value;

use crate::build::build;
use crate::decision::Decision;
use crate::settings::Settings;
use crate::validate::{Rejection, validate};

/// Why a manifest can't be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// Correct what it names.
    #[error("{0}")]
    Invalid(#[from] linnet_crds::Problems),
    /// What the channel's condition `Accepted` would say.
    #[error("{}: {}", .0.reason, .0.message)]
    Rejected(Rejection),
    /// A fault of the operator.
    #[error("what was built can't be written down: {0}")]
    Json(#[from] serde_json::Error),
}

/// The children of the channel in `yaml`, in the order in which they are applied.
///
/// # Errors
/// Everything that is wrong with the manifest.
pub fn render(yaml: &str, settings: &Settings) -> Result<Vec<Value>, RenderError> {
    let channel: RealtimeChannel = linnet_crds::parse(yaml)?;
    let validated = validate(&channel, &[], settings).map_err(RenderError::Rejected)?;
    let decision = Decision::plain(&validated.spec, None);
    let manifests = build(&validated, decision.replicas).manifests()?;
    Ok(manifests
        .into_iter()
        .filter_map(|(_, manifest)| manifest)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &str = "\
apiVersion: realtime.linnet.dev/v1alpha1
kind: RealtimeChannel
metadata: {name: chat, namespace: talk}
spec:
  authentication: {anonymous: Allow}
";

    #[test]
    fn the_smallest_channel_has_these_children() {
        let children = render(SMALLEST, &Settings::plain()).unwrap();
        let kinds: Vec<_> = children
            .iter()
            .map(|child| child["kind"].as_str().unwrap())
            .collect();
        assert_eq!(
            kinds,
            [
                "ServiceAccount",
                "ConfigMap",
                "Service",
                "Service",
                "NetworkPolicy",
                "PodDisruptionBudget",
                "Deployment",
            ]
        );
        for child in &children {
            assert_eq!(child["metadata"]["namespace"], "talk");
            assert!(
                child["metadata"].get("ownerReferences").is_none(),
                "there is no owner"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_what_is_refused_with_its_reason() {
        let unknown = render(&format!("{SMALLEST}  nonsense: 1\n"), &Settings::plain());
        assert!(
            unknown
                .unwrap_err()
                .to_string()
                .contains("line 6: spec.nonsense")
        );
        let alone = render(&format!("{SMALLEST}  replicas: 2\n"), &Settings::plain());
        assert!(
            alone
                .unwrap_err()
                .to_string()
                .starts_with("BrokerRequired: ")
        );
    }
}
