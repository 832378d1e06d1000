//! A message for a stream, and what is remembered of it while it is under way.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use tokio::time::Instant;

use crate::broker::{PublishError, Token};
use crate::names::{Epoch, Offset};

/// How long a publish may take in all.
const DEADLINE: Duration = Duration::from_secs(5);

/// A message for a stream.
#[derive(Debug)]
pub struct Job {
    /// Names the answer.
    pub token: Token,
    /// Whose stream; [`WORK`](crate::broker::nats::health::WORK) for the work queue's.
    pub partition: u16,
    /// Where it goes.
    pub subject: String,
    /// With `Nats-Msg-Id`.
    pub headers: HeaderMap,
    /// The content.
    pub payload: Bytes,
    /// When it was handed over.
    pub at: Instant,
}

impl Job {
    /// Bytes that wait with it.
    pub fn weight(&self) -> usize {
        self.payload.len() + 512
    }

    /// When it is answered, whatever happens.
    pub fn deadline(&self) -> Instant {
        self.at + DEADLINE
    }
}

/// A job on its way.
pub struct Sent {
    /// What was sent.
    pub job: Job,
    /// How many times it was before.
    pub tries: usize,
    /// Whether the same message may be stored already: another one with its id was under way.
    pub conflict: bool,
    /// The store when it was sent.
    pub place: Option<(Epoch, Offset)>,
}

impl Sent {
    /// What is said of it where it is not sent again, and `error` is why.
    pub fn refused(self, error: PublishError) -> (Job, PublishError) {
        let error = match self.conflict {
            true => PublishError::OutcomeUnknown,
            false => error,
        };
        (self.job, error)
    }
}
