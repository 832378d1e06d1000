//! Live configuration: making the kubelets refresh the gateways' mounts.
//!
//! A kubelet takes up to 90 s to bring a changed ConfigMap into a running pod, but looks at once when an annotation of
//! the pod changes (0.3–0.9 s). So pods are annotated with the configuration's hash, and again, ever more patiently,
//! while their gateway says that it serves another. [`Nudges`] decides, [`annotate`] writes.

mod nudges;

use kube::Client;
use serde_json::json;

use crate::annotate::{self, Annotations};
use crate::names;

pub use nudges::{Annotation, Nudges};

/// Annotates pods. One that is gone meanwhile needs none.
///
/// # Errors
/// The first thing that the API server refused.
pub async fn annotate(
    client: &Client,
    namespace: &str,
    annotations: Vec<Annotation>,
) -> kube::Result<()> {
    let annotations = annotations.into_iter().map(|annotation| Annotations {
        pod: annotation.pod,
        uid: annotation.uid,
        values: json!({
            names::CONFIGURATION: annotation.hash,
            names::NUDGE: annotation.nudge.map(|nudge| nudge.to_string()),
        }),
    });
    annotate::annotate(client, namespace, annotations).await
}
