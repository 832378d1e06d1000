//! The bucket of leases: one key per incarnation, which the server deletes when it was not renewed in time.

use std::error::Error;
use std::time::Duration;

use async_nats::Client;
use async_nats::header::{NATS_MESSAGE_TTL, NATS_ROLLUP};
use async_nats::jetstream::Error as ServerError;
use async_nats::jetstream::context::{
    AccountError, AccountErrorKind, ContextBuilder, CreateStreamError, CreateStreamErrorKind,
    GetStreamError, GetStreamErrorKind, PublishError, PublishErrorKind, RequestError,
    RequestErrorKind,
};
use async_nats::jetstream::kv::{Store, Watch};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, DiscardPolicy};
use async_nats::jetstream::{Context, ErrorCode};

use crate::broker::nats::presence::entry::Incarnation;
use crate::broker::nats::stream::OWNER;
use crate::broker::nats::subjects::Subjects;

/// How long the server has to answer: renewals come often, and one that takes longer will be tried again.
const ANSWER: Duration = Duration::from_secs(3);
/// Leases for which the server keeps saying that a key has gone, for gateways that were away meanwhile.
const MARKED: u32 = 10;

/// Why a gateway does not hold a lease at present. It takes nobody for dead meanwhile, and gateways that hold one
/// do not believe in its members for longer than a lease unless it is still heard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Nothing but to wait.
    #[error("there is no connection to NATS")]
    Disconnected,
    /// Enable JetStream on the server and for the account; in a cluster, wait for a leader.
    #[error("JetStream is not available")]
    JetStreamUnavailable,
    /// Look at the server's load, and whether the account may publish to `$JS.API.>` and `$KV.>`.
    #[error("JetStream did not answer in time")]
    TimedOut,
    /// Delete the bucket, and the gateways make it anew.
    #[error("the bucket {0} was made without time to live per message")]
    Misconfigured(String),
    /// Raise the limits of the account or the server, or delete what is not needed.
    #[error("JetStream has no room: {0}")]
    NoRoom(String),
    /// What the server says.
    #[error("JetStream refuses: {0}")]
    Refused(String),
}

/// What came of a renewal.
#[derive(Debug)]
pub(super) enum Renewal {
    /// The lease holds; its key has this revision.
    Held(u64),
    /// It has ended before.
    Lost,
    /// The bucket is not there.
    NoBucket,
    /// Whether it was renewed is not known, or it was not.
    Failed(LeaseError),
}

/// The stream behind the bucket of a channel (NATS ADR-8), as gateways and the operator make it. The library's own call
/// has no metadata, so nothing would say whose it is.
pub fn config(subjects: &Subjects, replicas: u8, lease: Duration) -> Config {
    let bucket = subjects.presence_bucket();
    Config {
        name: stream(&bucket),
        description: Some("Linnet: which gateways live".into()),
        subjects: vec![format!("$KV.{bucket}.>")],
        max_messages_per_subject: 1,
        num_replicas: usize::from(replicas.max(1)),
        discard: DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        allow_message_ttl: true,
        subject_delete_marker_ttl: Some(lease * MARKED),
        metadata: [(OWNER.to_owned(), subjects.owner())].into(),
        ..Config::default()
    }
}

/// The stream behind a bucket.
fn stream(bucket: &str) -> String {
    format!("KV_{bucket}")
}

/// The bucket of a channel.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    context: Context,
    name: String,
    /// What it is made with.
    config: Config,
    lease: Duration,
}

impl Bucket {
    pub fn new(client: Client, subjects: &Subjects, replicas: u8, lease: Duration) -> Self {
        Self {
            context: ContextBuilder::new().timeout(ANSWER).build(client),
            name: subjects.presence_bucket(),
            config: config(subjects, replicas, lease),
            lease,
        }
    }

    /// Watches all leases, beginning with those that are there. Makes the bucket if it is missing.
    pub async fn open(&self) -> Result<Watch, LeaseError> {
        let found = self.context.get_stream(stream(&self.name)).await;
        match found {
            Ok(stream) => self.check(&stream.cached_info().config)?,
            Err(error) if is_missing(&error) => self.create().await?,
            Err(error) => return Err(cause(&error)),
        }
        let watch = self.store().await?.watch_with_history(">").await;
        watch.map_err(|error| cause(&error))
    }

    async fn create(&self) -> Result<(), LeaseError> {
        let created = self.context.create_stream(self.config.clone()).await;
        let stream = created.map_err(|error| cause(&error))?;
        // A server that is too old passes over what it does not know.
        self.check(&stream.cached_info().config)?;
        tracing::info!(bucket = self.name, "made the bucket of leases");
        Ok(())
    }

    fn check(&self, config: &Config) -> Result<(), LeaseError> {
        match config.allow_message_ttl {
            true => Ok(()),
            false => Err(LeaseError::Misconfigured(self.name.clone())),
        }
    }

    async fn store(&self) -> Result<Store, LeaseError> {
        let store = self.context.get_key_value(&self.name).await;
        store.map_err(|error| cause(&error))
    }

    /// Renews a lease whose key has `revision`, or creates it where that is 0. The library's own `update` and `create`
    /// leave the key without time to live.
    pub async fn renew(&self, of: Incarnation, revision: u64) -> Renewal {
        let message = PublishMessage::build()
            .expected_last_subject_sequence(revision)
            .ttl(self.lease);
        match self.publish(of, message).await {
            Ok(revision) => Renewal::Held(revision),
            Err(error) => match error.kind() {
                PublishErrorKind::WrongLastSequence => Renewal::Lost,
                PublishErrorKind::StreamNotFound => Renewal::NoBucket,
                PublishErrorKind::TimedOut => Renewal::Failed(LeaseError::TimedOut),
                _ => Renewal::Failed(cause(&error)),
            },
        }
    }

    /// Deletes a lease; the mark of it goes after a while.
    pub async fn release(&self, of: Incarnation) -> Result<(), LeaseError> {
        let marked = (self.lease * MARKED).as_secs().to_string();
        let message = PublishMessage::build()
            .header("KV-Operation", "PURGE")
            .header(NATS_ROLLUP, "sub")
            .header(NATS_MESSAGE_TTL, marked.as_str());
        let released = self.publish(of, message).await;
        released.map(drop).map_err(|error| cause(&error))
    }

    async fn publish(&self, of: Incarnation, message: PublishMessage) -> Result<u64, PublishError> {
        let subject = format!("$KV.{}.{of}", self.name);
        let ack = self.context.send_publish(subject, message).await?;
        Ok(ack.await?.sequence)
    }
}

fn is_missing(error: &GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// The library wraps what the server says in an error per call.
fn cause(error: &(dyn Error + 'static)) -> LeaseError {
    let mut link = Some(error);
    while let Some(one) = link {
        if let Some(found) = own_cause(one) {
            return found;
        }
        link = one.source();
    }
    LeaseError::Refused(error.to_string())
}

fn own_cause(error: &(dyn Error + 'static)) -> Option<LeaseError> {
    if let Some(error) = error.downcast_ref::<ServerError>() {
        return Some(server_cause(error));
    }
    if let Some(error) = error.downcast_ref::<RequestError>() {
        return match error.kind() {
            RequestErrorKind::NoResponders => Some(LeaseError::JetStreamUnavailable),
            RequestErrorKind::TimedOut => Some(LeaseError::TimedOut),
            _ => None,
        };
    }
    if let Some(error) = error.downcast_ref::<CreateStreamError>() {
        return match error.kind() {
            CreateStreamErrorKind::JetStream(error) => Some(server_cause(&error)),
            CreateStreamErrorKind::JetStreamUnavailable => Some(LeaseError::JetStreamUnavailable),
            CreateStreamErrorKind::TimedOut => Some(LeaseError::TimedOut),
            _ => None,
        };
    }
    if let Some(error) = error.downcast_ref::<GetStreamError>()
        && let GetStreamErrorKind::JetStream(error) = error.kind()
    {
        return Some(server_cause(&error));
    }
    if let Some(error) = error.downcast_ref::<AccountError>() {
        return match error.kind() {
            AccountErrorKind::TimedOut => Some(LeaseError::TimedOut),
            AccountErrorKind::JetStream(error) => Some(server_cause(&error)),
            AccountErrorKind::JetStreamUnavailable => Some(LeaseError::JetStreamUnavailable),
            _ => None,
        };
    }
    None
}

fn server_cause(error: &ServerError) -> LeaseError {
    match error.error_code() {
        ErrorCode::JETSTREAM_NOT_ENABLED
        | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT
        | ErrorCode::CLUSTER_NO_PEERS => LeaseError::JetStreamUnavailable,
        ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::MAXIMUM_STREAMS_LIMIT => LeaseError::NoRoom(error.to_string()),
        _ => LeaseError::Refused(error.to_string()),
    }
}
