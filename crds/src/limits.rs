//! `spec.limits`: what one client, and a gateway as a whole, may use.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::{Quantity, between};

/// Bounds per connection, per user, per address and per gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Largest payload of a message.
    #[schemars(extend("x-kubernetes-validations" = [between("1", "16Mi")]))]
    pub message_size: Quantity,

    /// Messages that a connection may send in a second, in the long run.
    #[schemars(range(min = 1, max = 100_000))]
    pub messages_per_second: u32,

    /// Messages that a connection may send at once before messagesPerSecond holds it.
    #[schemars(range(min = 1, max = 100_000))]
    pub message_burst: u32,

    /// Bytes that a connection may send in a second. Absent: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [between("1", "16Gi")]))]
    pub bytes_per_second: Option<Quantity>,

    /// Rooms that a connection may subscribe to in a second. Absent: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub subscribes_per_second: Option<u32>,

    /// Rooms that a connection may be subscribed to at once.
    #[schemars(range(min = 1, max = 10_000))]
    pub rooms_per_connection: u32,

    /// Connections of one user. A newer one takes the oldest one's place.
    #[schemars(range(min = 1, max = 100_000))]
    pub connections_per_user: u32,

    /// Connections from one client address. Absent: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_address: Option<u32>,

    /// Connections of one gateway. Its file limit bounds them as well.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_gateway: u32,

    /// Connections that a gateway accepts in a second. Others are told to come back.
    #[schemars(range(min = 1, max = 100_000))]
    pub connects_per_second: u32,

    /// Connections that a gateway accepts from one client address in a second. Absent: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub connects_per_second_per_address: Option<u32>,

    /// Bytes that may wait for a slow client before it is disconnected. It can resume.
    #[schemars(extend("x-kubernetes-validations" = [between("16Ki", "256Mi")]))]
    pub send_queue_size: Quantity,

    /// Bytes that may wait for all clients of a gateway. Absent: a quarter of its memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [between("16Ki", "1Ti")]))]
    pub queue_memory: Option<Quantity>,

    /// Bytes of recent messages that a gateway holds ready for resuming clients. Absent: a quarter
    /// of its memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [between("16Ki", "1Ti")]))]
    pub history_memory: Option<Quantity>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_size: Quantity::binary(64, 1),
            messages_per_second: 20,
            message_burst: 40,
            bytes_per_second: None,
            subscribes_per_second: None,
            rooms_per_connection: 128,
            connections_per_user: 16,
            connections_per_address: None,
            connections_per_gateway: 20_000,
            connects_per_second: 500,
            connects_per_second_per_address: None,
            send_queue_size: Quantity::binary(1, 2),
            queue_memory: None,
            history_memory: None,
        }
    }
}
