//! How a call comes in and how its answer leaves: who it is from, whether it may, how much it brings.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request};
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use linnet_telemetry::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Api;
use super::once::Key;
use super::problem::Problem;
use crate::auth::Verb;
use crate::auth::api_access::Caller;
use crate::auth::api_keys::Scope;
use crate::config::{Channel, Limits};
use crate::names::{ConnectionId, RoomName, UserId};
use crate::protocol::ErrorCode;

/// How long a body may take.
pub(super) const BODY_TIME: Duration = Duration::from_secs(10);
/// Largest body, unless one message may be larger.
const BODY_SIZE: usize = 4 * 1024 * 1024;

/// A call that was let in.
pub(super) struct Call {
    /// Who calls.
    pub(super) caller: Caller,
    /// Tells the caller from others.
    pub(super) scope: Vec<u8>,
    /// The configuration that holds for it.
    pub(super) channel: Arc<Channel>,
    /// The caller's own trace.
    pub(super) trace: Option<Context>,
    /// What tells that it is sent again.
    pub(super) key: Option<Key>,
}

impl Call {
    /// Lets a call in that has the scope, and counts it.
    pub(super) fn admit(api: &Api, scope: Scope, headers: &HeaderMap) -> Result<Self, Problem> {
        let channel = api.0.channel.load_full();
        let authorization = headers.get(AUTHORIZATION);
        let authorization = authorization.and_then(|value| value.to_str().ok());
        let caller = api
            .0
            .access
            .allow(authorization, scope, channel.tokens.as_ref())?;
        let call = Self {
            scope: caller.scope(),
            caller,
            channel,
            trace: trace(headers),
            key: None,
        };
        call.count(api, 1)?;
        Ok(call)
    }

    /// A room that it names, if it may do this there.
    pub(super) fn room(&self, name: &str, verb: Verb) -> Result<RoomName, Problem> {
        let room = RoomName::parse(name);
        let room = room.map_err(|error| Problem::new(ErrorCode::BadRoom, error.to_string()))?;
        self.check(verb, &room).map(|()| room)
    }

    /// Whether it may do this in a room.
    pub(super) fn check(&self, verb: Verb, room: &RoomName) -> Result<(), Problem> {
        match self.caller.may(verb, room, &self.channel.rules) {
            true => Ok(()),
            false => Err(ErrorCode::Forbidden.into()),
        }
    }

    /// How many it wants: 100, unless it says so.
    pub(super) fn limit(&self, asked: Option<usize>, most: usize) -> Result<usize, Problem> {
        match asked.unwrap_or(100) {
            0 => Err(Problem::bad_request("`limit` must be at least 1")),
            limit if limit > most => Err(Problem::bad_request(format!(
                "`limit` must be at most {most}"
            ))),
            limit => Ok(limit),
        }
    }

    /// Counts that many messages or questions.
    pub(super) fn count(&self, api: &Api, amount: usize) -> Result<(), Problem> {
        let counted = api.0.rates.take(&self.scope, amount);
        counted.map_err(Problem::rate_limited)
    }
}

/// One that is not valid is as good as none, and so is more than one (W3C Trace Context §4.3).
fn trace(headers: &HeaderMap) -> Option<Context> {
    let mut values = headers.get_all("traceparent").iter();
    let text = values.next()?.to_str().ok()?;
    values.next().is_none().then(|| Context::parse(text))?
}

/// An answer, once it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answered(pub(super) Vec<u8>);

impl Answered {
    /// One with this body.
    pub(super) fn json(body: &impl Serialize) -> Self {
        Self(serde_json::to_vec(body).unwrap_or_default()) // texts and numbers always serialize
    }
}

impl IntoResponse for Answered {
    fn into_response(self) -> Response {
        let kind = [(CONTENT_TYPE, "application/json")];
        (StatusCode::OK, kind, self.0).into_response()
    }
}

/// Does a call of `route` that changes something: `act` gets the text of its body. One with an Idempotency-Key is done to
/// its end also when its caller has gone, who may ask again.
pub(super) async fn write<F>(
    api: Api,
    route: &'static str,
    scope: Scope,
    request: Request,
    act: impl FnOnce(Api, Call, String) -> F + Send + 'static,
) -> Response
where
    F: Future<Output = Result<Answered, Problem>> + Send + 'static,
{
    let (parts, body) = request.into_parts();
    let metrics = Arc::clone(api.metrics());
    let done = async {
        let mut call = Call::admit(&api, scope, &parts.headers)?;
        let text = read(&api, &call.channel.limits, &parts, body).await?;
        let Some(key) = Key::of(&parts.headers, &call.scope, route, text.as_bytes())? else {
            return act(api, call, text).await.map(|answer| (answer, false));
        };
        call.key = Some(key.clone());
        let doing = async move {
            let act = act(api.clone(), call, text);
            api.0.once.run(&key, act).await
        };
        let done = tokio::spawn(doing).await;
        done.unwrap_or_else(|_| Err(Problem::internal()))
    };
    let done = done.await;
    metrics.count(&done.as_ref().map(|(_, replayed)| *replayed));
    match done {
        Ok((answer, false)) => answer.into_response(),
        Ok((answer, true)) => {
            let replayed = HeaderName::from_static("idempotency-replayed");
            ([(replayed, "true")], answer).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

/// Does a call that only looks: `act` gets what its query says.
pub(super) async fn look<Q, F>(
    api: Api,
    scope: Scope,
    request: Request,
    act: impl FnOnce(Api, Call, Q) -> F,
) -> Response
where
    Q: DeserializeOwned,
    F: Future<Output = Result<Answered, Problem>>,
{
    let (parts, _) = request.into_parts();
    let done = async {
        let call = Call::admit(&api, scope, &parts.headers)?;
        let Query(asked) = Query::try_from_uri(&parts.uri)
            .map_err(|error| Problem::bad_request(format!("the query is not right: {error}")))?;
        act(api.clone(), call, asked).await
    };
    let done = done.await;
    api.0.metrics.count(&done.as_ref().map(|_| false));
    done.into_response()
}

/// A user, or the anonymous connection of that name.
pub(super) fn addressee(name: &str) -> Result<UserId, Problem> {
    let user = match ConnectionId::parse(name) {
        Some(connection) => Some(UserId::anonymous(connection)),
        None => UserId::from_token(name),
    };
    user.ok_or(Problem::bad_request(
        "a user's name is 1 to 256 bytes without control characters, and begins with ~ only where it is a connection_id",
    ))
}

/// Reads a body of JSON text.
async fn read(api: &Api, limits: &Limits, parts: &Parts, body: Body) -> Result<String, Problem> {
    if !is_json(&parts.headers) {
        return Err(Problem::not_json());
    }
    let limit = BODY_SIZE.max(limits.frame_size());
    let length = parts.headers.get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let length = length.unwrap_or(limit); // in chunks, it may be as large
    if length > limit {
        return Err(Problem::body_too_large(limit));
    }
    let permits = u32::try_from(length).unwrap_or(u32::MAX);
    let room = api.0.bodies.try_acquire_many(permits);
    let _room = room.map_err(|_| Problem::from(ErrorCode::Overloaded))?;
    let read = tokio::time::timeout(BODY_TIME, to_bytes(body, limit)).await;
    let bytes = read.map_err(|_| Problem::body_too_slow())?;
    let bytes = bytes.map_err(|_| Problem::body_too_large(limit))?;
    String::from_utf8(bytes.into()).map_err(|_| Problem::bad_request("the body is not UTF-8"))
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}
