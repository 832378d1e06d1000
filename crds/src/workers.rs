//! `spec.workers`: how messages of rooms with `delivery: Worker` are shared out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::immutable;

/// How workers get what is published to rooms with `delivery: Worker`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Workers {
    /// Parts that the rooms are spread over. Each is worked by one worker at a time, so this is how
    /// many can be busy at once. Immutable.
    #[schemars(
        range(min = 1, max = 64),
        extend("x-kubernetes-validations" = [immutable("partitions")])
    )]
    pub partitions: u32,

    /// Seconds that a worker has for one message. Then another one gets it.
    #[schemars(range(min = 1, max = 3600))]
    pub acknowledge_seconds: u32,

    /// How often a message is tried before it goes to the dead letters.
    #[schemars(range(min = 1, max = 100))]
    pub max_deliveries: u32,
}

impl Default for Workers {
    fn default() -> Self {
        Self {
            partitions: 8,
            acknowledge_seconds: 10,
            max_deliveries: 5,
        }
    }
}
