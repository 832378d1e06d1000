//! The lease that says which gateway minds dead letters: one key in the channel's bucket of leases, which the server
//! deletes when it was not renewed in time.
//!
//! Two gateways that both believed to hold it would do no harm: a dead letter has an id that makes its repeat the same
//! message, and what was deleted once is gone. The lease only spares NATS the same questions from each gateway.

use std::time::Duration;

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{Context, ErrorCode};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use crate::broker::nats::api::{ApiError, call};

/// How long the lease holds without a renewal.
const LEASE: Duration = Duration::from_secs(15);
/// When it is renewed, or asked for.
const RENEW: Duration = Duration::from_secs(5);
/// The key.
const KEY: &str = "dead-letters";

/// The lease as this gateway sees it.
pub struct Lease {
    bucket: String,
    /// What this process writes, to know its own entry again.
    me: String,
    /// The revision of the own entry, or of what stands in its place.
    revision: u64,
    /// Until when it is held for certain.
    until: Option<Instant>,
    /// When it is to be renewed, or asked for again.
    next: Instant,
}

/// The last message of a key.
#[derive(Deserialize)]
struct Last {
    message: Stored,
}

#[derive(Deserialize)]
struct Stored {
    seq: u64,
    /// Base64 of the value; absent in the mark of a key that has gone.
    #[serde(default)]
    data: String,
}

impl Lease {
    /// A lease in `bucket` that is not held yet; `gateway` is told to people who look at it.
    pub fn new(bucket: String, gateway: &str) -> Self {
        Self {
            bucket,
            me: format!("{gateway} {:016x}", rand::random::<u64>()),
            revision: 0,
            until: None,
            next: Instant::now(),
        }
    }

    /// Whether this gateway holds it.
    pub fn is_held(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    /// Renews or asks for it, where that is due.
    pub async fn tend(&mut self, jetstream: &Context) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + RENEW;
        let mut written = self.write(jetstream).await;
        if let Ok(false) = written {
            written = match self.look(jetstream).await {
                Ok(true) => self.write(jetstream).await,
                other => other,
            };
        }
        match written {
            // Counted from before the server could have counted.
            Ok(true) => {
                if !self.is_held() {
                    tracing::info!("this gateway minds the channel's dead letters");
                }
                self.until = Some(now + LEASE);
            }
            Ok(false) => self.until = None,
            Err(error) => tracing::debug!(%error, "the lease of the dead letters"),
        }
    }

    /// Writes the entry in the place of the revision that is known; gives whether it was still that one.
    async fn write(&mut self, jetstream: &Context) -> Result<bool, String> {
        let message = PublishMessage::build()
            .payload(self.me.clone().into())
            .expected_last_subject_sequence(self.revision)
            .ttl(LEASE);
        let subject = format!("$KV.{}.{KEY}", self.bucket);
        let sent = jetstream.send_publish(subject, message).await;
        match async { sent?.await }.await {
            Ok(ack) => {
                self.revision = ack.sequence;
                Ok(true)
            }
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Looks at what stands there; gives whether that is no other gateway's.
    async fn look(&mut self, jetstream: &Context) -> Result<bool, String> {
        use base64::Engine;
        let ask = json!({"last_by_subj": format!("$KV.{}.{KEY}", self.bucket)});
        let found = call::<Last>(
            jetstream,
            format!("STREAM.MSG.GET.KV_{}", self.bucket),
            &ask,
        );
        match found.await {
            Ok(Last { message }) => {
                self.revision = message.seq;
                let mine = base64::engine::general_purpose::STANDARD.encode(&self.me);
                Ok(message.data.is_empty() || message.data == mine)
            }
            Err(ApiError {
                code: Some(ErrorCode::NO_MESSAGE_FOUND),
                ..
            }) => {
                self.revision = 0;
                Ok(true)
            }
            Err(error) => Err(error.to_string()),
        }
    }
}
