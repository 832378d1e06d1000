//! `spec.gateway`: how the gateways' pods run.

use k8s_openapi::api::core::v1::EnvVar;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::object::FreeObject;
use crate::patterns::OBJECT_NAME;

/// How the gateways' pods run. Any change replaces the pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Gateway {
    /// Image of the gateway. Absent: the operator's own release.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,

    /// When the image is pulled. Absent: as Kubernetes decides from the tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,

    /// Secrets with credentials for the image's registry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["name"],
    ))]
    pub image_pull_secrets: Vec<SecretReference>,

    /// Requests and limits of the gateway's container, a ResourceRequirements. The memory limit
    /// also sizes queueMemory and historyMemory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<FreeObject>,

    /// Environment of the gateway's container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["name"],
    ))]
    pub env: Vec<EnvVar>,

    /// Anything else of a PodTemplateSpec: merged last into the template that the operator builds.
    /// Unknown fields are refused when it is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<FreeObject>,
}

/// When the kubelet pulls the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// At every start of a pod.
    Always,
    /// Where the node has none of that name.
    IfNotPresent,
    /// Not at all: the node must have it.
    Never,
}

/// A Secret in the channel's own namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub name: String,
}
