//! `spec.history`: how many messages a room keeps, and where.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::{immutable, invalid_at};

/// What rooms with history keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [invalid_at(
    ".deduplicationSeconds",
    "self.deduplicationSeconds <= self.maxAgeSeconds",
    "deduplicationSeconds must not be more than maxAgeSeconds",
)]))]
pub struct History {
    /// How many messages a room keeps. The oldest go first.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_messages_per_room: u32,

    /// How long, in seconds, a message is kept.
    #[schemars(range(min = 1, max = 315_360_000))]
    pub max_age_seconds: u32,

    /// How long, in seconds, a message that is published again with the same message_id is
    /// recognised.
    #[schemars(range(min = 1, max = 86_400))]
    pub deduplication_seconds: u32,

    /// Where the broker keeps messages: File survives its restart. Immutable. The embedded broker
    /// keeps them in memory either way.
    #[schemars(extend("x-kubernetes-validations" = [immutable("storage")]))]
    pub storage: Storage,

    /// Copies of the stream that the broker keeps.
    #[schemars(range(min = 1, max = 5))]
    pub replicas: u32,

    /// Streams that rooms are spread over. Immutable.
    #[schemars(
        range(min = 1, max = 256),
        extend("x-kubernetes-validations" = [immutable("partitions")])
    )]
    pub partitions: u32,

    /// What becomes of kept messages when the channel is deleted.
    pub deletion_policy: DeletionPolicy,
}

impl Default for History {
    fn default() -> Self {
        Self {
            max_messages_per_room: 100,
            max_age_seconds: 86_400,
            deduplication_seconds: 120,
            storage: Storage::File,
            replicas: 1,
            partitions: 1,
            deletion_policy: DeletionPolicy::Retain,
        }
    }
}

/// Where a stream is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Storage {
    /// On the broker's disk.
    #[default]
    File,
    /// In the broker's memory.
    Memory,
}

/// What becomes of streams when their channel is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They stay.
    #[default]
    Retain,
    /// They are deleted with it.
    Delete,
}
