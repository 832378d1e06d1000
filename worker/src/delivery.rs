//! One message in a worker's hands: it is acknowledged, put off, or set aside, and its output published, all only while it
//! is still this worker's.

use std::time::Duration;

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::{Client, HeaderMap, jetstream};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::input::{Input, Malformed};
use crate::names::Channel;
use crate::output::{Output, quoted};
use crate::queue::{Queue, api};

/// Pause before what NATS did not take is published again.
const PAUSE: Duration = Duration::from_millis(250);
/// How long the server has to confirm an acknowledgement.
const CONFIRM: Duration = Duration::from_secs(2);
/// Pause before a message is tried a second time; it doubles with each, up to the time to acknowledge.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Bytes of a reason that are kept.
const REASON: usize = 1024;

/// A message that was delivered to this worker.
pub(crate) struct Delivery {
    pub message: async_nats::Message,
    /// The subject that acknowledges it.
    pub reply: String,
    /// Its sequence in the work queue.
    pub sequence: u64,
    /// The number of this delivery, among all of its partition.
    pub number: u64,
    /// How often it was delivered.
    pub deliveries: u64,
    /// A time before it was delivered.
    pub since: Instant,
}

/// Why a worker lets go of a message without a word to the server.
#[derive(Debug)]
pub(crate) enum Lost {
    /// It was delivered again, or set aside: it is somebody else's.
    Taken,
    /// An output can't be published as it is.
    Refused(String),
}

/// What the server tells of a partition's consumer.
#[derive(Debug, Deserialize)]
pub(crate) struct State {
    /// The last delivery.
    pub delivered: Delivered,
    /// How many messages are delivered and not acknowledged: one or none.
    pub num_ack_pending: u64,
}

/// A place among deliveries.
#[derive(Debug, Deserialize)]
pub(crate) struct Delivered {
    /// Counted over all messages of the partition.
    pub consumer_seq: u64,
}

/// What deliveries need.
#[derive(Clone)]
pub(crate) struct Desk {
    pub client: Client,
    pub jetstream: jetstream::Context,
    pub channel: Channel,
    pub queue: Queue,
    pub partition: u16,
    /// The worker's name, for people who look at dead letters.
    pub name: String,
    /// Whether it is time to end.
    pub stop: watch::Receiver<bool>,
}

impl Delivery {
    /// Reads what came of a request for messages; `None` where it is no message of a stream.
    pub fn read(
        jetstream: &jetstream::Context,
        message: async_nats::Message,
        since: Instant,
    ) -> Option<Self> {
        let reply = message.reply.clone()?.to_string();
        let context = jetstream.clone();
        let message = jetstream::Message { message, context };
        let (sequence, number, deliveries) = {
            let info = message.info().ok()?;
            let deliveries = u64::try_from(info.delivered).unwrap_or(1);
            (info.stream_sequence, info.consumer_sequence, deliveries)
        };
        Some(Self {
            message: message.message,
            reply,
            sequence,
            number,
            deliveries,
            since,
        })
    }

    /// The message as the handler gets it.
    ///
    /// # Errors
    /// When it is none of a gateway.
    pub fn input(&self) -> Result<Input, Malformed> {
        let headers = self.message.headers.clone().unwrap_or_default();
        Input::read(
            &self.message.subject,
            headers,
            &self.message.payload,
            self.deliveries,
        )
    }
}

impl Desk {
    /// Publishes the outputs of a message, then acknowledges it. What NATS does not take just now is published again for
    /// as long as the message is this worker's: that is no fault of the message.
    pub async fn finish(&self, delivery: &Delivery, outputs: Vec<Output>) -> Result<(), Lost> {
        let mut kept = delivery.since;
        for (number, output) in outputs.into_iter().enumerate() {
            let id = format!("IN:{}:{}:{number}", self.queue.epoch, delivery.sequence);
            let (subject, headers, payload) =
                output.encode(&self.channel, self.queue.history_partitions, &id);
            self.publish(delivery, &mut kept, subject, headers, payload)
                .await?;
        }
        self.answer(delivery, "+ACK".to_owned()).await;
        Ok(())
    }

    /// Puts a message into the dead letters, then ends its delivery.
    pub async fn bury(&self, delivery: &Delivery, reason: &str) -> Result<(), Lost> {
        let reason = &reason[..reason.floor_char_boundary(REASON)];
        let input = format!("{}:{}", self.queue.epoch, delivery.sequence);
        let mut headers = HeaderMap::new();
        for (name, values) in delivery.message.headers.iter().flat_map(HeaderMap::iter) {
            let name: &str = name.as_ref();
            if let Some(value) = values.first().filter(|_| !name.starts_with("Nats-")) {
                headers.insert(name, value.clone());
            }
        }
        headers.insert("Nats-Msg-Id", format!("DEAD:{input}"));
        headers.insert("Linnet-Dead-Reason", quoted(reason));
        headers.insert("Linnet-Dead-Deliveries", delivery.deliveries.to_string());
        headers.insert("Linnet-Dead-Input", input);
        headers.insert("Linnet-Dead-By", quoted(&self.name));
        let subject = self.channel.dead(&delivery.message.subject);
        let payload = delivery.message.payload.clone();
        let mut since = delivery.since;
        self.publish(delivery, &mut since, subject, headers, payload)
            .await?;
        tracing::warn!(
            sequence = delivery.sequence,
            deliveries = delivery.deliveries,
            reason,
            "a message goes to the dead letters"
        );
        self.answer(delivery, "+TERM dead letter".to_owned()).await;
        Ok(())
    }

    /// Lets the message come again after a pause. Nothing else of its partition comes before it.
    pub async fn put_off(&self, delivery: &Delivery) {
        let doublings = delivery.deliveries.saturating_sub(1).min(16) as u32;
        let pause = (FIRST_PAUSE * 2u32.pow(doublings)).min(self.queue.acknowledge);
        let ask = json!({"delay": pause.as_nanos() as u64});
        self.answer(delivery, format!("-NAK {ask}")).await;
    }

    /// Ends the delivery. Where the server does not confirm it the message comes again, and its output is known.
    async fn answer(&self, delivery: &Delivery, words: String) {
        let request = async_nats::Request::new()
            .payload(words.into())
            .timeout(Some(CONFIRM));
        let sent = self.client.send_request(delivery.reply.clone(), request);
        if let Err(error) = sent.await {
            let sequence = delivery.sequence;
            tracing::info!(sequence, %error, "an acknowledgement was not confirmed");
        }
    }

    async fn publish(
        &self,
        delivery: &Delivery,
        kept: &mut Instant,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<(), Lost> {
        loop {
            self.keep(delivery, kept).await?;
            let sent = self.jetstream.publish_with_headers(
                subject.clone(),
                headers.clone(),
                payload.clone(),
            );
            match async { sent.await?.await }.await {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                    return Err(Lost::Refused(error.to_string()));
                }
                // It comes again, to another worker.
                Err(_) if *self.stop.borrow() => return Err(Lost::Taken),
                Err(error) => {
                    tracing::warn!(subject, %error, "NATS did not take a message: again");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Sees to it that the message is this worker's and stays so; `kept` is since when the server counts. Young deliveries are: the server hands a
    /// message to another worker only once the time to acknowledge is over. For older ones it is asked; a pause of this
    /// process between the answer and the publish can't be excluded, so this is a best effort, and inside the window the
    /// output's id is what holds.
    pub async fn keep(&self, delivery: &Delivery, kept: &mut Instant) -> Result<(), Lost> {
        let half = self.queue.acknowledge / 2;
        if delivery.since.elapsed() < half {
            return Ok(());
        }
        if !self.is_ours(delivery).await {
            return Err(Lost::Taken);
        }
        if kept.elapsed() > half / 2 {
            *kept = Instant::now();
            let reply = delivery.reply.clone();
            // In progress: the server counts the time from here again.
            let _ = self.client.publish(reply, "+WPI".into()).await;
        }
        Ok(())
    }

    /// Whether the last delivery of the partition is this one, and not ended.
    async fn is_ours(&self, delivery: &Delivery) -> bool {
        match self.state().await {
            Ok(state) => {
                state.num_ack_pending > 0 && state.delivered.consumer_seq == delivery.number
            }
            // Nobody else was told of by anyone; what is published next fails as well, most likely.
            Err(error) => {
                tracing::info!(error, "the consumer's state can't be read");
                true
            }
        }
    }
    /// What the server knows of the partition.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn state(&self) -> Result<State, String> {
        let consumer = self.channel.consumer(self.partition);
        let ask = format!("CONSUMER.INFO.{}.{consumer}", self.channel.work_stream());
        api(&self.client, &ask, &json!({})).await
    }
}
