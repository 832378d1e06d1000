//! Tells the ReplicaSet's controller which pods are to go first.

use kube::Client;
use serde_json::json;

use crate::annotate::{Annotations, annotate};
use crate::scaling;

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
    let annotations = marks.into_iter().map(|mark| Annotations {
        pod: mark.pod,
        uid: mark.uid,
        values: json!({scaling::COST_ANNOTATION: mark.cost}),
    });
    annotate(client, namespace, annotations).await
}
