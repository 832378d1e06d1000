//! Bare clients of NATS: what the relay between its two sides uses, and the way from client to client alone.

pub mod acked;
pub mod pair;
pub mod send;

use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::{
    Client,
    jetstream::{
        self,
        consumer::{AckPolicy, DeliverPolicy, pull},
        context::PublishAckFuture,
    },
};
use bytes::Bytes;
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};

/// Publishes to a stream under way at once, as many as the gateway's.
pub const WINDOW: usize = 256;

/// A way through NATS, of the kind that a room with history takes (stream and consumer) or one without (core).
#[derive(Debug, Clone, Args)]
pub struct Way {
    /// The server.
    #[arg(long)]
    pub url: String,
    /// Where messages are published.
    #[arg(long)]
    pub subject: String,
    /// The stream that takes them; none: NATS core.
    #[arg(long)]
    pub stream: Option<String>,
}

impl Way {
    /// The command line that is read as this way.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            format!("--url={}", self.url),
            format!("--subject={}", self.subject),
        ];
        arguments.extend(self.stream.iter().map(|name| format!("--stream={name}")));
        arguments
    }

    /// Its beginning, on a connection of its own.
    pub async fn enter(self) -> Result<Entry> {
        let client = connect(&self.url).await?;
        Ok(Entry {
            jetstream: jetstream::ContextBuilder::new()
                .max_ack_inflight(WINDOW)
                .build(client.clone()),
            client,
            way: self,
        })
    }

    /// What comes out at its end from now on, on a connection of its own.
    pub async fn leave(self) -> Result<BoxStream<'static, Result<Bytes>>> {
        let client = connect(&self.url).await?;
        let Some(name) = self.stream else {
            let messages = client.subscribe(self.subject).await?;
            client.flush().await?;
            return Ok(messages.map(|message| Ok(message.payload)).boxed());
        };
        // As the gateway asks for it.
        let config = pull::Config {
            deliver_policy: DeliverPolicy::New,
            ack_policy: AckPolicy::None,
            inactive_threshold: Duration::from_secs(30),
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let messages = jetstream::new(client)
            .create_consumer_on_stream(config, name)
            .await?
            .stream()
            .max_messages_per_batch(500)
            .expires(Duration::from_secs(30))
            .heartbeat(Duration::from_secs(2))
            .messages()
            .await?;
        Ok(messages
            .map_ok(|message| message.message.payload)
            .map_err(anyhow::Error::from)
            .boxed())
    }
}

/// The beginning of a [`Way`].
#[derive(Debug)]
pub struct Entry {
    client: Client,
    jetstream: jetstream::Context,
    way: Way,
}

impl Entry {
    /// Publishes a message; gives the ack that a stream will send. Waits while a whole window is under way.
    pub async fn publish(&self, payload: Bytes) -> Result<Option<PublishAckFuture>> {
        self.publish_to(self.way.subject.clone(), payload).await
    }

    /// [`publish`](Self::publish) to another subject of the same kind.
    pub async fn publish_to(
        &self,
        subject: String,
        payload: Bytes,
    ) -> Result<Option<PublishAckFuture>> {
        if self.way.stream.is_some() {
            let ack = self.jetstream.publish(subject, payload).await?;
            return Ok(Some(ack));
        }
        self.client.publish(subject, payload).await?;
        Ok(None)
    }
}

/// Makes a stream like another one, for a subject of its own.
pub async fn copy_stream(url: &str, from: &str, name: &str, subject: &str) -> Result<()> {
    let jetstream = jetstream::new(connect(url).await?);
    let stream = jetstream
        .get_stream(from)
        .await
        .with_context(|| format!("no stream {from}"))?;
    let config = jetstream::stream::Config {
        name: name.to_owned(),
        subjects: vec![subject.to_owned()],
        metadata: Default::default(),
        ..stream.cached_info().config.clone()
    };
    jetstream.create_stream(config).await?;
    Ok(())
}

/// What the stream `name` is.
pub async fn stream(url: &str, name: &str) -> Result<jetstream::stream::Info> {
    let stream = jetstream::new(connect(url).await?)
        .get_stream(name)
        .await
        .with_context(|| format!("no stream {name}"))?;
    Ok(stream.cached_info().clone())
}

async fn connect(url: &str) -> Result<Client> {
    async_nats::connect(url)
        .await
        .with_context(|| format!("cannot connect to {url}"))
}
