//! A call over NATS: a request on a subject, answered by one of those who share it in a queue group.

use std::time::Duration;

use async_nats::{Client, HeaderMap, Request, RequestErrorKind};
use bytes::Bytes;

use super::call;
use super::error::CallError;

/// How NATS services say that they have failed (ADR-32).
const SERVICE_ERROR: &str = "Nats-Service-Error-Code";

/// Sends an event, and gives the answer, of at most `most` bytes.
///
/// # Errors
/// When there is no such answer.
pub async fn ask(
    client: &Client,
    subject: String,
    headers: &[(&'static str, String)],
    event: Bytes,
    within: Duration,
    most: usize,
) -> Result<Bytes, CallError> {
    let mut map = HeaderMap::new();
    map.insert("Content-Type", call::CONTENT_TYPE);
    for (name, value) in headers {
        map.insert(*name, value.as_str());
    }
    let request = Request::new()
        .headers(map)
        .payload(event)
        .timeout(Some(within));
    let answer = client.send_request(subject, request).await;
    let answer = answer.map_err(|error| match error.kind() {
        RequestErrorKind::TimedOut => CallError::Slow(within),
        RequestErrorKind::NoResponders => CallError::NoResponders,
        _ => CallError::Network(error.to_string()),
    })?;
    let failed = answer
        .headers
        .as_ref()
        .and_then(|headers| headers.get(SERVICE_ERROR));
    if let Some(code) = failed {
        let code: String = code
            .as_str()
            .chars()
            .filter(char::is_ascii_digit)
            .take(5)
            .collect();
        return Err(CallError::Service(code));
    }
    match answer.payload.len() <= most {
        true => Ok(answer.payload),
        false => Err(CallError::Large(most)),
    }
}
