//! Answers of the server APIs, where all gateways of a channel find them: a key-value bucket, made when the first one is to
//! be kept.
//!
//! A claim is a value with a time to live, so that one whose gateway has died ends; it is written only where there is
//! none, and the answer takes its place only while it is there. The server decides both, by the sequence of the last
//! value.

use std::time::Duration;

use async_nats::header::{NATS_MESSAGE_TTL, NATS_ROLLUP};
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, DiscardPolicy, LastRawMessageErrorKind};

use super::connection::Connection;
use super::stream::OWNER;
use super::subjects::Subjects;

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Bytes of answers; beyond it the oldest go.
const BYTES: i64 = 64 * 1024 * 1024;
/// How long a claim stands: longer than a call takes.
const CLAIM: Duration = Duration::from_secs(20);
/// How often a call's answer is put down before it is given up: within the time of its claim.
const TRIES: u32 = 4;
/// Between two tries.
const AGAIN: Duration = Duration::from_secs(1);

/// The stream behind the bucket of a channel (NATS ADR-8).
#[must_use]
pub fn config(subjects: &Subjects, replicas: usize) -> Config {
    let bucket = subjects.answers_bucket();
    Config {
        name: format!("KV_{bucket}"),
        description: Some("Linnet: answers by Idempotency-Key".into()),
        subjects: vec![format!("$KV.{bucket}.>")],
        max_messages_per_subject: 1,
        max_age: KEPT,
        max_bytes: BYTES,
        num_replicas: replicas.max(1),
        discard: DiscardPolicy::Old,
        allow_rollup: true,
        deny_delete: true,
        allow_message_ttl: true,
        metadata: [(OWNER.to_owned(), subjects.owner())].into(),
        ..Config::default()
    }
}

/// The bucket.
#[derive(Clone)]
pub struct Answers {
    connection: Connection,
    jetstream: Context,
    subjects: Subjects,
    replicas: usize,
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}

/// A key that is this gateway's until it is settled or released, or its time is over.
#[derive(Debug)]
pub struct Claim {
    subject: String,
    sequence: u64,
}

/// Why a key was not claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// It has this value.
    #[error("the key is taken")]
    Taken(String),
    /// Try again: nothing was done.
    #[error(
        "not done: the answer of a call with an Idempotency-Key can't be kept now, try again: {0}"
    )]
    Unavailable(String),
}

impl Answers {
    pub(super) fn new(
        connection: Connection,
        jetstream: Context,
        subjects: Subjects,
        replicas: usize,
    ) -> Self {
        Self {
            connection,
            jetstream,
            subjects,
            replicas,
        }
    }

    /// Puts a value down where there is none, for as long as a claim stands.
    ///
    /// # Errors
    /// Where there is one, and where nobody can tell.
    pub async fn claim(&self, id: &str, value: &str) -> Result<Claim, ClaimError> {
        if !self.connection.is_up() {
            let reason = "there is no connection to NATS".to_owned();
            return Err(ClaimError::Unavailable(reason));
        }
        let subject = format!("$KV.{}.{id}", self.subjects.answers_bucket());
        let mut last = 0;
        let mut made = false;
        // At most: the bucket is not there, and then a mark of a claim that was given up.
        for _ in 0..4 {
            let claim = PublishMessage::build()
                .expected_last_subject_sequence(last)
                .ttl(CLAIM)
                .payload(value.to_owned().into());
            let error = match self.put(&subject, claim).await {
                Ok(sequence) => return Ok(Claim { subject, sequence }),
                Err(error) => error,
            };
            match error.kind() {
                PublishErrorKind::StreamNotFound if !made => {
                    made = true;
                    let config = config(&self.subjects, self.replicas);
                    let stream = self.jetstream.get_or_create_stream(config).await;
                    stream.map_err(|error| ClaimError::Unavailable(error.to_string()))?;
                }
                PublishErrorKind::WrongLastSequence => match self.last(&subject).await? {
                    Last::Value(value) => return Err(ClaimError::Taken(value)),
                    Last::Free(sequence) => last = sequence,
                },
                _ => return Err(ClaimError::Unavailable(error.to_string())),
            }
        }
        Err(ClaimError::Unavailable("others use the key too".into()))
    }

    /// Puts the answer in the claim's place, if that still stands.
    pub async fn settle(&self, claim: Claim, value: &str) {
        for tried in 0..TRIES {
            if tried > 0 {
                tokio::time::sleep(AGAIN).await;
            }
            let answer = PublishMessage::build()
                .expected_last_subject_sequence(claim.sequence)
                .payload(value.to_owned().into());
            match self.put(&claim.subject, answer).await {
                Ok(_) => return,
                // It is there from the try before, or the claim has ended.
                Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => return,
                Err(error) => {
                    tracing::debug!(%error, "an answer can't be kept");
                }
            }
        }
        tracing::warn!("the answer of a call with an Idempotency-Key was not kept");
    }

    /// Gives a claim up; the mark of it goes soon.
    pub async fn release(&self, claim: Claim) {
        let mark = PublishMessage::build()
            .expected_last_subject_sequence(claim.sequence)
            .header("KV-Operation", "PURGE")
            .header(NATS_ROLLUP, "sub")
            .header(NATS_MESSAGE_TTL, "1");
        if let Err(error) = self.put(&claim.subject, mark).await {
            tracing::debug!(%error, "a claim ends only with its time");
        }
    }

    async fn put(&self, subject: &str, message: PublishMessage) -> Result<u64, PublishError> {
        let sent = self.jetstream.send_publish(subject.to_owned(), message);
        Ok(sent.await?.await?.sequence)
    }

    /// What the leader has for a subject.
    async fn last(&self, subject: &str) -> Result<Last, ClaimError> {
        let unavailable = |error: String| ClaimError::Unavailable(error);
        let name = format!("KV_{}", self.subjects.answers_bucket());
        let stream = self.jetstream.get_stream_no_info(name).await;
        let stream = stream.map_err(|error| unavailable(error.to_string()))?;
        match stream.get_last_raw_message_by_subject(subject).await {
            Ok(last) if last.headers.get("KV-Operation").is_some() => Ok(Last::Free(last.sequence)),
            Ok(last) => match String::from_utf8(last.payload.into()) {
                Ok(value) => Ok(Last::Value(value)),
                Err(_) => Err(unavailable("somebody else has written there".into())),
            },
            // It has just ended.
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                Ok(Last::Free(0))
            }
            Err(error) => Err(unavailable(error.to_string())),
        }
    }
}

/// What stands at a key.
enum Last {
    Value(String),
    /// A mark with this sequence, or nothing.
    Free(u64),
}
