//! `GET /v1/rooms`: the rooms that this gateway has in memory.

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::call::{Answered, Call, look};
use super::problem::{Problem, Problems};
use crate::auth::api_keys::Scope;

/// Most rooms of a page.
const MOST: usize = 1000;

/// What is asked.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Only rooms whose names begin so.
    #[serde(default)]
    #[param(required = false)]
    prefix: String,
    /// The last room of the page before.
    #[serde(default)]
    #[param(required = false)]
    after: String,
    /// Rooms at most; 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000, nullable = false)]
    limit: Option<usize>,
}

/// Rooms of a gateway.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Rooms {
    /// The gateway: others have rooms of their own.
    gateway: String,
    /// In the order of their names' bytes.
    rooms: Vec<Room>,
    /// Whether there are more behind them.
    more: bool,
}

/// A room.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Room {
    /// Its name.
    room: String,
    /// Subscriptions on this gateway.
    subscribers: usize,
    /// Messages that came to this gateway since the room has been in its memory.
    messages: u64,
}

/// Lists rooms
///
/// Those that this gateway has in memory: somebody connected to it is in them, or it keeps messages of them.
#[utoipa::path(
    get,
    path = "/v1/rooms",
    operation_id = "rooms",
    tag = "channel",
    params(Asked),
    responses((status = 200, description = "A page of rooms", body = Rooms), Problems),
    security(("key" = []), ("token" = ["linnet:inspect"]))
)]
pub(super) async fn rooms(State(api): State<Api>, request: Request) -> Response {
    look(api, Scope::Inspect, request, act).await
}

async fn act(api: Api, call: Call, asked: Asked) -> Result<Answered, Problem> {
    let limit = call.limit(asked.limit, MOST)?;
    let desk = api.0.desk.clone();
    // It waits for a turn of the hub, which is not to wait for this thread.
    let list = move || desk.rooms(&asked.prefix, &asked.after, limit);
    let list = tokio::task::spawn_blocking(list).await;
    let (rooms, more) = list.map_err(|_| Problem::internal())?;
    let rooms = rooms.into_iter().map(|room| Room {
        room: room.room,
        subscribers: room.subscribers,
        messages: room.messages,
    });
    Ok(Answered::json(&Rooms {
        gateway: api.0.counts.gateway.to_string(),
        rooms: rooms.collect(),
        more,
    }))
}
