//! `POST /v1/send`: a message to a user.

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::call::{Answered, Call, addressee, write};
use super::problem::{Problem, Problems};
use super::publish::said;
use super::schema::{IdempotencyKey, MessageToUser};
use crate::auth::api_keys::Scope;
use crate::hub::{Answer, CommandKind};
use crate::names::RoomName;
use crate::protocol::ErrorCode;
use crate::protocol::json::service;

/// What became of a message to a user.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Sent {
    /// Connections that it went to, on all gateways; 0: offline, and nobody will get it.
    connections: usize,
}

/// Sends to a user
///
/// To every connection of the user, on all gateways. Live only: it is not kept, and repeats are not known.
#[utoipa::path(
    post,
    path = "/v1/send",
    operation_id = "send",
    tag = "messages",
    request_body = MessageToUser,
    params(IdempotencyKey),
    responses((status = 200, description = "Sent to those who are there", body = Sent), Problems),
    security(("key" = []), ("token" = ["linnet:send"]))
)]
pub(super) async fn send(State(api): State<Api>, request: Request) -> Response {
    write(api, "send", Scope::Send, request, act).await
}

async fn act(api: Api, call: Call, text: String) -> Result<Answered, Problem> {
    let (to, content) = service::send(&text)?;
    addressee(&to)?;
    if content.data.len() > call.channel.limits.message_size {
        return Err(ErrorCode::MessageTooLarge.into());
    }
    let mut message = said(&call, RoomName::direct(), content);
    message.trace = None; // what is for one user is not followed
    let kind = CommandKind::Send { to, message };
    match api.0.desk.ask(kind).await.map_err(Problem::unanswered)? {
        Answer::Sent { connections } => Ok(Answered::json(&Sent { connections })),
        Answer::Refused(code) => Err(code.into()),
        _ => Err(Problem::internal()),
    }
}
