//! Answers that are errors: `application/problem+json` (RFC 9457), with the codes of the client protocol and some that
//! only HTTP needs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::{Ref, RefOr, Response as Documented, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use super::desk::Failure;
use crate::auth::TokenError;
use crate::auth::api_access::Denied;
use crate::auth::api_keys::{PREFIX, Scope};
use crate::protocol::{ErrorCode, Fault, Refusal};

/// What begins a problem's `type`; its code follows. A tag names without being an address (RFC 4151).
const TYPE: &str = "tag:linnet.dev,2026:problem:";

/// Why a call was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem; ends with the code.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: Kind,
    /// What the kind means.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub(super) status: u16,
    /// What is wrong with this call, and what to do about it.
    #[schema(value_type = String)]
    pub(super) detail: Cow<'static, str>,
    /// The code, as in the client protocol.
    pub(super) code: &'static str,
    /// JSON Pointer to what is wrong in the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    pointer: Option<Box<str>>,
    /// When it may work, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) retry_after_ms: Option<u32>,
    /// What `WWW-Authenticate` asks for.
    #[serde(skip)]
    challenge: Option<Challenge>,
}

/// A kind of problem, by its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind(&'static str);

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{TYPE}{}", self.0))
    }
}

/// What a caller is asked for (RFC 6750 §3): an error is named only where something came that was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Challenge {
    Anything,
    Another,
    Scope(Scope),
}

impl std::fmt::Display for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anything => f.write_str("Bearer"),
            Self::Another => f.write_str("Bearer error=\"invalid_token\""),
            Self::Scope(scope) => {
                let scope = scope.as_str();
                write!(
                    f,
                    "Bearer error=\"insufficient_scope\", scope=\"{PREFIX}{scope}\""
                )
            }
        }
    }
}

impl Problem {
    fn of(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            kind: Kind(code),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            code,
            pointer: None,
            retry_after_ms: None,
            challenge: None,
        }
    }

    /// One of the protocol's, with its own words.
    pub(super) fn new(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(status(code), code.as_str(), code.advice(), detail)
    }

    /// Something that the call asks for and cannot be.
    pub(super) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::BadRequest, detail)
    }

    pub(super) fn not_json() -> Self {
        Self::of(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body is JSON",
            "send the body with Content-Type: application/json",
        )
    }

    pub(super) fn body_too_slow() -> Self {
        Self::of(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            "the request did not come in time",
            "the body was not there within 10 seconds: send it again",
        )
    }

    pub(super) fn body_too_large(limit: usize) -> Self {
        let detail =
            format!("the body is over {limit} bytes: send fewer messages, or smaller ones");
        Self::new(ErrorCode::MessageTooLarge, detail)
    }

    /// A call with the same key is under way.
    pub(super) fn under_way(wait: u64) -> Self {
        Self {
            retry_after_ms: Some(milliseconds(wait)),
            ..Self::of(
                StatusCode::CONFLICT,
                "idempotency_conflict",
                "a call with this Idempotency-Key is under way",
                "a call with this Idempotency-Key is under way, or its gateway has died: look again for its answer",
            )
        }
    }

    /// No gateway has given that.
    pub(super) fn bad_cursor(detail: String) -> Self {
        let title = "the cursor is none that a gateway gave";
        Self::of(StatusCode::BAD_REQUEST, "bad_cursor", title, detail)
    }

    /// The caller does not wait any longer.
    pub(super) fn deadline_exceeded() -> Self {
        Self::of(
            StatusCode::GATEWAY_TIMEOUT,
            "deadline_exceeded",
            "the call's deadline is over",
            "the call's deadline is over: what it asks for may be done all the same",
        )
    }

    /// The key was used for something else.
    pub(super) fn another_body() -> Self {
        Self::of(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_mismatch",
            "the Idempotency-Key was used with another body",
            "the Idempotency-Key was used with another body: take a new key for each call",
        )
    }

    /// Over a rate, for so many milliseconds.
    pub(super) fn rate_limited(wait: u64) -> Self {
        Self {
            retry_after_ms: Some(milliseconds(wait)),
            ..ErrorCode::RateLimited.into()
        }
    }

    /// The hub has no answer to something that changes something.
    pub(super) fn unanswered(failure: Failure) -> Self {
        match failure {
            Failure::Full => ErrorCode::Overloaded.into(),
            Failure::Late => ErrorCode::OutcomeUnknown.into(),
        }
    }

    /// The hub has no answer to a question.
    pub(super) fn untold(failure: Failure) -> Self {
        match failure {
            Failure::Full => ErrorCode::Overloaded.into(),
            Failure::Late => Self::new(
                ErrorCode::Unavailable,
                "there was no answer within 10 seconds: try again",
            ),
        }
    }

    /// An answer of the hub that is none to what was asked.
    pub(super) fn internal() -> Self {
        ErrorCode::Internal.into()
    }

    /// Whether it is for the caller to put right.
    pub(super) fn blames_caller(&self) -> bool {
        self.status < 500
    }

    /// Which field is wrong, as a path.
    pub(super) fn field(&self) -> Option<&str> {
        self.pointer.as_deref()?.strip_prefix('/')
    }

    /// The same with where it is.
    pub(super) fn at(mut self, place: &str) -> Self {
        let rest = self.pointer.take().unwrap_or_default();
        self.pointer = Some(format!("{place}{rest}").into());
        self
    }
}

/// A wait, as far as it can be told: seven weeks.
fn milliseconds(wait: u64) -> u32 {
    u32::try_from(wait).unwrap_or(u32::MAX)
}

/// The HTTP status of a code.
fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::MessageTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::Unauthenticated
        | ErrorCode::InvalidToken
        | ErrorCode::TokenExpired
        | ErrorCode::Revoked => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden | ErrorCode::Rejected => StatusCode::FORBIDDEN,
        ErrorCode::NoHistory | ErrorCode::NoPresence => StatusCode::NOT_FOUND,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Overloaded
        | ErrorCode::Unavailable
        | ErrorCode::NoStorage
        | ErrorCode::BrokerUnauthorized
        | ErrorCode::BrokerDenied
        | ErrorCode::HandlerFailed
        | ErrorCode::HandlerTimeout
        | ErrorCode::Draining
        | ErrorCode::KeysUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::OutcomeUnknown => StatusCode::GATEWAY_TIMEOUT,
        ErrorCode::StorageFull | ErrorCode::StorageLimit => StatusCode::INSUFFICIENT_STORAGE,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

impl From<ErrorCode> for Problem {
    fn from(code: ErrorCode) -> Self {
        Self::new(code, code.advice())
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::new(fault.code, fault.message)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self {
            pointer: refusal.pointer,
            retry_after_ms: refusal.retry_after_ms.map(milliseconds),
            ..Self::new(refusal.code, refusal.message)
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let (code, challenge) = match denied {
            Denied::NoKey => (ErrorCode::Unauthenticated, Some(Challenge::Anything)),
            Denied::UnknownKey => (ErrorCode::Unauthenticated, Some(Challenge::Another)),
            // It may be a good one.
            Denied::Token(error @ (TokenError::NoKeys | TokenError::Fetching)) => {
                (error.code(), None)
            }
            Denied::Token(error) => (error.code(), Some(Challenge::Another)),
            Denied::NoScope(scope) => (ErrorCode::Forbidden, Some(Challenge::Scope(scope))),
        };
        Self {
            challenge,
            ..Self::new(code, denied.to_string())
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default(); // texts and numbers always serialize
        let kind = [(CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, kind, body).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after_ms {
            headers.insert(RETRY_AFTER, wait.div_ceil(1000).into()); // whole seconds: RFC 9110 §10.2.3
        }
        let challenge = self.challenge.map(|challenge| challenge.to_string());
        if let Some(challenge) = challenge.and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// Nothing is there.
pub(super) async fn no_route() -> Problem {
    Problem::of(
        StatusCode::NOT_FOUND,
        "not_found",
        "there is no such route",
        "see /v1/openapi.json for what there is",
    )
}

/// Something else can be done there.
pub(super) async fn no_method() -> Problem {
    Problem::of(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "the route has another method",
        "see /v1/openapi.json for what there is",
    )
}

/// The problems that any call may meet, for the OpenAPI document.
pub(super) struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Documented>> {
        let told = [
            ("400", "The call is not right: `bad_request`, `bad_room`"),
            (
                "401",
                "No key, or none that is known: `unauthenticated`, `invalid_token`, `token_expired`, `revoked`",
            ),
            ("403", "Not allowed: `forbidden`"),
            (
                "404",
                "The room has no such thing: `no_history`, `no_presence`",
            ),
            ("405", "The route has another method: `method_not_allowed`"),
            ("408", "The body did not come in time: `request_timeout`"),
            (
                "409",
                "A call with the same Idempotency-Key is under way: `idempotency_conflict`",
            ),
            ("413", "`message_too_large`"),
            ("415", "The body is not JSON: `unsupported_media_type`"),
            (
                "422",
                "The Idempotency-Key was used for something else: `idempotency_mismatch`",
            ),
            ("429", "Over the rate of the key: `rate_limited`"),
            ("500", "A fault of the gateway: `internal`"),
            (
                "503",
                "Not done, try again: `overloaded`, `unavailable`, `keys_unavailable`, `no_storage`, `broker_unauthorized`, `broker_denied`",
            ),
            (
                "504",
                "Perhaps done, there was no answer in time: `outcome_unknown`",
            ),
            (
                "507",
                "Not done, the broker has no room: `storage_full`, `storage_limit`",
            ),
        ];
        let documented = |told: &str| {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem")));
            let response = ResponseBuilder::new().description(told);
            response
                .content("application/problem+json", content.build())
                .build()
        };
        told.into_iter()
            .map(|(status, told)| (status.to_owned(), RefOr::T(documented(told))))
            .collect()
    }
}
