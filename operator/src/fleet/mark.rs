//! Tells the ReplicaSet's controller which pods are to go first.

use futures_util::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use crate::{names, scaling};

/// A pod whose deletion cost is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The pod's name.
    pub pod: String,
    /// Its uid.
    pub uid: String,
    /// The cost; `None` takes it away.
    pub cost: Option<&'static str>,
}

/// Writes the marks. A pod that is gone meanwhile needs none.
///
/// # Errors
/// The first thing that the API server refused. The number of gateways must not fall then: others would go.
pub async fn mark(client: &Client, namespace: &str, marks: Vec<Mark>) -> kube::Result<()> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let params = PatchParams {
        field_manager: Some(names::OPERATOR.into()),
        ..PatchParams::default()
    };
    let patches = marks.into_iter().map(|mark| {
        let (api, params) = (api.clone(), params.clone());
        async move {
            let annotations = json!({scaling::COST_ANNOTATION: mark.cost});
            let patch = json!({"metadata": {"uid": mark.uid, "annotations": annotations}});
            match api
                .patch_metadata(&mark.pod, &params, &Patch::Merge(patch))
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
