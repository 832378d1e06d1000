//! The answer of one gateway to `GET /status` on its internal port.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What a gateway says. Fields that a newer gateway adds are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// The gateway's name: the pod's.
    pub name: String,
    /// Hash of the configuration in force.
    pub config_hash: String,
    /// Why a newer configuration was not taken, a problem a line.
    #[serde(default)]
    pub config_error: Option<String>,
    /// What it passes over of the configuration in force, as it is older than the field, a problem a line.
    #[serde(default)]
    pub config_warning: Option<String>,
    /// Connections that are open.
    pub connections: u32,
    /// Those of them that are on their way to other gateways; none at a gateway from before there was such a thing.
    #[serde(default)]
    pub moving: u32,
    /// Whether it moves them away.
    pub draining: bool,
    /// Its version.
    pub version: String,
}

/// Why there is no reading of a pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// Its network is not there yet.
    #[error("the pod has no address yet")]
    NoAddress,
    /// Look at the pod, and at what the NetworkPolicy lets through.
    #[error("its internal port can't be reached: {0}")]
    Unreachable(String),
    /// It may be overloaded, or a NetworkPolicy swallows the packets.
    #[error("no answer in time")]
    TimedOut,
    /// Something else may listen there.
    #[error("the answer is no status: {0}")]
    Malformed(String),
    /// The pod's address is another's by now.
    #[error("{0} answers at the pod's address")]
    AnotherPod(String),
}

/// What each pod said, by its name.
pub type Readings = BTreeMap<String, Result<Reading, Missing>>;

impl Reading {
    /// Reads the answer of the pod `pod`.
    ///
    /// # Errors
    /// When it is no status, or another pod's.
    pub(super) fn parse(pod: &str, body: &[u8]) -> Result<Self, Missing> {
        let reading: Self =
            serde_json::from_slice(body).map_err(|error| Missing::Malformed(error.to_string()))?;
        if reading.name != pod {
            return Err(Missing::AnotherPod(reading.name));
        }
        Ok(reading)
    }
}
