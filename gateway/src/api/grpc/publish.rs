//! `Publish`: one message.

use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use linnet_proto::v1::{Position, PublishRequest, PublishResponse};
use prost::Message;

use super::super::Api;
use super::super::call::{Answered, Call};
use super::super::once::Key;
use super::super::problem::Problem;
use super::super::publish::{message, outcome};
use super::super::schema::Published;
use super::exchange::only;
use super::request::{Deadline, Messages};
use super::response::{answered, refused};
use crate::auth::api_keys::Scope;
use crate::protocol::protobuf::decode;

/// What a call with an idempotency-key is remembered under, beside its caller and its key.
const ROUTE: &str = "linnet.v1.Channel/Publish";

pub(super) async fn publish(State(api): State<Api>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let done = async {
        let deadline = Deadline::of(&parts.headers)?;
        let mut call = Call::admit(&api, Scope::Publish, &parts.headers)?;
        let messages = Messages::of(&api, &call.channel.limits, &parts.headers, body)?;
        let act = async {
            let message: PublishRequest = only(messages).await?;
            let text = message.encode_to_vec();
            let Some(key) = Key::of(&parts.headers, &call.scope, ROUTE, &text)? else {
                let published = act(&api, &call, message).await?;
                return Ok((published, false));
            };
            call.key = Some(key.clone());
            // It is done to its end also when its caller has gone, who may ask again.
            let api = api.clone();
            let done = tokio::spawn(async move {
                let act = async {
                    let published = act(&api, &call, message).await?;
                    // Answers are kept as text.
                    Ok(Answered(STANDARD.encode(published.encode_to_vec()).into()))
                };
                api.0.once.run(&key, act).await
            });
            let (answer, replayed) = done.await.unwrap_or_else(|_| Err(Problem::internal()))?;
            let known = STANDARD.decode(&answer.0).ok();
            let known = known.and_then(|bytes| PublishResponse::decode(&*bytes).ok());
            let published = known.ok_or_else(Problem::internal)?; // others have written there
            Ok((published, replayed))
        };
        deadline.hold(act).await
    };
    let done = done.await;
    api.metrics()
        .count(&done.as_ref().map(|(_, replayed)| *replayed));
    match done {
        Err(problem) => refused(problem),
        Ok((published, replayed)) => {
            let mut response = answered(&published);
            if replayed {
                let value = HeaderValue::from_static("true");
                response.headers_mut().insert("idempotency-replayed", value);
            }
            response
        }
    }
}

async fn act(api: &Api, call: &Call, request: PublishRequest) -> Result<PublishResponse, Problem> {
    let (room, content) = decode::publish(request)?;
    let kind = message(call, 0, room.clone(), content)?;
    outcome(room, api.0.desk.ask(kind).await).map(Into::into)
}

impl From<Published> for PublishResponse {
    fn from(published: Published) -> Self {
        let position = published.epoch.zip(published.offset);
        Self {
            position: position.map(|(epoch, offset)| Position { epoch, offset }),
            timestamp: published.timestamp,
            duplicate: published.duplicate,
            not_deduplicated: published.deduplicated == Some(false),
        }
    }
}
