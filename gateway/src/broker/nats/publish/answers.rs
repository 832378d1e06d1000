//! What JetStream says of what was sent: where it lies, that it is refused, or that it is to come again.

use async_nats::StatusCode;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use tokio::time::Instant;

use super::super::{api, refusal};
use super::Run;
use super::held::PAUSES;
use super::job::Sent;
use crate::broker::nats::health::Fault;
use crate::broker::{PublishError, Receipt};
use crate::names::Offset;

impl Run {
    /// An answer to something that was sent.
    pub(super) async fn answered(&mut self, answer: async_nats::Message) {
        let number = answer
            .subject
            .rsplit('.')
            .next()
            .and_then(|end| end.parse().ok());
        let Some((number, sent)) =
            number.and_then(|number: u64| Some((number, self.sent.remove(&number)?)))
        else {
            return; // its deadline has passed
        };
        if answer.status == Some(StatusCode::NO_RESPONDERS) {
            self.publisher.health.set_of(
                Fault::NoLeader,
                sent.job.partition,
                "no stream takes the message",
            );
            return self.held.hold(number, sent);
        }
        match serde_json::from_slice::<Response<PublishAck>>(&answer.payload) {
            Ok(Response::Ok(ack)) => self.acknowledged(sent, ack),
            Ok(Response::Err { error }) => {
                let code = error.error_code();
                let again = [
                    ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT,
                    ErrorCode::STREAM_TOO_MANY_REQUESTS,
                    ErrorCode::CLUSTER_NOT_LEADER,
                    ErrorCode::CLUSTER_NOT_AVAILABLE,
                ];
                if again.contains(&code) || error.code() == 429 {
                    let conflict =
                        sent.conflict || code == ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT;
                    return self.held.hold(number, Sent { conflict, ..sent });
                }
                let fault = api::fault(&error);
                self.publisher
                    .health
                    .set_of(fault, sent.job.partition, error.to_string());
                self.answer(&sent.job, Err(refusal::answered(fault)));
            }
            Err(error) => {
                self.publisher
                    .health
                    .set(Fault::Malformed, format!("an acknowledgement: {error}"));
                self.answer(&sent.job, Err(PublishError::OutcomeUnknown));
            }
        }
        self.release().await;
    }

    /// It is stored: tells where, if that is known.
    pub(super) fn acknowledged(&mut self, sent: Sent, ack: PublishAck) {
        let partition = sent.job.partition;
        for fault in [Fault::StorageFull, Fault::AccountLimit, Fault::NoLeader] {
            self.publisher.health.clear_of(fault, partition);
        }
        let Some(place) = self.publisher.places.get(usize::from(partition)) else {
            // Nobody can ask for a position of the work queue.
            let receipt = Receipt {
                position: None,
                timestamp: None,
                duplicate: ack.duplicate,
                deduplicated: true,
            };
            return self.answer(&sent.job, Ok(receipt));
        };
        let then = sent.place.clone();
        let before = then.as_ref().map_or(Offset(0), |(_, last)| *last);
        let made_anew = !ack.duplicate && ack.sequence <= before.0;
        let Some((epoch, _)) = place.now() else {
            return self.settle_later(sent, ack);
        };
        let same_epoch = then.is_some_and(|(then, _)| then == epoch);
        match (same_epoch, made_anew) {
            (true, false) | (false, true) => {
                let receipt = Receipt {
                    position: Some((epoch, Offset(ack.sequence))),
                    timestamp: None,
                    duplicate: ack.duplicate,
                    deduplicated: true,
                };
                self.answer(&sent.job, Ok(receipt));
            }
            // It lies in a store whose epoch is not known here yet.
            (true, true) => {
                place.suspect();
                self.settle_later(sent, ack);
            }
            // In which of two stores it lies can't be told.
            (false, false) => self.answer(&sent.job, Err(PublishError::OutcomeUnknown)),
        }
    }

    fn settle_later(&mut self, sent: Sent, ack: PublishAck) {
        if self.unsettled.is_empty() {
            self.settle_at = Instant::now() + PAUSES[0];
        }
        self.unsettled.push((sent, ack));
    }
}
