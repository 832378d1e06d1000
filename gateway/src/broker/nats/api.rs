//! Requests to JetStream, and what its errors mean here.

use async_nats::jetstream::context::{RequestError, RequestErrorKind};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{Context, Error, ErrorCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::health::Fault;

/// Why a request to JetStream failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct ApiError {
    /// What it means.
    pub fault: Fault,
    /// The server's number of the error, where it gave one.
    pub code: Option<ErrorCode>,
    /// What the server said.
    pub detail: String,
}

impl ApiError {
    /// An error of our own making.
    pub fn new(fault: Fault, detail: impl Into<String>) -> Self {
        Self {
            fault,
            code: None,
            detail: detail.into(),
        }
    }
}

/// Makes a request: `subject` without the prefix of the API.
///
/// # Errors
/// What JetStream answers, or that it does not.
pub async fn call<T: DeserializeOwned>(
    jetstream: &Context,
    subject: String,
    payload: &impl Serialize,
) -> Result<T, ApiError> {
    match jetstream.request(subject, payload).await {
        Ok(Response::Ok(answer)) => Ok(answer),
        Ok(Response::Err { error }) => Err(ApiError::from(error)),
        Err(error) => Err(ApiError::from(error)),
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self {
            fault: fault(&error),
            code: Some(error.error_code()),
            detail: error.to_string(),
        }
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        let fault = match error.kind() {
            // Nobody listens to JetStream's subjects.
            RequestErrorKind::NoResponders => Fault::NoJetStream,
            RequestErrorKind::TimedOut => Fault::NoLeader,
            _ => Fault::Other,
        };
        Self::new(fault, error.to_string())
    }
}

/// What an error of JetStream means.
pub fn fault(error: &Error) -> Fault {
    match error.error_code() {
        ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
            Fault::NoJetStream
        }
        ErrorCode::STREAM_NOT_FOUND => Fault::NoStream,
        ErrorCode::STREAM_NAME_EXIST | ErrorCode::STREAM_SUBJECT_OVERLAP => Fault::WrongStream,
        ErrorCode::CLUSTER_NOT_AVAILABLE | ErrorCode::CLUSTER_NOT_LEADER => Fault::NoLeader,
        // What the stream's store says is told in words only.
        ErrorCode::STREAM_STORE_FAILED
        | ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::MEMORY_RESOURCES_EXCEEDED
        | ErrorCode::STREAM_MAX_STREAM_BYTES_EXCEEDED => Fault::StorageFull,
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::MAXIMUM_STREAMS_LIMIT
        | ErrorCode::NO_LIMITS => Fault::AccountLimit,
        _ => Fault::Other,
    }
}
