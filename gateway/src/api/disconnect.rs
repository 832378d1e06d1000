//! `POST /v1/disconnect`: closes connections.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::call::{Answered, Call, addressee, write};
use super::problem::{Problem, Problems};
use super::schema::IdempotencyKey;
use crate::auth::api_keys::Scope;
use crate::broker::Close;
use crate::hub::{Answer, CommandKind};
use crate::names::{ConnectionId, UserId};
use crate::protocol::ErrorCode;

/// Longest reason, in bytes (RFC 6455 §5.5: a control frame has 125, of which the code takes two).
const REASON: usize = 123;

/// Whom to close.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Disconnect {
    /// A user, or the `connection_id` of an anonymous connection: all connections of it. Instead of `connection`.
    #[schema(min_length = 1, max_length = 256, nullable = false)]
    #[serde(default, deserialize_with = "there")]
    user: Option<String>,
    /// One connection, whoever's it is. Instead of `user`.
    #[schema(pattern = "^~[A-Za-z0-9_-]{21}[AQgw]$", nullable = false)]
    #[serde(default, deserialize_with = "there")]
    connection: Option<String>,
    /// The close code; 4007 where nothing is said.
    #[schema(minimum = 4000, maximum = 4999, nullable = false)]
    #[serde(default, deserialize_with = "there")]
    code: Option<u16>,
    /// The close reason, at most 123 bytes; `disconnected` where nothing is said.
    #[schema(max_length = 123, nullable = false)]
    #[serde(default, deserialize_with = "there")]
    reason: Option<String>,
}

/// A field that is there is not null.
fn there<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
    of: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(of).map(Some)
}

/// What was closed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Disconnected {
    /// Connections that were closed, on all gateways.
    connections: usize,
}

/// Closes connections
///
/// Of a user, or one, on whichever gateway. They may come back: to keep a user out, revoke. The close code tells
/// clients what to do: after 4000 to 4099 they stay away, after 4200 to 4299 they come back at once, after all others
/// they back off first.
#[utoipa::path(
    post,
    path = "/v1/disconnect",
    operation_id = "disconnect",
    tag = "users",
    request_body = Disconnect,
    params(IdempotencyKey),
    responses((status = 200, description = "Closed what was there", body = Disconnected), Problems),
    security(("key" = []), ("token" = ["linnet:disconnect"]))
)]
pub(super) async fn disconnect(State(api): State<Api>, request: Request) -> Response {
    write(api, "disconnect", Scope::Disconnect, request, act).await
}

async fn act(api: Api, _: Call, text: String) -> Result<Answered, Problem> {
    let asked: Disconnect = serde_json::from_str(&text).map_err(|error| {
        Problem::bad_request(format!(
            "the body must be {{\"user\": NAME}} or {{\"connection\": ID}}, with `code` and `reason` or without: {error}"
        ))
    })?;
    let to = match (&asked.user, &asked.connection) {
        (Some(user), None) => addressee(user)?,
        (None, Some(connection)) => match ConnectionId::parse(connection) {
            Some(connection) => UserId::anonymous(connection),
            None => return Err(Problem::bad_request("`connection` must be a connection_id")),
        },
        _ => return Err(Problem::bad_request("give one of `user` and `connection`")),
    };
    let close = Close {
        code: asked.code.unwrap_or(ErrorCode::Disconnected.close_code()),
        reason: asked.reason.map_or_else(
            || ErrorCode::Disconnected.as_str().into(),
            String::into_boxed_str,
        ),
    };
    if !(4000..=4999).contains(&close.code) {
        return Err(Problem::bad_request("`code` must be 4000 to 4999"));
    }
    if close.reason.len() > REASON {
        return Err(Problem::bad_request("`reason` has at most 123 bytes"));
    }
    let close = Arc::new(close);
    let kind = CommandKind::Expel { to, close };
    match api.0.desk.ask(kind).await.map_err(Problem::unanswered)? {
        Answer::Sent { connections } => Ok(Answered::json(&Disconnected { connections })),
        Answer::Refused(code) => Err(code.into()),
        _ => Err(Problem::internal()),
    }
}
