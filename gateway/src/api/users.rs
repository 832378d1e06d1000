//! `GET /v1/users/connections`: where a user is.

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::call::{Answered, Call, addressee, look};
use super::problem::{Problem, Problems};
use crate::auth::api_keys::Scope;
use crate::hub::{Answer, CommandKind};

/// What is asked.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// The user, or the `connection_id` of an anonymous connection.
    #[param(min_length = 1, max_length = 256)]
    user: String,
}

/// A user's connections.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Connections {
    /// The user.
    user: String,
    /// The connections that are known, of all gateways; of an anonymous one only if it is on this gateway.
    connections: Vec<Connection>,
}

/// A connection.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Connection {
    /// Its id.
    connection_id: String,
    /// Whether it is on the gateway that answers.
    here: bool,
}

/// Tells a user's connections
///
/// Those of other gateways are known a moment after they were made.
#[utoipa::path(
    get,
    path = "/v1/users/connections",
    operation_id = "user_connections",
    tag = "users",
    params(Asked),
    responses((status = 200, description = "The connections; none: offline", body = Connections), Problems),
    security(("key" = []), ("token" = ["linnet:inspect"]))
)]
pub(super) async fn connections(State(api): State<Api>, request: Request) -> Response {
    look(api, Scope::Inspect, request, act).await
}

async fn act(api: Api, _: Call, asked: Asked) -> Result<Answered, Problem> {
    let user = addressee(&asked.user)?;
    let kind = CommandKind::Whereabouts { user };
    match api.0.desk.ask(kind).await.map_err(Problem::untold)? {
        Answer::Whereabouts(known) => {
            let connections = known.into_iter().map(|(connection, here)| Connection {
                connection_id: connection.to_string(),
                here,
            });
            Ok(Answered::json(&Connections {
                user: asked.user,
                connections: connections.collect(),
            }))
        }
        Answer::Refused(code) => Err(code.into()),
        _ => Err(Problem::internal()),
    }
}
