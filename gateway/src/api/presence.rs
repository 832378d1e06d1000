//! `GET /v1/presence`: who is in a room.

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::call::{Answered, Call, look};
use super::problem::{Problem, Problems};
use super::schema::PresenceAnswer;
use crate::auth::Verb;
use crate::auth::api_keys::Scope;
use crate::hub::{Answer, CommandKind};
use crate::names::ConnectionId;
use crate::protocol::json::service;

/// What is asked.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// The room.
    #[param(min_length = 1, max_length = 256)]
    room: String,
    /// The last `connection_id` of the page before.
    #[param(pattern = "^~[A-Za-z0-9_-]{21}[AQgw]$", nullable = false)]
    after: Option<String>,
}

/// Tells who is in a room
///
/// On all gateways, by `connection_id`; or only how many, where the room tells no more.
#[utoipa::path(
    get,
    path = "/v1/presence",
    operation_id = "presence",
    tag = "users",
    params(Asked),
    responses((status = 200, description = "A page of members, or their number", body = PresenceAnswer), Problems),
    security(("key" = []), ("token" = ["linnet:presence"]))
)]
pub(super) async fn presence(State(api): State<Api>, request: Request) -> Response {
    look(api, Scope::Presence, request, act).await
}

async fn act(api: Api, call: Call, asked: Asked) -> Result<Answered, Problem> {
    let room = call.room(&asked.room, Verb::Subscribe)?;
    let after = asked.after.map(|id| {
        ConnectionId::parse(&id).ok_or(Problem::bad_request("`after` must be a connection_id"))
    });
    let after = after.transpose()?;
    let kind = CommandKind::Presence { room, after };
    match api.0.desk.ask(kind).await.map_err(Problem::untold)? {
        Answer::Presence(page) => Ok(Answered(service::presence(&page))),
        Answer::Refused(code) => Err(code.into()),
        _ => Err(Problem::internal()),
    }
}
