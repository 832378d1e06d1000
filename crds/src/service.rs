//! `spec.service`: the Service in front of the gateways.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::{annotations, forbidden_at};

/// The Service in front of the gateways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    forbidden_at(
        ".externalTrafficPolicy",
        "!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'",
        "externalTrafficPolicy needs type NodePort or LoadBalancer",
    ),
    forbidden_at(
        ".loadBalancerClass",
        "!has(self.loadBalancerClass) || self.type == 'LoadBalancer'",
        "loadBalancerClass needs type LoadBalancer",
    ),
]))]
pub struct Service {
    /// ClusterIP, NodePort or LoadBalancer.
    #[serde(rename = "type")]
    pub type_: ServiceType,

    /// Annotations of the Service.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations")]
    pub annotations: BTreeMap<String, String>,

    /// ClientIP keeps a client's address on one gateway. None spreads every connection anew.
    pub session_affinity: SessionAffinity,

    /// How long, in seconds, an idle client's address stays on its gateway.
    #[schemars(range(min = 1, max = 86_400))]
    pub session_affinity_timeout_seconds: u32,

    /// Local keeps the client's address and skips nodes without a gateway. Cluster uses every node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<ExternalTrafficPolicy>,

    /// The load balancer implementation. Immutable once the Service has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 316))]
    pub load_balancer_class: Option<String>,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            type_: ServiceType::ClusterIp,
            annotations: BTreeMap::new(),
            session_affinity: SessionAffinity::ClientIp,
            session_affinity_timeout_seconds: 10_800,
            external_traffic_policy: None,
            load_balancer_class: None,
        }
    }
}

/// How a Service is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// Inside the cluster.
    #[default]
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// On a port of every node.
    NodePort,
    /// Through a load balancer of the installation.
    LoadBalancer,
}

/// Whether an address stays on one gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SessionAffinity {
    /// It does.
    #[default]
    #[serde(rename = "ClientIP")]
    ClientIp,
    /// It does not.
    None,
}

/// Which nodes take traffic from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExternalTrafficPolicy {
    /// All of them.
    Cluster,
    /// Those with a gateway.
    Local,
}
