//! What is answered where something is refused (RFC 9457), with the protocol's codes.

use std::time::Duration;

use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde_json::json;

use crate::protocol::ErrorCode;
use crate::transport::http::Refusal;

/// A refusal.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: String,
    detail: String,
    /// JSON Pointer to what is wrong in the body.
    pointer: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            detail: detail.into(),
            pointer: None,
            headers: Vec::new(),
        }
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// One that the protocol has a code for.
    pub(super) fn of_code(code: &str, detail: impl Into<String>) -> Self {
        Self::new(status(code), code, detail)
    }

    /// How a session was closed before it has begun. The handler's no has words of its own for a reason.
    pub(super) fn of_close(code: u16, reason: &str, detail: &'static str) -> Self {
        match code == ErrorCode::Rejected.close_code() {
            true => Self::of_code(ErrorCode::Rejected.as_str(), reason),
            false => Self::of_code(reason, detail),
        }
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Says when it may work.
    pub(super) fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        self.with(
            RETRY_AFTER,
            HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)),
        )
    }

    pub(super) fn pointing_at(mut self, pointer: Option<String>) -> Self {
        self.pointer = pointer;
        self
    }

    /// When it may work, where that is said.
    pub(super) fn wait(&self) -> Option<Duration> {
        let mut headers = self.headers.iter();
        let (_, seconds) = headers.find(|(name, _)| *name == RETRY_AFTER)?;
        let seconds = seconds.to_str().ok()?.parse();
        seconds.ok().map(Duration::from_secs)
    }

    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        if let Some(pointer) = self.pointer {
            body["pointer"] = json!(pointer);
        }
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.extend(self.headers);
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(CONTENT_TYPE, json);
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let mut problem = Self::new(refusal.status(), refusal.word(), refusal.body());
        problem.headers.extend(refusal.headers().cloned());
        problem
    }
}

/// The status of an error of the protocol.
fn status(code: &str) -> StatusCode {
    match code {
        "unauthenticated" | "invalid_token" | "token_expired" | "revoked" => {
            StatusCode::UNAUTHORIZED
        }
        "forbidden" | "rejected" => StatusCode::FORBIDDEN,
        "message_too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        "rate_limited" => StatusCode::TOO_MANY_REQUESTS,
        "overloaded"
        | "unavailable"
        | "draining"
        | "keys_unavailable"
        | "broker_unauthorized"
        | "broker_denied"
        | "handler_failed"
        | "handler_timeout"
        | "replaced"
        | "slow_consumer" => StatusCode::SERVICE_UNAVAILABLE,
        "storage_full" | "storage_limit" | "no_storage" => StatusCode::INSUFFICIENT_STORAGE,
        "outcome_unknown" => StatusCode::GATEWAY_TIMEOUT,
        "internal" => StatusCode::INTERNAL_SERVER_ERROR,
        "transport_disabled" => StatusCode::NOT_FOUND,
        _ => StatusCode::BAD_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_to_blame_is_told_so() {
        for code in ErrorCode::ALL {
            let is_fault = status(code.as_str()).is_client_error();
            // The handler's no is as final as a rule's.
            if !code.blames_client() && code != ErrorCode::Rejected {
                assert!(!is_fault, "{}", code.as_str());
            }
        }
    }

    #[test]
    fn a_wait_is_in_whole_seconds_and_never_none() {
        for (milliseconds, seconds) in [(1, 1), (1000, 1), (1001, 2)] {
            let problem = Problem::of_code("rate_limited", "");
            let problem = problem.retry_after(Duration::from_millis(milliseconds));
            assert_eq!(problem.wait(), Some(Duration::from_secs(seconds)));
            assert_eq!(problem.into_response().status(), 429);
        }
    }
}
