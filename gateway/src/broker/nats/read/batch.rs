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

/// Bytes after which the server ends a batch. Left to itself it sends as much as may wait for a connection at all
/// (`max_pending`), and may then close that as too slow.
const BATCH_BYTES: usize = 1024 * 1024;

/// A run of a room's messages.
#[derive(Default)]
pub(super) struct Found {
    pub messages: Vec<Arc<Message>>,
    /// Their positions, and those of what could not be read.
    pub positions: Vec<Offset>,
    /// How many follow.
    pub more: u64,
}

/// How a read goes on after a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// With the next batch.
    Next,
    /// With the same question: the copy that has answered lacks something.
    Again,
    /// It has all that was asked for.
    Done,
}

impl Found {
    /// How a read of at most `limit` messages after a position goes on: the last batch brought something or, `none`,
    /// nothing. `last` is the room's last message as the leader knows it, where there are other copies.
    pub fn step(&self, none: bool, after: Offset, limit: usize, last: Option<Offset>) -> Step {
        let reached = self.positions.last().copied();
        if self.more > 0 && self.messages.len() < limit && !none {
            return Step::Next; // the server ends a batch early where it is large
        }
        match self.more > 0 || last <= Some(after) || reached >= last {
            true => Step::Done,
            false => Step::Again,
        }
    }
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
            "max_bytes": BATCH_BYTES,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Payload;

    /// Messages at these positions, and how many follow them.
    fn found(positions: &[u64], more: u64) -> Found {
        let message = |at: &u64| Message {
            room: RoomName::parse("r").unwrap(),
            offset: Some(Offset(*at)),
            timestamp: 1,
            from: None,
            event: None,
            data: Payload::Text("x".into()),
            info: None,
            skip: None,
            trace: None,
        };
        Found {
            messages: positions.iter().map(|at| Arc::new(message(at))).collect(),
            positions: positions.iter().copied().map(Offset).collect(),
            more,
        }
    }

    #[test]
    fn a_batch_that_was_cut_short_is_followed_by_the_next() {
        let step = |found: Found, none| found.step(none, Offset(1), 3, None);
        assert_eq!(step(found(&[2, 3], 5), false), Step::Next);
        assert_eq!(step(found(&[2, 3, 4], 5), false), Step::Done, "enough");
        assert_eq!(step(found(&[2, 3], 0), false), Step::Done, "that was all");
        assert_eq!(step(found(&[2], 5), true), Step::Done, "it brings no more");
    }

    #[test]
    fn a_copy_that_has_not_come_as_far_as_the_leader_is_asked_again() {
        let step = |found: Found, last| found.step(false, Offset(1), 3, last);
        let leader = Some(Offset(4));
        assert_eq!(step(found(&[2, 3], 0), leader), Step::Again);
        assert_eq!(step(found(&[], 0), leader), Step::Again);
        assert_eq!(step(found(&[2, 3, 4], 0), leader), Step::Done);
        assert_eq!(step(found(&[2, 5], 0), leader), Step::Done, "further yet");
        assert_eq!(
            step(found(&[], 0), Some(Offset(1))),
            Step::Done,
            "nothing since"
        );
        assert_eq!(step(found(&[], 0), None), Step::Done, "nothing ever");
    }
}
