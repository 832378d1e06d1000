//! `spec.broker`: what connects the gateways of a channel.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::patterns::{NATS_URL, OBJECT_NAME};

/// What connects the gateways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Broker {
    /// NATS 2.11 or newer, with JetStream where the channel keeps history.
    pub nats: Nats,
}

/// A NATS system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Nats {
    /// Servers to try, such as `nats://nats.example:4222`.
    #[schemars(
        length(min = 1, max = 16),
        inner(length(min = 1, max = 512), regex(pattern = NATS_URL)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub urls: Vec<String>,

    /// Secret with `nats.creds`, `token`, or `username` and `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub credentials_secret_name: Option<String>,

    /// How the servers are verified, and the gateways to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<NatsTls>,
}

/// TLS to NATS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NatsTls {
    /// Secret with `ca.crt`. Absent: public authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub ca_secret_name: Option<String>,

    /// Secret with `tls.crt` and `tls.key`, the gateways' certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub cert_secret_name: Option<String>,
}
