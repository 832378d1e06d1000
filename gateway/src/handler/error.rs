//! Why there is no answer that can be used.

use std::time::Duration;

use super::answer::AnswerError;
use super::metrics::Outcome;
use crate::protocol::ErrorCode;

/// What went wrong with a call. It holds nothing that a client or a back end has said.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Write another one.
    #[error("spec.handler.url is not an address that can be asked")]
    Address,
    /// TLS can't be set up.
    #[error("TLS can't be used: {0}")]
    Tls(String),
    /// It is not there, or what it says is not HTTP.
    #[error("it can't be reached or breaks off: {0}")]
    Network(String),
    /// It answered something else.
    #[error("it answers {0} instead of 200")]
    Status(u16),
    /// It answered too much.
    #[error("its answer is over {0} bytes")]
    Large(usize),
    /// It answered something else than was asked for.
    #[error("its answer can't be used: {0}")]
    Answer(#[from] AnswerError),
    /// It answered too slowly.
    #[error("there was no whole answer within {0:?}")]
    Slow(Duration),
    /// The calls before took too long.
    #[error("{0} calls are under way, and none has ended for {1:?}")]
    Busy(usize, Duration),
    /// Put a key into the Secret.
    #[error("there is no key to sign with: spec.handler.signingSecretName")]
    NoKey,
    /// Nobody listens to the subject.
    #[error("nobody answers on the subject")]
    NoResponders,
    /// There is no broker that it could be asked over.
    #[error("there is no connection to NATS")]
    NoBroker,
    /// The service has answered with an error, as NATS services do.
    #[error("it answers with the error {0}")]
    Service(String),
    /// What is sent can't be written.
    #[error("the event can't be written: {0}")]
    Encode(#[from] serde_json::Error),
}

/// What a client is told of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No answer in time.
    Timeout,
    /// No answer that can be used.
    Failed,
    /// Too many calls.
    Overloaded,
}

impl CallError {
    /// What a client is told.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Slow(_) => Failure::Timeout,
            Self::Busy(..) => Failure::Overloaded,
            _ => Failure::Failed,
        }
    }
}

impl Failure {
    /// As clients know it.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Timeout => ErrorCode::HandlerTimeout,
            Self::Failed => ErrorCode::HandlerFailed,
            Self::Overloaded => ErrorCode::Overloaded,
        }
    }

    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Timeout => Outcome::Timeout,
            Self::Failed => Outcome::Failed,
            Self::Overloaded => Outcome::Overloaded,
        }
    }
}
