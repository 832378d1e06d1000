//! Runs a handler over all partitions of a channel.

use std::fmt::Display;
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::{Client, jetstream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::delivery::Desk;
use crate::input::Input;
use crate::names::Channel;
use crate::output::Output;
use crate::partition::Partition;
use crate::queue::Queue;
use crate::turns::Turns;

/// Pause before the queue is opened again.
const PAUSE: Duration = Duration::from_millis(250);

/// A session that lasted for longer than this had begun to work.
const QUIET: Duration = Duration::from_secs(10);

/// Why a handler has no output for a message. Any error makes a [`Self::Again`] by `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It is tried again after a pause, and goes to the dead letters with this reason once it was tried often enough.
    Again(String),
    /// It goes to the dead letters at once, with this reason.
    Dead(String),
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Again(error.to_string())
    }
}

/// What handles a message.
pub(crate) trait Handler: Clone + Send + Sync + 'static {
    fn handle(
        &self,
        input: Input,
    ) -> impl Future<Output = Result<Vec<Output>, Failure>> + Send + 'static;
}

impl<F, R> Handler for Arc<F>
where
    F: Fn(Input) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Vec<Output>, Failure>> + Send + 'static,
{
    fn handle(
        &self,
        input: Input,
    ) -> impl Future<Output = Result<Vec<Output>, Failure>> + Send + 'static {
        self(input)
    }
}

/// A worker of one channel. Several processes may run one: each partition is worked by one of them at a time, and by
/// another once that is gone.
#[derive(Debug, Clone)]
pub struct Worker {
    client: Client,
    channel: Channel,
    name: String,
}

impl Worker {
    /// A worker of `channel`, over a connection that reconnects by itself, as connections of `async_nats` do.
    #[must_use]
    pub fn new(client: Client, channel: Channel) -> Self {
        let name = format!("worker {}", std::process::id());
        Self {
            client,
            channel,
            name,
        }
    }

    /// The same with a name, which stands beside dead letters.
    #[must_use]
    pub fn named(self, name: impl Display) -> Self {
        let name = name.to_string();
        Self { name, ..self }
    }

    /// Works for ever.
    pub async fn run<F, R>(self, handler: F)
    where
        F: Fn(Input) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Vec<Output>, Failure>> + Send + 'static,
    {
        self.run_until(pending(), handler).await;
    }

    /// Works until `stop`; then ends what is in hand and lets other workers begin at once.
    ///
    /// The handler gets the messages of a room one after the other, and those of different partitions at the same time.
    /// It has `workers.acknowledgeSeconds` for each. It may get a message again whose output was published already, so
    /// what it does beside its output must bear that.
    pub async fn run_until<F, R>(self, stop: impl Future<Output = ()>, handler: F)
    where
        F: Fn(Input) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Vec<Output>, Failure>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let mut stop = pin!(stop);
        let mut told = String::new();
        loop {
            let begun = Instant::now();
            let (stopping, stopped) = watch::channel(false);
            let mut session = pin!(self.session(&handler, stopped, &stopping));
            let ended = tokio::select! {
                ended = &mut session => ended,
                () = &mut stop => {
                    let _ = stopping.send(true); // a partition may have ended already
                    let _ = session.await;
                    return;
                }
            };
            // Not again and again while nothing changes.
            if let Err(why) = ended
                && (why != told || begun.elapsed() > QUIET)
            {
                tracing::warn!(why, stream = self.channel.work_stream(), "no work for now");
                told = why;
            }
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = &mut stop => return,
            }
        }
    }

    /// Works with the queue as it is now, until that is another one, or it is time to stop.
    async fn session<H: Handler>(
        &self,
        handler: &H,
        stopped: watch::Receiver<bool>,
        stopping: &watch::Sender<bool>,
    ) -> Result<(), String> {
        let statistics = self.client.statistics();
        let connects = move || statistics.connects.load(Ordering::Relaxed);
        let begun = connects();
        let queue = Queue::open(&self.client, &self.channel).await?;
        if connects() != begun {
            return Err("the connection was lost".to_owned());
        }
        tracing::info!(
            partitions = queue.partitions,
            stream = self.channel.work_stream(),
            "working"
        );
        let turns = Turns::default();
        let mut partitions = JoinSet::new();
        for partition in 0..queue.partitions {
            let desk = Desk {
                client: self.client.clone(),
                jetstream: jetstream::new(self.client.clone()),
                channel: self.channel.clone(),
                queue: queue.clone(),
                partition,
                name: self.name.clone(),
                stop: stopped.clone(),
            };
            let partition = Partition::new(desk, handler.clone(), turns.clone()).await?;
            partitions.spawn(partition.work(connects.clone()));
        }
        let mut ended = Ok(());
        while let Some(one) = partitions.join_next().await {
            if let Err(why) = one.unwrap_or_else(|error| Err(error.to_string())) {
                // What the others have in hand they end.
                let _ = stopping.send(true); // one of them is left to hear it, or none
                ended = Err(why);
            }
        }
        ended
    }
}
