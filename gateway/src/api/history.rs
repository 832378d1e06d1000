//! `GET /v1/history`: what a room keeps.

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::call::{Answered, Call, look};
use super::problem::{Problem, Problems};
use super::schema::HistoryAnswer;
use crate::auth::Verb;
use crate::auth::api_keys::Scope;
use crate::hub::{Answer, CommandKind};
use crate::names::Offset;
use crate::protocol::HistoryRange;
use crate::protocol::json::service;

/// Largest integer that every JSON reader keeps exactly.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// What is asked.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// The room.
    #[param(min_length = 1, max_length = 256)]
    room: String,
    /// The oldest messages after this offset.
    #[param(maximum = 9007199254740991u64, nullable = false)]
    after: Option<u64>,
    /// The newest messages before this offset.
    #[param(maximum = 9007199254740991u64, nullable = false)]
    before: Option<u64>,
    /// Messages at most; 100 where nothing is said.
    #[param(minimum = 1, maximum = 100, nullable = false)]
    limit: Option<usize>,
}

/// Reads a room's messages
///
/// The newest, or those after or before an offset, ascending. A page has at most 256 KiB. `more` says whether there are
/// more in the direction that was asked for.
#[utoipa::path(
    get,
    path = "/v1/history",
    operation_id = "history",
    tag = "messages",
    params(Asked),
    responses((status = 200, description = "A page of messages", body = HistoryAnswer), Problems),
    security(("key" = []), ("token" = ["linnet:history"]))
)]
pub(super) async fn history(State(api): State<Api>, request: Request) -> Response {
    look(api, Scope::History, request, act).await
}

async fn act(api: Api, call: Call, asked: Asked) -> Result<Answered, Problem> {
    let room = call.room(&asked.room, Verb::Subscribe)?;
    let offset = |name, offset| match offset {
        0..=MAX_SAFE_INTEGER => Ok(Offset(offset)),
        _ => {
            let detail = format!("`{name}` must be an integer from 0 to 2^53-1");
            Err(Problem::bad_request(detail))
        }
    };
    let range = match (asked.after, asked.before) {
        (None, None) => HistoryRange::Newest,
        (Some(after), None) => HistoryRange::After(offset("after", after)?),
        (None, Some(before)) => HistoryRange::Before(offset("before", before)?),
        (Some(_), Some(_)) => {
            return Err(Problem::bad_request("give `after` or `before`, not both"));
        }
    };
    let limit = call.limit(asked.limit, 100)?;
    let kind = CommandKind::History { room, range, limit };
    match api.0.desk.ask(kind).await.map_err(Problem::untold)? {
        Answer::History(page) => Ok(Answered(service::history(&page))),
        Answer::Refused(code) => Err(code.into()),
        _ => Err(Problem::internal()),
    }
}
