//! A call with one message and one answer: who it is from, how long it may take, and what is told.

use axum::extract::Request;
use axum::response::Response;
use prost::Message;
use tokio::time::timeout;

use super::super::Api;
use super::super::call::{BODY_TIME, Call};
use super::super::problem::Problem;
use super::request::{Deadline, Messages};
use super::response::{answered, refused};
use crate::auth::api_keys::Scope;

/// Does a call that has the scope: `act` gets its message.
pub(super) async fn look<M, A, F>(
    api: Api,
    scope: Scope,
    request: Request,
    act: impl FnOnce(Api, Call, M) -> F,
) -> Response
where
    M: Message + Default + 'static,
    A: Message,
    F: Future<Output = Result<A, Problem>>,
{
    let (parts, body) = request.into_parts();
    let done = async {
        let deadline = Deadline::of(&parts.headers)?;
        let call = Call::admit(&api, scope, &parts.headers)?;
        let messages = Messages::of(&api, &call.channel.limits, &parts.headers, body)?;
        let act = async { act(api.clone(), call, only(messages).await?).await };
        deadline.hold(act).await
    };
    let done = done.await;
    api.metrics().count(&done.as_ref().map(|_| false));
    match done {
        Ok(answer) => answered(&answer),
        Err(problem) => refused(problem),
    }
}

/// The one message of a call.
pub(super) async fn only<M: Message + Default + 'static>(
    messages: Messages<M>,
) -> Result<M, Problem> {
    let read = timeout(BODY_TIME, messages.only()).await;
    read.map_err(|_| Problem::body_too_slow())?
}
