//! The hub's end of the broker: hands requests to the tasks that do them, and their events to the hub.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use async_nats::jetstream::{self, ContextBuilder};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::connection::{self, Connection, REQUEST_TIMEOUT};
use super::credentials::{Credentials, CredentialsError};
use super::direct::{self, Direct};
use super::follow::{Follower, Place};
use super::health::{Fault, Health};
use super::live::{self, Live};
use super::presence;
use super::presence::entry::{Attendee, Topic};
use super::presence::link::{LeaseError, Link, LinkEvent, LinkHandle};
use super::publish::{self, Publisher, QUEUE_BYTES};
use super::read::{self, Parts, Reader};
use super::send::{self, Sender};
use super::stream::StreamOf;
use super::subjects::Subjects;
use super::wire;
use crate::broker::{Broker, DeduplicationKey, Event, Partition, PublishError, Request, Token};
use crate::config::watch::files::Next;
use crate::config::{Channel, History, Nats as Spec};
use crate::message::Message;
use crate::names::RoomName;

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

/// The broker on NATS.
pub struct Nats {
    subjects: Subjects,
    channel: Arc<Channel>,
    /// The rooms that are watched, and whether they were without history when they began to be.
    watched: HashMap<RoomName, bool>,
    publish: mpsc::UnboundedSender<publish::Job>,
    publishing: Arc<AtomicUsize>,
    live: mpsc::UnboundedSender<live::Ask>,
    sending: Arc<AtomicUsize>,
    direct: mpsc::UnboundedSender<direct::Ask>,
    presence: LinkHandle,
    /// Who has come to watched rooms, and gone.
    news: mpsc::UnboundedReceiver<LinkEvent>,
    read: mpsc::UnboundedSender<read::Ask>,
    history: Option<watch::Sender<History>>,
    connection: Connection,
    answers: mpsc::UnboundedReceiver<Event>,
    own: mpsc::UnboundedSender<Event>,
    unkept: mpsc::Receiver<Event>,
    kept: mpsc::Receiver<Event>,
    /// Whether messages with history are kept back.
    held: bool,
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
        let connect = |what: &str| {
            let name = format!("linnet {} {}{what}", subjects.owner(), settings.gateway);
            let options = credentials.options();
            let health = &health;
            async move { connection::connect(&spec.urls, options, name, health).await }
        };
        let connection = connect("").await?;
        let reading = connect(" (reads)").await?;
        let clients = [connection.client.clone(), reading.client.clone()];
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
        let mut history = None;
        if let Some(of) = channel.history {
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
        tokio::spawn(tell_leases(presence.clone(), Arc::clone(&health)));
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
        tokio::spawn(watch_over(connection.clone(), message_size, warm, health));
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
            news,
            read,
            history,
            connection,
            answers,
            own,
            unkept,
            kept,
            held: false,
        })
    }

    /// Presence, to be told when the gateway drains and ends.
    pub fn presence(&self) -> LinkHandle {
        self.presence.clone()
    }

    fn publish(
        &self,
        token: Token,
        mut message: Message,
        stored: bool,
        key: Option<DeduplicationKey>,
    ) {
        let full = |waiting: &AtomicUsize| waiting.load(Ordering::Relaxed) > QUEUE_BYTES;
        if !self.connection.is_up() {
            return self.refuse(token, PublishError::Unavailable);
        }
        if stored {
            if full(&self.publishing) {
                return self.refuse(token, PublishError::Overloaded);
            }
            let partition = self.subjects.partition(&message.room);
            let subject = self.subjects.stored(&message.room);
            // Without a client's id a repeat of the gateway's own must still be known as one.
            let key = key.unwrap_or_else(DeduplicationKey::random);
            let (headers, payload) = wire::encode(message);
            let job = publish::Job {
                token,
                partition,
                subject,
                headers: publish::identified(headers, &key.to_string()),
                payload,
                at: Instant::now(),
            };
            self.publishing.fetch_add(job.weight(), Ordering::Relaxed);
            let _ = self.publish.send(job); // the tasks end after this broker
        } else {
            if full(&self.sending) {
                return self.refuse(token, PublishError::Overloaded);
            }
            message.timestamp = unix_milliseconds();
            let (timestamp, subject) = (message.timestamp, self.subjects.live(&message.room));
            let (headers, payload) = wire::encode(message);
            let job = send::Job {
                token,
                subject,
                headers,
                payload,
                timestamp,
            };
            self.sending.fetch_add(job.weight(), Ordering::Relaxed);
            let _ = self.live.send(live::Ask::Publish(job)); // as above
        }
    }

    fn refuse(&self, token: Token, error: PublishError) {
        let result = Err(error);
        let _ = self.own.send(Event::Published { token, result }); // both ends are here
    }

    fn watch(&mut self, room: RoomName) {
        let unkept = !self.channel.rules.for_room(room.as_str()).history;
        if unkept {
            let _ = self.live.send(live::Ask::Watch(room.clone())); // the tasks end after this broker
        }
        self.presence.watch(Topic::Room(room.clone()));
        self.watched.insert(room, unkept);
    }

    fn unwatch(&mut self, room: RoomName) {
        self.presence.unwatch(Topic::Room(room.clone()));
        if self.watched.remove(&room) == Some(true) {
            let _ = self.live.send(live::Ask::Unwatch(room)); // as above
        }
    }
}

impl Broker for Nats {
    fn partitions(&self) -> u16 {
        self.subjects.partitions()
    }

    fn partition(&self, room: &RoomName) -> Partition {
        Partition(self.subjects.partition(room))
    }

    fn submit(&mut self, request: Request) {
        // The tasks end after this broker, so what is sent to them arrives.
        match request {
            Request::Publish {
                token,
                message,
                stored,
                key,
            } => self.publish(token, *message, stored, key),
            Request::Watch(room) => self.watch(room),
            Request::Unwatch(room) => self.unwatch(room),
            Request::Read {
                token,
                room,
                range,
                limit,
            } => {
                let ask = read::Ask {
                    token,
                    room,
                    range,
                    limit,
                };
                if self.connection.is_up() && self.history.is_some() {
                    let _ = self.read.send(ask);
                } else {
                    let complete = None;
                    let _ = self.own.send(Event::Read { token, complete });
                }
            }
            Request::Join { room, member } => {
                let attendee = Attendee {
                    member,
                    connected_ms: unix_milliseconds(),
                };
                self.presence.join(Topic::Room(room), attendee);
            }
            Request::Leave { room, connection } => {
                self.presence.leave(Topic::Room(room), connection);
            }
            Request::Direct { token, to, message } => {
                let _ = self.direct.send(direct::Ask::Send { token, to, message });
            }
            Request::DirectTaken { token, connections } => {
                let _ = self.direct.send(direct::Ask::Taken { token, connections });
            }
        }
    }

    fn poll_events(&mut self, context: &mut Context<'_>, events: &mut VecDeque<Event>) -> Poll<()> {
        let before = events.len();
        while let Poll::Ready(Some(event)) = self.answers.poll_recv(context) {
            events.push_back(event);
        }
        while let Poll::Ready(Some(news)) = self.news.poll_recv(context) {
            events.extend(told(news));
        }
        while let Poll::Ready(Some(event)) = self.unkept.poll_recv(context) {
            events.push_back(event);
        }
        while !self.held
            && let Poll::Ready(Some(event)) = self.kept.poll_recv(context)
        {
            events.push_back(event);
        }
        match events.len() > before {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    fn hold(&mut self, held: bool) {
        self.held = held;
    }

    fn configure(&mut self, channel: &Arc<Channel>) {
        self.channel = Arc::clone(channel);
        if let (Some(history), Some(of)) = (&self.history, channel.history) {
            history.send_if_modified(|now| std::mem::replace(now, of) != of);
        }
        // Rooms that have begun to keep messages are heard elsewhere from now on, and the other way round.
        for (room, unkept) in &mut self.watched {
            let now = !channel.rules.for_room(room.as_str()).history;
            let ask = match (*unkept, now) {
                (true, false) => live::Ask::Unwatch(room.clone()),
                (false, true) => live::Ask::Watch(room.clone()),
                _ => continue,
            };
            *unkept = now;
            let _ = self.live.send(ask); // the tasks end after this broker
        }
    }
}

/// What the hub is told of presence.
fn told(news: LinkEvent) -> Option<Event> {
    match news {
        LinkEvent::Joined {
            topic: Topic::Room(room),
            attendee,
            ..
        } => Some(Event::Joined {
            room,
            member: attendee.member,
        }),
        LinkEvent::Left {
            topic: Topic::Room(room),
            connection,
        } => Some(Event::Left { room, connection }),
        // Nobody watches users yet.
        LinkEvent::Joined { .. } | LinkEvent::Left { .. } => None,
    }
}

/// Says what keeps this gateway from holding its lease.
async fn tell_leases(mut presence: LinkHandle, health: Arc<Health>) {
    while presence.changed().await {
        match presence.status() {
            Ok(()) => health.clear(Fault::NoLease),
            Err(LeaseError::Disconnected) => {} // told as such
            Err(error) => health.set(Fault::NoLease, error.to_string()),
        }
    }
}

/// JetStream on a connection.
fn context(connection: &Connection) -> jetstream::Context {
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

fn unix_milliseconds() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis() as u64
}
