//! `POST /v1/publish`: one message, several, or one to several rooms.

use axum::extract::{Request, State};
use axum::response::Response;

use super::Api;
use super::call::{Answered, Call, write};
use super::desk::Failure;
use super::problem::{Problem, Problems};
use super::schema::{IdempotencyKey, Outcome, Outcomes, PublishAnswer, PublishBody, Published};
use crate::auth::Verb;
use crate::auth::api_keys::Scope;
use crate::broker::DeduplicationKey;
use crate::hub::{Answer, CommandKind};
use crate::message::Message;
use crate::names::RoomName;
use crate::protocol::json::service::{self, Publish};
use crate::protocol::{Content, ErrorCode};
use crate::session::data;
use crate::traces::{Trace, published_by_service};

/// Publishes
///
/// One message to one room, up to 100 messages, or one message to up to 100 rooms. Of several, each has a result of its
/// own, in their order, and the status is 200 whatever they are. Messages of one call to one room keep their order.
#[utoipa::path(
    post,
    path = "/v1/publish",
    operation_id = "publish",
    tag = "messages",
    request_body = PublishBody,
    params(IdempotencyKey),
    responses((status = 200, description = "Published, or a result for each", body = PublishAnswer), Problems),
    security(("key" = []), ("token" = ["linnet:publish"]))
)]
pub(super) async fn publish(State(api): State<Api>, request: Request) -> Response {
    write(api, "publish", Scope::Publish, request, act).await
}

async fn act(api: Api, call: Call, text: String) -> Result<Answered, Problem> {
    match service::publish(&text)? {
        Publish::One(room, content) => {
            let kind = message(&call, 0, room.clone(), content)?;
            let published = outcome(room, api.0.desk.ask(kind).await)?;
            Ok(Answered::json(&published))
        }
        Publish::Messages(messages) => {
            call.count(&api, messages.len() - 1)?; // the call itself was the first
            let messages = messages.into_iter().enumerate();
            let asked = messages.map(|(index, message)| {
                let place = format!("/messages/{index}");
                let message = message.map_err(|fault| Problem::from(fault).at(&place));
                let (room, content) = message.map_err(|problem| (None, problem))?;
                let kind = self::message(&call, index, room.clone(), content);
                let kind = kind.map_err(|problem| (Some(room.clone()), problem.at(&place)))?;
                Ok((room, kind))
            });
            all(&api, asked.collect()).await
        }
        Publish::Rooms(rooms, content) => {
            call.count(&api, rooms.len() - 1)?;
            let rooms = rooms.into_iter().enumerate();
            let asked = rooms.map(|(index, room)| {
                let place = format!("/rooms/{index}");
                let room = room.map_err(|fault| (None, Problem::from(fault).at(&place)))?;
                let kind = message(&call, index, room.clone(), content.clone());
                let kind = kind.map_err(|problem| (Some(room.clone()), problem))?;
                Ok((room, kind))
            });
            all(&api, asked.collect()).await
        }
    }
}

/// A message for the hub, or why the hub is not asked and for which room.
type Asked = Result<(RoomName, CommandKind), (Option<RoomName>, Problem)>;

/// Publishes what can be, and gives a result for each.
async fn all(api: &Api, asked: Vec<Asked>) -> Result<Answered, Problem> {
    let mut kinds = Vec::with_capacity(asked.len());
    let asked = asked.into_iter().map(|asked| {
        asked.map(|(room, kind)| {
            kinds.push(kind);
            room
        })
    });
    let asked: Vec<_> = asked.collect();
    let mut answers = api.0.desk.ask_all(kinds).await.into_iter();
    let results = asked.into_iter().map(|asked| {
        let refused = |room: Option<RoomName>, error| Outcome::Refused {
            room: room.map(|room| room.to_string()),
            error,
        };
        match asked {
            Err((room, problem)) => refused(room, problem),
            Ok(room) => {
                let answer = answers.next().unwrap_or(Err(Failure::Full)); // one for each
                match outcome(room.clone(), answer) {
                    Ok(published) => Outcome::Published(published),
                    Err(problem) => refused(Some(room), problem),
                }
            }
        }
    });
    Ok(Answered::json(&Outcomes {
        results: results.collect(),
    }))
}

/// What the hub is to publish as the call's message of that number, if the rules and the room's schema let it.
pub(super) fn message(
    call: &Call,
    number: usize,
    room: RoomName,
    content: Content,
) -> Result<CommandKind, Problem> {
    let channel = &call.channel;
    if content.data.len() > channel.limits.message_size {
        return Err(ErrorCode::MessageTooLarge.into());
    }
    if !call.caller.may(Verb::Publish, &room, &channel.rules) {
        return Err(ErrorCode::Forbidden.into());
    }
    let rule = match call.caller.user() {
        Some(user) => channel.rules.for_user(room.as_str(), user.as_str()),
        None => channel.rules.for_room(room.as_str()),
    };
    if let Some(schema) = &rule.schema
        && let Err(fault) = data::check(schema, &content.data)
    {
        return Err(data::refusal(None, fault).into());
    }
    // One that is sent again after its outcome was unknown is the same message, also without an id of the caller's.
    let own = call.key.as_ref().map(|key| key.message_id(number));
    let message_id = content.message_id.as_deref().or(own.as_deref());
    let key = message_id.map(|message_id| DeduplicationKey::new(&room, &call.scope, message_id));
    let mut message = said(call, room, content);
    published_by_service(&mut message, channel.telemetry);
    Ok(CommandKind::Publish { message, key })
}

/// What the caller says.
pub(super) fn said(call: &Call, room: RoomName, content: Content) -> Box<Message> {
    let trace = content.caller.map(|caller| *caller).or(call.trace);
    Box::new(Message {
        room,
        offset: None,
        timestamp: 0,
        from: call.caller.user().cloned(),
        event: content.event,
        data: content.data,
        info: None,
        skip: None,
        trace: trace.map(|trace| Box::new(Trace::of_caller(trace))),
    })
}

/// What the hub says that became of a message.
pub(super) fn outcome(
    room: RoomName,
    answer: Result<Answer, Failure>,
) -> Result<Published, Problem> {
    match answer.map_err(Problem::unanswered)? {
        Answer::Published {
            position,
            timestamp,
            duplicate,
            not_deduplicated,
        } => {
            let (epoch, offset) = position.unzip();
            Ok(Published {
                room: room.to_string(),
                epoch: epoch.map(|epoch| epoch.as_str().to_owned()),
                offset: offset.map(|offset| offset.0),
                timestamp,
                duplicate,
                deduplicated: not_deduplicated.then_some(false),
            })
        }
        Answer::Refused(code) => Err(code.into()),
        _ => Err(Problem::internal()),
    }
}
