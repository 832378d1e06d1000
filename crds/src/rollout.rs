//! `spec.rollout`: how gateways are replaced.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::rules::invalid;

/// How gateways are replaced: new ones first, then the old ones drain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Rollout {
    /// Window, in seconds, over which a stopping gateway moves its connections.
    #[schemars(range(min = 0, max = 3600))]
    pub drain_seconds: u32,

    /// How many gateways may run above `replicas` during a rollout: a number or a percentage.
    #[schemars(schema_with = "max_surge")]
    pub max_surge: IntOrString,

    /// Paced moves connections to new gateways after a scale-up, at the pace of a drain; it needs
    /// service.sessionAffinity: None. Disabled waits for clients to come and go.
    pub rebalance: Rebalance,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            drain_seconds: 60,
            max_surge: IntOrString::String("100%".into()),
            rebalance: Rebalance::Disabled,
        }
    }
}

/// What happens to connections after a scale-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Rebalance {
    /// They stay where they are.
    #[default]
    Disabled,
    /// Some are asked to move to the new gateways, at a pace.
    Paced,
}

/// Zero is out: no gateway goes before its successor is ready, so a rollout would never move.
fn max_surge(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 4,
        "x-kubernetes-validations": [invalid(
            "string(self).matches('^([1-9][0-9]{0,3}|10000|([1-9][0-9]?|100)%)$')",
            "must be a number from 1 to 10000, or a percentage from 1% to 100%",
        )],
    })
}
