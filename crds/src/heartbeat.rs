//! `spec.heartbeat`: how dead connections are found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Pings, and the wait for an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Heartbeat {
    /// Seconds between pings. Keep it below the idle time-outs of proxies on the way.
    #[schemars(range(min = 1, max = 3600))]
    pub interval_seconds: u32,

    /// Seconds after a ping in which something must be heard.
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: u32,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self {
            interval_seconds: 25,
            timeout_seconds: 10,
        }
    }
}
