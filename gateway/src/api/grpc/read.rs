//! `History` and `Presence`: what a room keeps, and who is in it.

use axum::extract::{Request, State};
use axum::response::Response;
use linnet_proto::v1::{HistoryRequest, HistoryResponse, PresenceRequest, PresenceResponse};

use super::super::Api;
use super::super::call::Call;
use super::super::problem::Problem;
use super::exchange::look;
use crate::auth::Verb;
use crate::auth::api_keys::Scope;
use crate::hub::{Answer, CommandKind};
use crate::protocol::protobuf::{decode, encode};

pub(super) async fn history(State(api): State<Api>, request: Request) -> Response {
    let act = async |api: Api, call: Call, asked: HistoryRequest| {
        let (room, range, limit) = decode::history(&asked)?;
        call.check(Verb::Subscribe, &room)?;
        let kind = CommandKind::History { room, range, limit };
        match api.0.desk.ask(kind).await.map_err(Problem::untold)? {
            Answer::History(page) => Ok::<HistoryResponse, _>(encode::history(&page)),
            Answer::Refused(code) => Err(code.into()),
            _ => Err(Problem::internal()),
        }
    };
    look(api, Scope::History, request, act).await
}

pub(super) async fn presence(State(api): State<Api>, request: Request) -> Response {
    let act = async |api: Api, call: Call, asked: PresenceRequest| {
        let (room, after) = decode::presence(&asked)?;
        call.check(Verb::Subscribe, &room)?;
        let kind = CommandKind::Presence { room, after };
        match api.0.desk.ask(kind).await.map_err(Problem::untold)? {
            Answer::Presence(page) => Ok::<PresenceResponse, _>(encode::presence(&page)),
            Answer::Refused(code) => Err(code.into()),
            _ => Err(Problem::internal()),
        }
    };
    look(api, Scope::Presence, request, act).await
}
