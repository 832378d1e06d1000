//! Annotations of pods.

use futures_util::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use crate::names;

/// What is to be written at a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotations {
    /// The pod's name.
    pub pod: String,
    /// Its uid: another one of that name is left alone.
    pub uid: String,
    /// A JSON object of names and texts; `null` takes one away.
    pub values: Value,
}

/// Annotates pods. One that is gone meanwhile needs none.
///
/// # Errors
/// The first thing that the API server refused.
pub async fn annotate(
    client: &Client,
    namespace: &str,
    annotations: impl IntoIterator<Item = Annotations>,
) -> kube::Result<()> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let params = PatchParams {
        field_manager: Some(names::OPERATOR.into()),
        ..PatchParams::default()
    };
    let patches = annotations.into_iter().map(|one| {
        let (api, params) = (api.clone(), params.clone());
        async move {
            let patch = json!({"metadata": {"uid": one.uid, "annotations": one.values}});
            match api
                .patch_metadata(&one.pod, &params, &Patch::Merge(patch))
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
