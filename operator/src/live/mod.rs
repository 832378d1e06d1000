//! Live configuration: making the kubelets refresh the gateways' mounts.
//!
//! A kubelet takes up to 90 s to bring a changed ConfigMap into a running pod, but looks at once when an annotation of
//! the pod changes (0.3–0.9 s). So pods are annotated with the configuration's hash, and again, ever more patiently,
//! while their gateway says that it serves another. [`Nudges`] decides, [`annotate`] writes.

mod nudges;

use futures_util::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

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
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let params = PatchParams {
        field_manager: Some(names::OPERATOR.into()),
        ..PatchParams::default()
    };
    let patches = annotations.into_iter().map(|annotation| {
        let (api, params) = (api.clone(), params.clone());
        async move {
            let patch = json!({"metadata": {"uid": annotation.uid, "annotations": {
                names::CONFIGURATION: annotation.hash,
                names::NUDGE: annotation.nudge.map(|nudge| nudge.to_string()),
            }}});
            match api
                .patch_metadata(&annotation.pod, &params, &Patch::Merge(patch))
                .await
            {
                Ok(_) => Ok(()),
                Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {
                    Ok(())
                }
                Err(error) => Err(error),
            }
        }
    });
    join_all(patches).await.into_iter().collect()
}
