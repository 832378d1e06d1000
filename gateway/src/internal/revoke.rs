//! `POST /v1/revoke`: signs a user out everywhere.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::Internal;
use crate::auth::api_access::Denied;
use crate::auth::api_keys::Scope;
use crate::auth::revoker::RevokeError;

/// What is asked.
#[derive(Debug, Deserialize)]
pub(super) struct Revoke {
    /// The user whose tokens are worth nothing from now on.
    user: String,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Revoked {
    user: String,
    /// Tokens that were issued up to then are refused, in seconds since the Unix epoch.
    at: u64,
}

/// An answer that is an error.
#[derive(Debug, Serialize)]
struct Problem {
    code: &'static str,
    message: String,
}

/// Signs a user out: 200 when all gateways know, 503 where only this one does.
pub(super) async fn revoke(
    State(internal): State<Internal>,
    headers: HeaderMap,
    body: Result<Json<Revoke>, JsonRejection>,
) -> Response {
    let authorization = headers.get(AUTHORIZATION);
    let authorization = authorization.and_then(|value| value.to_str().ok());
    if let Err(denied) = internal.api.allow(authorization, Scope::Revoke) {
        return deny(denied);
    }
    let Revoke { user } = match body {
        Ok(Json(body)) => body,
        Err(error) => {
            let message = format!("the body must be {{\"user\": NAME}}: {}", error.body_text());
            return problem(StatusCode::BAD_REQUEST, "bad_request", message);
        }
    };
    match internal.revoker.revoke(&user).await {
        Ok(at) => Json(Revoked { user, at }).into_response(),
        Err(error @ RevokeError::User) => {
            problem(StatusCode::BAD_REQUEST, "bad_request", error.to_string())
        }
        Err(error @ RevokeError::Shared(_)) => problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            error.to_string(),
        ),
    }
}

fn deny(denied: Denied) -> Response {
    let status = match denied {
        Denied::NoKey | Denied::UnknownKey => StatusCode::UNAUTHORIZED,
        Denied::NoScope(_) => StatusCode::FORBIDDEN,
    };
    let code = match status {
        StatusCode::UNAUTHORIZED => "unauthenticated",
        _ => "forbidden",
    };
    let mut response = problem(status, code, denied.to_string());
    if status == StatusCode::UNAUTHORIZED {
        let challenge = http::HeaderValue::from_static("Bearer");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

fn problem(status: StatusCode, code: &'static str, message: String) -> Response {
    (status, Json(Problem { code, message })).into_response()
}
