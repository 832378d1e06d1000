//! The hub's end of the broker: hands requests to the tasks that do them, and their events to the hub.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::answers::Answers;
use super::connection::Connection;
use super::direct;
use super::health::{Health, WORK};
use super::live;
use super::presence::entry::{Attendee, Topic};
use super::presence::link::{LinkEvent, LinkHandle, Members};
use super::presence::users::{UserConnection, Users};
use super::publish::{self, QUEUE_BYTES};
use super::read;
use super::refusal;
use super::relay::Relay;
use super::revocations::Shared;
use super::send;
use super::start;
use super::subjects::Subjects;
use super::wire;
use super::workers::Wanted;
use crate::auth::Revocations;
use crate::auth::revoker::Job;
use crate::broker::{
    Broker, DeduplicationKey, Event, Member, Partition, PublishError, Request, Token,
};
use crate::config::{Channel, History};
use crate::message::{Message, unix_milliseconds};
use crate::names::RoomName;

/// Connections of one user that are told.
const MOST_CONNECTIONS: usize = 1000;

/// The broker on NATS.
pub struct Nats {
    pub(super) subjects: Subjects,
    pub(super) channel: Arc<Channel>,
    /// The rooms that are watched, and whether they were without history when they began to be.
    pub(super) watched: HashMap<RoomName, bool>,
    pub(super) publish: mpsc::UnboundedSender<publish::Job>,
    pub(super) publishing: Arc<AtomicUsize>,
    pub(super) live: mpsc::UnboundedSender<live::Ask>,
    pub(super) sending: Arc<AtomicUsize>,
    pub(super) direct: mpsc::UnboundedSender<direct::Ask>,
    pub(super) presence: LinkHandle,
    /// The users of this gateway's connections.
    pub(super) users: Users,
    /// Who has come to watched rooms, and gone; the same of users.
    pub(super) news: mpsc::UnboundedReceiver<LinkEvent>,
    pub(super) read: mpsc::UnboundedSender<read::Ask>,
    pub(super) history: Option<watch::Sender<History>>,
    /// What workers need; `None` where the channel has no history.
    pub(super) work: Option<watch::Sender<Option<Wanted>>>,
    pub(super) connection: Connection,
    /// Waits for the list of revoked users; taken by [`Self::share`].
    pub(super) listed: Option<oneshot::Sender<()>>,
    pub(super) health: Arc<Health>,
    pub(super) answers: mpsc::UnboundedReceiver<Event>,
    pub(super) own: mpsc::UnboundedSender<Event>,
    pub(super) unkept: mpsc::Receiver<Event>,
    pub(super) kept: mpsc::Receiver<Event>,
    /// Whether messages with history are kept back.
    pub(super) held: bool,
}

impl Nats {
    /// Shares the list of revoked users with the channel's other gateways, on the runtime of the caller. `jobs` are those
    /// that this gateway puts on it.
    pub fn share(&mut self, revocations: Arc<Revocations>, jobs: mpsc::Receiver<Job>) {
        let shared = Shared {
            connection: self.connection.clone(),
            jetstream: start::context(&self.connection),
            subjects: self.subjects.clone(),
            replicas: self.channel.history.map_or(1, |history| history.replicas),
            revocations,
            jobs,
            listed: self.listed.take(),
        };
        tokio::spawn(shared.run());
    }

    /// Where answers of the server APIs are kept for all gateways.
    pub fn answers(&self) -> Answers {
        Answers::new(
            self.connection.clone(),
            start::context(&self.connection),
            self.subjects.clone(),
            self.channel.history.map_or(1, |history| history.replicas),
        )
    }

    /// The connection, for what else the gateway asks over it.
    pub fn client(&self) -> async_nats::Client {
        self.connection.client.clone()
    }

    /// The way to the channel's other gateways.
    pub fn relay(&self) -> Relay {
        Relay::new(
            self.connection.clone(),
            self.subjects.clone(),
            self.presence.clone(),
        )
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
            return self.refuse(token, refusal::without_connection(&self.health));
        }
        if stored && self.history.is_none() {
            return self.refuse(token, PublishError::Unavailable);
        }
        if stored {
            if full(&self.publishing) {
                return self.refuse(token, PublishError::Overloaded);
            }
            // Without a client's id a repeat of the gateway's own must still be known as one.
            let key = key.unwrap_or_else(DeduplicationKey::random);
            let stored = self.subjects.stored(&message.room);
            let worked = self.channel.rules.has_worker(message.room.as_str());
            let (partition, subject, (headers, payload)) = if worked {
                let subject = self.subjects.work(&message.room);
                (WORK, subject, wire::encode_work(message, &stored))
            } else {
                let partition = self.subjects.partition(&message.room);
                (partition, stored, wire::encode(message))
            };
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

    fn watch(&mut self, token: Token, room: RoomName) {
        let unkept = !self.channel.rules.for_room(room.as_str()).history;
        if unkept {
            let (room, token) = (room.clone(), Some(token));
            let _ = self.live.send(live::Ask::Watch { room, token }); // the tasks end after this broker
        } else {
            let _ = self.own.send(Event::Watched { token }); // the streams are read in any case
        }
        self.presence.watch(Topic::Room(room.clone()));
        self.watched.insert(room, unkept);
    }

    /// What the hub is told of presence.
    fn tell(&mut self, news: LinkEvent, events: &mut VecDeque<Event>) {
        match news {
            LinkEvent::Joined {
                topic: Topic::Room(room),
                attendee: Attendee { member, .. },
                ..
            } => events.push_back(Event::Joined { room, member }),
            LinkEvent::Left {
                topic: Topic::Room(room),
                connection,
            } => events.push_back(Event::Left { room, connection }),
            LinkEvent::Joined {
                topic: Topic::User(user),
                attendee,
                draining,
            } => {
                let one = UserConnection {
                    connection: attendee.member.connection,
                    connected_ms: attendee.connected_ms,
                    draining,
                };
                let max = self.channel.limits.connections_per_user;
                for connection in self.users.joined(&user, one, max) {
                    let user = user.clone();
                    events.push_back(Event::Replaced { user, connection });
                }
            }
            LinkEvent::Left {
                topic: Topic::User(user),
                connection,
            } => self.users.left(&user, connection),
            LinkEvent::Watching(Topic::User(user)) => self.users.watching(&user),
            LinkEvent::Watching(Topic::Room(_)) => {}
        }
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
            Request::Watch { token, room } => self.watch(token, room),
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
                // One over a connection that does not stand ends at its deadline.
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
            Request::Members {
                token,
                room,
                after,
                limit,
            } => {
                let answers = self.own.clone();
                let tell = move |Members { count, members }| {
                    let _ = answers.send(Event::Members {
                        token,
                        count,
                        members,
                    }); // the hub is gone
                };
                self.presence.look(Topic::Room(room), after, limit, tell);
            }
            Request::Connect { user, connection } => {
                if self.users.connect(&user, connection) {
                    self.presence.watch(Topic::User(user.clone()));
                }
                let member = Member {
                    connection,
                    user: None,
                    info: None,
                };
                let attendee = Attendee {
                    member,
                    connected_ms: unix_milliseconds(),
                };
                self.presence.join(Topic::User(user), attendee);
            }
            Request::Disconnect { user, connection } => {
                let last = self.users.disconnect(&user, connection);
                let topic = Topic::User(user);
                self.presence.leave(topic.clone(), connection);
                if last {
                    self.presence.unwatch(topic);
                }
            }
            Request::Direct { token, to, message } => {
                let what = direct::What::Message(message);
                let _ = self.direct.send(direct::Ask::Send { token, to, what });
            }
            Request::Expel { token, to, close } => {
                let what = direct::What::Close(close);
                let _ = self.direct.send(direct::Ask::Send { token, to, what });
            }
            Request::Connections { token, user } => {
                let answers = self.own.clone();
                let tell = move |Members { members, .. }| {
                    let connections = members.into_iter().map(|member| member.connection);
                    let connections = connections.collect();
                    let _ = answers.send(Event::Connections { token, connections }); // the hub is gone
                };
                self.presence
                    .look(Topic::User(user), None, MOST_CONNECTIONS, tell);
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
            self.tell(news, events);
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
        let max = channel.limits.connections_per_user;
        for (user, connection) in self.users.limit(max) {
            let _ = self.own.send(Event::Replaced { user, connection }); // both ends are here
        }
        if let Some(work) = &self.work {
            let of = Wanted::of(channel);
            work.send_if_modified(|now| std::mem::replace(now, of) != of);
        }
        // Rooms that have begun to keep messages are heard elsewhere from now on, and the other way round.
        for (room, unkept) in &mut self.watched {
            let now = !channel.rules.for_room(room.as_str()).history;
            let ask = match (*unkept, now) {
                (true, false) => live::Ask::Unwatch(room.clone()),
                (false, true) => live::Ask::Watch {
                    room: room.clone(),
                    token: None,
                },
                _ => continue,
            };
            *unkept = now;
            let _ = self.live.send(ask); // the tasks end after this broker
        }
    }
}
