//! `spec.networkPolicy`: who may reach the gateways' ports.

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who may reach the gateways' ports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicy {
    /// Managed makes a NetworkPolicy: the public port is open, the internal one only to the own
    /// namespace, the operator and `internalFrom`. None makes none.
    pub mode: NetworkPolicyMode,

    /// Who else may reach the internal port (metrics, HTTP API, gRPC).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub internal_from: Vec<NetworkPolicyPeer>,
}

/// Whether the operator makes a NetworkPolicy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NetworkPolicyMode {
    /// It does.
    #[default]
    Managed,
    /// It does not.
    None,
}
