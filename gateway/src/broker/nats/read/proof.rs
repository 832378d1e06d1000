//! What proves that a read is complete, and what only the stream's leader knows.

use async_nats::jetstream::{Context, ErrorCode};
use serde::Deserialize;

use crate::broker::nats::api::{ApiError, call};
use crate::broker::nats::stream::Stream;
use crate::names::Offset;

/// What proves that a read is complete.
pub(super) struct Proof {
    /// Whether it was read from the store that is known here.
    pub same_store: bool,
    /// The first message that is kept of the room.
    pub first: Option<Offset>,
    /// The stream as it is after the read.
    pub stream: Stream,
}

impl Proof {
    /// Whether all that ever followed `after` in the room are the `following` ones that are there.
    pub fn holds(&self, after: Offset, following: u64) -> bool {
        // Limits take the oldest first: while one at or before the position is kept, none after it has gone.
        let older_is_kept = self.first.is_some_and(|first| first <= after);
        let nothing_aged = after.0 + 1 >= self.stream.first.0;
        let below_limit = following < self.stream.per_room as u64;
        self.same_store
            && after <= self.stream.last
            && (older_is_kept || nothing_aged && below_limit)
    }
}

/// The position of the message that is asked for, as the leader knows it.
pub(super) async fn of_leader(
    jetstream: &Context,
    stream: &str,
    ask: &serde_json::Value,
) -> Result<Option<Offset>, ApiError> {
    #[derive(Deserialize)]
    struct Answer {
        message: Last,
    }
    #[derive(Deserialize)]
    struct Last {
        seq: u64,
    }
    match call::<Answer>(jetstream, format!("STREAM.MSG.GET.{stream}"), ask).await {
        Ok(answer) => Ok(Some(Offset(answer.message.seq))),
        Err(error) if error.code == Some(ErrorCode::NO_MESSAGE_FOUND) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Epoch;

    fn proof(first_of_room: Option<u64>, first_of_stream: u64) -> Proof {
        Proof {
            same_store: true,
            first: first_of_room.map(Offset),
            stream: Stream {
                epoch: Epoch::random(),
                first: Offset(first_of_stream),
                last: Offset(100),
                messages: 1,
                bytes: 1,
                per_room: 10,
                replicas: 1,
            },
        }
    }

    #[test]
    fn a_message_at_or_before_the_position_that_is_kept_proves_all_after_it() {
        assert!(proof(Some(5), 3).holds(Offset(5), 10));
        assert!(proof(Some(4), 3).holds(Offset(5), 10));
        assert!(!proof(Some(6), 3).holds(Offset(5), 10));
    }

    #[test]
    fn without_one_there_must_be_room_for_more_and_nothing_aged_since() {
        assert!(proof(Some(6), 3).holds(Offset(5), 9));
        assert!(proof(None, 6).holds(Offset(5), 0));
        assert!(
            !proof(None, 7).holds(Offset(5), 0),
            "6 is gone from the stream"
        );
    }

    #[test]
    fn a_position_beyond_the_end_or_of_another_store_is_never_proven() {
        assert!(!proof(Some(5), 3).holds(Offset(101), 0));
        let mut other = proof(Some(5), 3);
        other.same_store = false;
        assert!(!other.holds(Offset(5), 1));
    }
}
