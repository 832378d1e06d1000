//! `spec.telemetry`: traces and logs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::patterns::HTTP_URL;
use crate::toggle::Permission;

/// Traces and logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Telemetry {
    /// Collector that traces are sent to over OTLP. Absent: none are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 2048),
        regex(pattern = HTTP_URL)
    )]
    pub otlp_endpoint: Option<String>,

    /// How many of a million connections are traced.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub sampling_rate_per_million: u32,

    /// Allow lets a client's trace context be the parent of its connection's; Deny only links it.
    pub trust_client_traces: Permission,

    /// The least important lines that are logged: trace, debug, info, warn or error.
    pub log_level: LogLevel,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            sampling_rate_per_million: 100_000,
            trust_client_traces: Permission::Deny,
            log_level: LogLevel::Info,
        }
    }
}

/// Importance of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Every step.
    Trace,
    /// What helps to find a fault.
    Debug,
    /// What an operator of the channel wants to know.
    #[default]
    Info,
    /// What may need attention.
    Warn,
    /// What needs it.
    Error,
}

impl LogLevel {
    /// The name as it is written in the manifest and understood by log filters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}
