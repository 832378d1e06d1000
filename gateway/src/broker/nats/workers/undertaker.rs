//! What becomes of a message that workers do not survive: the gateway that holds the lease puts it into the dead letters
//! and takes it out of the queue, so that its partition goes on.
//!
//! A worker that refuses a message, or gets one that was tried often enough, sets it aside itself. This is for the rest:
//! processes that die on it, or hang. NATS tells nobody of them: deliveries are not limited, so there is no advisory. But
//! a consumer has one message under way at most, so its state says all there is to know: while one is not acknowledged,
//! `delivered.stream_seq` is that message, and `delivered.consumer_seq` − `ack_floor.consumer_seq` is how often it was
//! delivered since the one before it was done. For how long the last delivery has stood is seen by looking twice: no
//! two clocks are compared.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::consumer::Info;
use async_nats::jetstream::{Context, ErrorCode};
use serde_json::json;
use tokio::time::Instant;

use super::assets::{Queue, consumer_name};
use crate::broker::nats::api::{ApiError, call};
use crate::broker::nats::health::Fault;
use crate::broker::nats::subjects::Subjects;

/// Whoever got a message so many times after the last that counts did not set it aside, as a worker should.
const GRACE: u64 = 2;
/// Headers of a dead letter; docs/workers.md explains them.
const REASON: &str = "Linnet-Dead-Reason";
const DELIVERIES: &str = "Linnet-Dead-Deliveries";
const INPUT: &str = "Linnet-Dead-Input";
const BY: &str = "Linnet-Dead-By";

/// A message that has been under way too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overdue {
    /// Its sequence in the work queue.
    pub sequence: u64,
    /// How often it was delivered.
    pub deliveries: u64,
}

/// What is seen of a partition's consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// Whether a message is delivered and not acknowledged.
    pub pending: bool,
    /// The last delivery, counted over all messages.
    pub delivery: u64,
    /// The last delivery of the messages that are done.
    pub done: u64,
    /// The message that was delivered last.
    pub sequence: u64,
}

impl Sight {
    fn of(info: &Info) -> Self {
        Self {
            pending: info.num_ack_pending > 0,
            delivery: info.delivered.consumer_sequence,
            done: info.ack_floor.consumer_sequence,
            sequence: info.delivered.stream_sequence,
        }
    }

    /// The message, if it is time to set it aside; its last delivery has been seen to stand for `stood`.
    fn overdue(
        self,
        max_deliveries: u64,
        acknowledge: Duration,
        stood: Duration,
    ) -> Option<Overdue> {
        let deliveries = self.delivery.saturating_sub(self.done);
        let tried = deliveries >= max_deliveries && stood >= acknowledge;
        let ignored = deliveries >= max_deliveries + GRACE;
        (self.pending && (tried || ignored)).then_some(Overdue {
            sequence: self.sequence,
            deliveries,
        })
    }
}

/// Since when each partition's last delivery has been seen to stand.
#[derive(Debug, Default)]
pub struct Watch(HashMap<u16, (u64, Instant)>);

impl Watch {
    /// Forgets what was seen: somebody else looks.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes in what is seen of a partition now; gives the message that is to be set aside.
    pub fn see(
        &mut self,
        partition: u16,
        sight: Sight,
        max_deliveries: u64,
        acknowledge: Duration,
        now: Instant,
    ) -> Option<Overdue> {
        let seen = self.0.entry(partition).or_insert((sight.delivery, now));
        if seen.0 != sight.delivery {
            *seen = (sight.delivery, now);
        }
        sight.overdue(max_deliveries, acknowledge, now.duration_since(seen.1))
    }
}

/// Does what is to be done.
pub struct Undertaker {
    /// JetStream.
    pub jetstream: Context,
    /// The channel's names.
    pub subjects: Subjects,
    /// This gateway's name.
    pub gateway: String,
    /// What was seen.
    pub watch: Watch,
}

impl Undertaker {
    /// Looks at all partitions and sets aside what workers do not survive; gives how many messages that were.
    ///
    /// # Errors
    /// When JetStream does not do it.
    pub async fn look(&mut self, queue: &Queue, consumers: &[Info]) -> Result<u64, ApiError> {
        let now = Instant::now();
        let mut buried = 0;
        for partition in 0..queue.partitions {
            let name = consumer_name(partition);
            let Some(info) = consumers.iter().find(|info| info.name == name) else {
                continue;
            };
            let overdue = self.watch.see(
                partition,
                Sight::of(info),
                queue.max_deliveries,
                info.config.ack_wait,
                now,
            );
            if let Some(overdue) = overdue {
                buried += u64::from(self.bury(queue, overdue).await?);
            }
        }
        Ok(buried)
    }

    /// Puts one message into the dead letters and takes it out of the queue, which ends its delivery as an
    /// acknowledgement would. Gives whether it was still there.
    async fn bury(&self, queue: &Queue, overdue: Overdue) -> Result<bool, ApiError> {
        let failed = |error: &dyn std::fmt::Display| ApiError::new(Fault::Other, error.to_string());
        let name = self.subjects.work_stream();
        let stream = self.jetstream.get_stream_no_info(&name).await;
        let stream = stream.map_err(|error| failed(&error))?;
        let message = match stream.get_raw_message(overdue.sequence).await {
            Ok(message) => message,
            // A worker was done with it in the last moment.
            Err(error) if error.to_string().contains("no message found") => return Ok(false),
            Err(error) => return Err(failed(&error)),
        };
        let headers = letter(message.headers, &queue.epoch, overdue, &self.gateway);
        let subject = self.subjects.dead(&message.subject);
        let sent = self
            .jetstream
            .publish_with_headers(subject, headers, message.payload)
            .await;
        let stored = async { sent?.await }.await;
        stored.map_err(|error| failed(&error))?;
        tracing::warn!(
            sequence = overdue.sequence,
            deliveries = overdue.deliveries,
            "workers do not survive a message: it is in the dead letters now"
        );
        let delete = json!({"seq": overdue.sequence, "no_erase": true});
        let deleted = call::<serde_json::Value>(
            &self.jetstream,
            format!("STREAM.MSG.DELETE.{name}"),
            &delete,
        );
        match deleted.await {
            Ok(_) => Ok(true),
            Err(error) if error.code == Some(ErrorCode::NO_MESSAGE_FOUND) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// The headers of a dead letter: those of the message, and why it is one. Its id makes a repeat the same letter.
fn letter(mut headers: HeaderMap, epoch: &str, overdue: Overdue, gateway: &str) -> HeaderMap {
    let input = format!("{epoch}:{}", overdue.sequence);
    let reason = format!(
        "delivered {} times and never acknowledged: workers died on it, or did not end in time",
        overdue.deliveries
    );
    headers.insert(NATS_MESSAGE_ID, format!("DEAD:{input}"));
    headers.insert(REASON, serde_json::Value::from(reason).to_string());
    headers.insert(DELIVERIES, overdue.deliveries.to_string());
    headers.insert(INPUT, input);
    let by = format!("gateway {gateway}");
    headers.insert(BY, serde_json::Value::from(by).to_string());
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(10);
    const MAX: u64 = 5;

    /// A message that was delivered `deliveries` times, after 100 deliveries of others.
    fn sight(deliveries: u64) -> Sight {
        Sight {
            pending: true,
            delivery: 100 + deliveries,
            done: 100,
            sequence: 77,
        }
    }

    fn see(watch: &mut Watch, sight: Sight, now: Instant) -> Option<Overdue> {
        watch.see(0, sight, MAX, WAIT, now)
    }

    #[test]
    fn the_last_delivery_has_its_time_before_the_message_is_set_aside() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        assert_eq!(see(&mut watch, sight(MAX), start), None);
        assert_eq!(see(&mut watch, sight(MAX), start + WAIT / 2), None);
        let overdue = Overdue {
            sequence: 77,
            deliveries: MAX,
        };
        assert_eq!(see(&mut watch, sight(MAX), start + WAIT), Some(overdue));
    }

    #[test]
    fn each_delivery_begins_the_time_anew() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        assert_eq!(see(&mut watch, sight(MAX), start), None);
        assert_eq!(see(&mut watch, sight(MAX + 1), start + WAIT), None);
        assert!(see(&mut watch, sight(MAX + 1), start + WAIT * 2).is_some());
    }

    #[test]
    fn workers_that_die_at_each_delivery_do_not_put_it_off_for_ever() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        assert_eq!(see(&mut watch, sight(MAX + 1), start), None);
        assert!(see(&mut watch, sight(MAX + GRACE), start).is_some());
    }

    #[test]
    fn what_is_tried_less_often_or_acknowledged_stays() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let done = Sight {
            pending: false,
            ..sight(0)
        };
        for now in [start, start + WAIT * 100] {
            assert_eq!(see(&mut watch, sight(MAX - 1), now), None);
            assert_eq!(watch.see(1, done, MAX, WAIT, now), None);
        }
    }

    #[test]
    fn a_dead_letter_keeps_the_headers_of_the_message_but_its_id() {
        let mut headers = HeaderMap::new();
        headers.insert("Linnet-From", "\"ann\"");
        headers.insert(NATS_MESSAGE_ID, "first");
        let overdue = Overdue {
            sequence: 7,
            deliveries: 5,
        };
        let headers = letter(headers, "e", overdue, "g");
        let value = |name: &str| headers.get(name).unwrap().to_string();
        assert_eq!(value("Linnet-From"), "\"ann\"");
        assert_eq!(headers.get(NATS_MESSAGE_ID).unwrap().as_str(), "DEAD:e:7");
        assert_eq!(value(INPUT), "e:7");
        assert_eq!(value(BY), "\"gateway g\"");
        assert!(value(REASON).starts_with("\"delivered 5 times"));
    }
}
