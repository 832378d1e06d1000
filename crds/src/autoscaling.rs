//! `spec.autoscaling`: replicas by number of connections.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::invalid;

/// Scaling on connections, done by the operator itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [invalid(
    "self.minReplicas <= self.maxReplicas",
    "minReplicas must not be more than maxReplicas",
)]))]
pub struct Autoscaling {
    /// The fewest gateways that run.
    #[serde(default = "min_replicas")]
    #[schemars(range(min = 1, max = 10_000))]
    pub min_replicas: i32,

    /// The most gateways that run.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_replicas: i32,

    /// Connections that one gateway is meant to hold.
    #[serde(default = "target_connections")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub target_connections: u32,

    /// How replicas are taken away.
    #[serde(default)]
    pub scale_down: ScaleDown,
}

/// How replicas are taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleDown {
    /// How long, in seconds, fewer gateways must have been enough before one is taken away.
    #[schemars(range(min = 0, max = 86_400))]
    pub stabilization_window_seconds: u32,
}

impl Default for ScaleDown {
    fn default() -> Self {
        Self {
            stabilization_window_seconds: 600,
        }
    }
}

fn min_replicas() -> i32 {
    2
}

fn target_connections() -> u32 {
    5000
}
