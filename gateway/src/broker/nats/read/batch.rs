//! One batch of direct gets: what a copy of the stream has of a room from a position on. NATS gives no client for them.

use std::sync::Arc;

use async_nats::header::IntoHeaderName;
use async_nats::{HeaderMap, Message as Heard, StatusCode, datetime, header};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::json;

use super::Shared;
use crate::broker::nats::api::ApiError;
use crate::broker::nats::health::Fault;
use crate::broker::nats::wire;
use crate::message::Message;
use crate::names::{Offset, RoomName};

/// A run of a room's messages.
#[derive(Default)]
pub(super) struct Found {
    pub messages: Vec<Arc<Message>>,
    /// Their positions, and those of what could not be read.
    pub positions: Vec<Offset>,
    /// How many follow.
    pub more: u64,
}

impl Shared {
    /// One batch of direct gets (ADR-31): messages of a room from a position on.
    pub(super) async fn batch(
        &self,
        room: &RoomName,
        from: Offset,
        limit: usize,
    ) -> Result<Found, ApiError> {
        let partition = self.parts.subjects.partition(room);
        let stream = self.parts.subjects.stream(partition);
        let ask = json!({
            "seq": from.0,
            "next_by_subj": self.parts.subjects.stored(room),
            "batch": limit,
        });
        let client = &self.parts.connection.client;
        let inbox = client.new_inbox();
        let other = |error: String| ApiError::new(Fault::Other, error);
        let mut answers = client
            .subscribe(inbox.clone())
            .await
            .map_err(|error| other(error.to_string()))?;
        client
            .publish_with_reply(
                format!("$JS.API.DIRECT.GET.{stream}"),
                inbox,
                Bytes::from(ask.to_string()),
            )
            .await
            .map_err(|error| other(error.to_string()))?;
        let mut found = Found::default();
        while let Some(answer) = answers.next().await {
            match answer.status {
                None | Some(StatusCode::OK) => {
                    found.more = number(&answer, "Nats-Num-Pending").unwrap_or_default();
                    found
                        .positions
                        .extend(number(&answer, header::NATS_SEQUENCE).map(Offset));
                    found.messages.extend(self.message(room, &answer));
                }
                // The end of the batch, or no message at all.
                Some(status) if [204, 404].contains(&status.as_u16()) => {
                    found.more = number(&answer, "Nats-Num-Pending").unwrap_or_default();
                    return Ok(found);
                }
                Some(StatusCode::NO_RESPONDERS) => {
                    return Err(ApiError::new(
                        Fault::NoLeader,
                        "nobody answers a direct get",
                    ));
                }
                Some(status) => {
                    let detail = answer.description.unwrap_or_default();
                    return Err(other(format!("a direct get: {status} {detail}")));
                }
            }
        }
        Err(other("a direct get was not answered".to_owned()))
    }

    fn message(&self, room: &RoomName, answer: &Heard) -> Option<Arc<Message>> {
        let offset = number(answer, header::NATS_SEQUENCE)?;
        let time = text(answer.headers.as_ref(), header::NATS_TIME_STAMP)?;
        let time = datetime::parse_rfc3339(time).ok()?.unix_timestamp_nanos() / 1_000_000;
        let stored = (Offset(offset), u64::try_from(time).ok()?);
        let headers = answer.headers.as_ref();
        wire::decode(room.clone(), headers, &answer.payload, Some(stored))
            .map_err(|error| {
                let detail = format!("{room} at {offset}: {error}");
                self.parts.health.set(Fault::Malformed, detail);
            })
            .ok()
            .map(Arc::new)
    }
}

fn text(headers: Option<&HeaderMap>, name: impl IntoHeaderName) -> Option<&str> {
    headers?.get(name).map(|value| value.as_str())
}

fn number(answer: &Heard, name: impl IntoHeaderName) -> Option<u64> {
    text(answer.headers.as_ref(), name)?.parse().ok()
}
