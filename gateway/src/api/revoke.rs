//! `POST /v1/revoke`: signs a user out everywhere.

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::call::{Answered, Call, write};
use super::problem::{Problem, Problems};
use super::schema::IdempotencyKey;
use crate::auth::api_keys::Scope;
use crate::auth::revoker::RevokeError;
use crate::protocol::ErrorCode;

/// Whom to sign out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Revoke {
    /// The user whose tokens are worth nothing from now on.
    #[schema(min_length = 1, max_length = 256)]
    user: String,
}

/// Who was signed out.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Revoked {
    /// The user.
    user: String,
    /// Tokens that were issued up to then are refused, in seconds since the Unix epoch.
    at: u64,
}

/// Signs a user out
///
/// Closes all connections of the user and refuses tokens that were issued until now, on every gateway. After 503 only
/// this gateway has done so.
#[utoipa::path(
    post,
    path = "/v1/revoke",
    operation_id = "revoke",
    tag = "users",
    request_body = Revoke,
    params(IdempotencyKey),
    responses((status = 200, description = "All gateways know", body = Revoked), Problems),
    security(("key" = []), ("token" = ["linnet:revoke"]))
)]
pub(super) async fn revoke(State(api): State<Api>, request: Request) -> Response {
    write(api, "revoke", Scope::Revoke, request, act).await
}

async fn act(api: Api, _: Call, text: String) -> Result<Answered, Problem> {
    let Revoke { user } = serde_json::from_str(&text).map_err(|error| {
        Problem::bad_request(format!("the body must be {{\"user\": NAME}}: {error}"))
    })?;
    match api.0.revoker.revoke(&user).await {
        Ok(at) => Ok(Answered::json(&Revoked { user, at })),
        Err(error @ RevokeError::User) => Err(Problem::bad_request(error.to_string())),
        Err(error @ RevokeError::Shared(_)) => {
            Err(Problem::new(ErrorCode::Unavailable, error.to_string()))
        }
    }
}
