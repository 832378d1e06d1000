//! Starts the tasks of the broker and connects them with the hub's end.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use async_nats::Client;
use async_nats::jetstream::{self, ContextBuilder};
use tokio::sync::{mpsc, oneshot, watch};

use super::broker::Nats;
use super::connection::{self, Connection, REQUEST_TIMEOUT};
use super::credentials::{Credentials, CredentialsError};
use super::direct::Direct;
use super::follow::{Follower, Place};
use super::health::{Fault, Health, MAIN, READS};
use super::live::Live;
use super::presence;
use super::presence::link::{LeaseError, Link, LinkHandle};
use super::presence::users::Users;
use super::publish::Publisher;
use super::read::{Parts, Reader};
use super::send::Sender;
use super::stream::StreamOf;
use super::subjects::Subjects;
use super::workers::{Keeper, Wanted};
use crate::broker::Partition;
use crate::config::watch::files::Next;
use crate::config::{Channel, Nats as Spec};

/// Messages that wait for the hub before they are kept back (with history) or lost (without).
const EVENTS: usize = 4096;

/// How this gateway takes part.
#[derive(Debug, Clone)]
pub struct Settings {
    /// First token of all subjects; one for all gateways of a cluster.
    pub prefix: String,
    /// This gateway's name, for people who look at NATS.
    pub gateway: String,
    /// Folder of the Secrets.
    pub secrets: Option<PathBuf>,
    /// Whether this gateway makes missing streams and keeps their limits as the manifest says.
    pub create_stream: bool,
}

/// Why a gateway can't begin to use NATS.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The Secrets' files can't be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A server's URL can't be read, or a file that TLS needs.
    #[error("NATS: {0}")]
    Connect(#[from] async_nats::ConnectError),
    /// The prefix is no token of a subject.
    #[error("{0:?} can't begin a NATS subject: use letters, digits, - and _")]
    Prefix(String),
    /// The system gives no thread to watch files.
    #[error("the Secrets' files can't be watched: {0}")]
    Watch(#[from] std::io::Error),
}

impl Nats {
    /// Begins to connect, and to read what is stored; [`Health::until_warm`] tells when that is done. Its tasks run on the
    /// runtime of the caller for as long as the broker is there.
    ///
    /// # Errors
    /// What no waiting will mend.
    pub async fn start(
        channel: &Arc<Channel>,
        spec: &Spec,
        settings: &Settings,
        health: Arc<Health>,
    ) -> Result<Self, StartError> {
        let token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if settings.prefix.is_empty() || !settings.prefix.chars().all(token) {
            return Err(StartError::Prefix(settings.prefix.clone()));
        }
        let partitions = channel.history.map_or(1, |history| history.partitions);
        let subjects = Subjects::new(
            &settings.prefix,
            &channel.namespace,
            &channel.name,
            partitions,
        );
        let credentials = Credentials::new(spec, settings.secrets.as_deref())?;
        let fingerprint = credentials.check()?;
        let connect = |what: &str, of: u16| {
            let name = format!("linnet {} {}{what}", subjects.owner(), settings.gateway);
            let options = credentials.options();
            let health = &health;
            async move { connection::connect(&spec.urls, options, name, of, health).await }
        };
        let connection = connect("", MAIN).await?;
        let reading = match channel.history {
            Some(_) => Some(connect(" (reads)", READS).await?),
            None => None,
        };
        let clients: Vec<Client> = [Some(&connection), reading.as_ref()]
            .into_iter()
            .flatten()
            .map(|connection| connection.client.clone())
            .collect();
        let runtime = tokio::runtime::Handle::current();
        credentials.watch(fingerprint, move || {
            for client in clients.clone() {
                runtime.spawn(async move { client.force_reconnect().await });
            }
            Next::GoOn
        })?;

        let (own, answers) = mpsc::unbounded_channel();
        let (unkept_events, unkept) = mpsc::channel(EVENTS);
        let (kept_events, kept) = mpsc::channel(EVENTS);
        let (publish, jobs) = mpsc::unbounded_channel();
        let (live, live_asks) = mpsc::unbounded_channel();
        let (direct, asks) = mpsc::unbounded_channel();
        let (read, questions) = mpsc::unbounded_channel();
        let publishing = Arc::new(AtomicUsize::new(0));
        let sending = Arc::new(AtomicUsize::new(0));
        let streams: Vec<StreamOf> = (0..partitions)
            .map(|number| StreamOf::new(subjects.clone(), number, settings.create_stream))
            .collect();
        let places: Vec<Arc<Place>> = streams.iter().map(|_| Arc::default()).collect();

        let mut warm = Vec::new();
        let mut listed = None;
        if channel.tokens.is_some() {
            let (done, told) = oneshot::channel();
            listed = Some(done);
            warm.push(told);
        }
        let mut history = None;
        let mut work = None;
        if let (Some(of), Some(reading)) = (channel.history, reading) {
            let (sender, receiver) = watch::channel(of);
            history = Some(sender);
            for (number, stream) in streams.iter().enumerate() {
                let (done, told) = oneshot::channel();
                warm.push(told);
                let follower = Follower {
                    connection: connection.clone(),
                    jetstream: context(&connection),
                    stream: stream.clone(),
                    partition: Partition(number as u16),
                    history: receiver.clone(),
                    memory: (channel.limits.history_memory / usize::from(partitions)) as u64,
                    place: Arc::clone(&places[number]),
                    events: kept_events.clone(),
                    health: Arc::clone(&health),
                    warm: Some(done),
                };
                tokio::spawn(follower.run());
            }
            let wanted = Wanted::of(channel);
            let (sender, receiver) = watch::channel(wanted);
            work = Some(sender);
            let (done, told) = oneshot::channel();
            // Clients that come later than their rule find the publisher waiting for the stream.
            warm.extend(wanted.map(|_| told));
            let keeper = Keeper {
                connection: connection.clone(),
                jetstream: context(&connection),
                subjects: subjects.clone(),
                create: settings.create_stream,
                gateway: settings.gateway.clone(),
                wanted: receiver,
                health: Arc::clone(&health),
                warm: Some(done),
            };
            tokio::spawn(keeper.run());
            let publisher = Publisher {
                connection: connection.clone(),
                places: places.clone(),
                jobs,
                waiting: Arc::clone(&publishing),
                events: own.clone(),
                health: Arc::clone(&health),
            };
            tokio::spawn(publisher.run());
            let reader = Reader::new(Parts {
                jetstream: context(&reading),
                connection: reading,
                subjects: subjects.clone(),
                streams,
                places,
                events: own.clone(),
                health: Arc::clone(&health),
            });
            tokio::spawn(reader.run(questions));
        }
        let sender = Sender {
            connection: connection.clone(),
            waiting: Arc::clone(&sending),
            answers: own.clone(),
            health: Arc::clone(&health),
        };
        let hearer = Live {
            connection: connection.clone(),
            subjects: subjects.clone(),
            asks: live_asks,
            sender,
            events: unkept_events,
            health: Arc::clone(&health),
        };
        tokio::spawn(hearer.run());
        let replicas = channel.history.map_or(1, |history| history.replicas as u8);
        let (presence, news) = Link::start(
            connection.client.clone(),
            &subjects,
            replicas,
            presence::state::Config::default(),
            connection.stands(),
        );
        tokio::spawn(tell_gateways(presence.clone(), Arc::clone(&health)));
        let others = presence.clone();
        let directs = Direct {
            connection: connection.clone(),
            subjects: subjects.clone(),
            asks,
            events: own.clone(),
            gateways: Arc::new(move || others.alive().len()),
            health: Arc::clone(&health),
        };
        tokio::spawn(directs.run());
        let message_size = channel.limits.message_size;
        let watched = Arc::clone(&health);
        tokio::spawn(watch_over(connection.clone(), message_size, warm, watched));
        Ok(Self {
            subjects,
            channel: Arc::clone(channel),
            watched: HashMap::new(),
            publish,
            publishing,
            live,
            sending,
            direct,
            presence,
            users: Users::default(),
            news,
            read,
            history,
            work,
            connection,
            listed,
            health,
            answers,
            own,
            unkept,
            kept,
            held: false,
        })
    }
}

/// Says how many gateways there are, and what keeps this one from holding its lease.
async fn tell_gateways(mut presence: LinkHandle, health: Arc<Health>) {
    loop {
        health.metrics.gateways.set(presence.alive().len() as u64);
        if !presence.changed().await {
            return;
        }
        match presence.status() {
            Ok(()) => health.clear(Fault::NoLease),
            Err(LeaseError::Disconnected) => {} // told as such
            Err(error) => health.set(Fault::NoLease, error.to_string()),
        }
    }
}

/// JetStream on a connection.
pub(super) fn context(connection: &Connection) -> jetstream::Context {
    ContextBuilder::new()
        .timeout(REQUEST_TIMEOUT)
        .build(connection.client.clone())
}

/// Says when clients may come, and which server can't be used.
async fn watch_over(
    mut connection: Connection,
    message_size: usize,
    warm: Vec<oneshot::Receiver<()>>,
    health: Arc<Health>,
) {
    let warming = Arc::clone(&health);
    let mut first = Some(warm);
    loop {
        let generation = connection.up().await;
        match connection.unsuitable(message_size) {
            Some(why) => health.set(Fault::Unsuitable, why),
            None => {
                health.clear(Fault::Unsuitable);
                if let Some(warm) = first.take() {
                    let health = Arc::clone(&warming);
                    tokio::spawn(async move {
                        for partition in warm {
                            if partition.await.is_err() {
                                return; // the process ends
                            }
                        }
                        health.warmed();
                    });
                }
            }
        }
        connection.lost(generation).await;
    }
}
