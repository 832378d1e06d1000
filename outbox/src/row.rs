//! A row of the outbox.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

/// A message that waits to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its `message_id`.
    pub id: Uuid,
    /// Its place among the messages of its aggregate.
    pub seq: i64,
    /// The hash of its aggregate.
    pub partition: u8,
    /// What it is about.
    pub aggregate: String,
    /// Where it goes.
    pub room: String,
    /// The kind of message.
    pub event: Option<String>,
    /// JSON, as the service wrote it.
    pub data: String,
    /// The trace that it goes on with.
    pub traceparent: Option<String>,
    /// When it was written, in milliseconds since the Unix epoch, by the clock of the database.
    pub created: u64,
    /// How old it was when it was read, by that clock.
    pub age: Duration,
    /// When it was read.
    pub read: Instant,
}

impl Row {
    /// How old it is.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        self.age + now.saturating_duration_since(self.read)
    }
}

/// Rows for tests.
#[cfg(test)]
pub mod testing {
    use super::*;

    /// A row of `aggregate` that was written and read just now.
    pub fn row(aggregate: &str, seq: i64) -> Row {
        Row {
            id: Uuid::from_u128(seq as u128),
            seq,
            partition: aggregate.len() as u8,
            aggregate: aggregate.to_owned(),
            room: "room".to_owned(),
            event: None,
            data: "{}".to_owned(),
            traceparent: None,
            created: 1_000_000,
            age: Duration::ZERO,
            read: Instant::now(),
        }
    }
}
