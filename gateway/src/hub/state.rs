//! The hub's state and its turns: commands from shards and events from the broker go to whom they concern, and what
//! was collected for the shards goes out at the end.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use slab::Slab;

use super::command::{Address, Command, CommandKind};
use super::delivery::{Answer, Delivery, Outlet};
use super::directory::Directory;
use super::presence::MERGE;
use super::reading::{Question, Roll};
use super::rings::Rings;
use super::room::Room;
use super::stores::Stores;
use super::subscribing::Resume;
use super::users::Users;
use crate::broker::{Broker, Event, Request, Token};
use crate::config::{Channel, PresenceMode};
use crate::metrics::HubMetrics;
use crate::names::{RoomName, UserId};
use crate::protocol::{ErrorCode, RequestId};
use crate::traces::PublishSpan;

/// Rooms, users and what is on its way to the broker.
pub struct Hub<B, O> {
    pub(super) channel: Arc<Channel>,
    pub(super) broker: B,
    pub(super) outlet: O,
    pub(super) shards: usize,
    pub(super) rooms: HashMap<RoomName, Room>,
    pub(super) users: Users,
    /// Requests at the broker; the key is the token.
    pub(super) pending: Slab<Pending>,
    /// Subscribes that wait for messages from beyond the ring.
    pub(super) reading: HashMap<(Address, RoomName), Token>,
    /// Subscribes from positions that the broker knows and this gateway has not reached.
    pub(super) ahead: Vec<Resume>,
    pub(super) stores: Stores,
    pub(super) rings: Rings,
    /// Rooms with messages for the shards in this turn.
    pub(super) outgoing: Vec<RoomName>,
    /// Shards whose queue was full for messages without history, and the rooms whose subscribers must be told.
    pub(super) missed: Vec<(u16, RoomName)>,
    /// When the commands of this turn were read from sockets.
    pub(super) received: Instant,
    /// When rooms tell their collected presence; in order, since all wait equally long.
    pub(super) presence_due: VecDeque<(Instant, RoomName)>,
    pub(super) metrics: Arc<HubMetrics>,
    /// Whether the broker keeps messages back.
    held: bool,
}

/// A request at the broker: whom its answer is for.
pub(super) enum Pending {
    Publish {
        to: Address,
        id: Option<RequestId>,
        had_message_id: bool,
        span: Option<Box<PublishSpan>>,
    },
    Send {
        to: Address,
        id: Option<RequestId>,
    },
    Resume(Resume),
    History(Question),
    Members(Roll),
    Whereabouts {
        to: Address,
        id: Option<RequestId>,
        user: UserId,
    },
    /// The broker begins to listen to this room.
    Watch(RoomName),
    /// It has its answer already; the token stays taken until the broker's comes.
    Overtaken,
}

impl<B: Broker, O: Outlet> Hub<B, O> {
    /// A hub without rooms.
    pub fn new(
        channel: Arc<Channel>,
        broker: B,
        outlet: O,
        shards: usize,
        metrics: Arc<HubMetrics>,
    ) -> Self {
        let stores = Stores::new(broker.partitions());
        Self {
            channel,
            broker,
            outlet,
            shards,
            rooms: HashMap::new(),
            users: Users::default(),
            pending: Slab::new(),
            reading: HashMap::new(),
            ahead: Vec::new(),
            stores,
            rings: Rings::default(),
            outgoing: Vec::new(),
            missed: Vec::new(),
            received: Instant::now(),
            presence_due: VecDeque::new(),
            metrics,
            held: false,
        }
    }

    /// Finds anonymous connections where shards enter them.
    pub fn with_directory(mut self, directory: Arc<Directory>) -> Self {
        self.users = Users::new(directory);
        self
    }

    /// The broker, to be polled.
    pub fn broker(&mut self) -> &mut B {
        &mut self.broker
    }

    /// Whether a later [`Self::tick`] has something to do.
    pub fn waits_for_clock(&self) -> bool {
        self.held
            || !self.ahead.is_empty()
            || !self.presence_due.is_empty()
            || !self.missed.is_empty()
    }

    /// Whether queues to the shards are so full that messages of rooms with history must wait at their source.
    fn is_congested(&self) -> bool {
        (0..self.shards).any(|shard| self.outlet.is_full(shard as u16))
    }

    /// Begins a turn whose first command was read from a socket at `received`.
    pub fn begin(&mut self, received: Instant) {
        self.received = received;
    }

    /// Takes one command.
    pub fn command(&mut self, command: Command) {
        let Command { from, id, kind } = command;
        match kind {
            CommandKind::Connect { connection, user } => {
                let max = self.channel.limits.connections_per_user;
                if let Some(oldest) = self.users.add(connection, user.as_ref(), from, max) {
                    self.replace(oldest);
                }
                if let Some(user) = user {
                    self.broker.submit(Request::Connect { user, connection });
                }
            }
            CommandKind::Disconnect {
                connection,
                user,
                rooms,
                notify,
            } => {
                for room in rooms {
                    self.leave(from, &room, connection);
                }
                self.users.remove(connection, user.as_ref(), from);
                if let Some(user) = user {
                    self.broker.submit(Request::Disconnect { user, connection });
                }
                if notify {
                    self.outlet
                        .send(from.shard, Delivery::Detached { to: from });
                }
            }
            CommandKind::Subscribe {
                room,
                since,
                presence,
                member,
            } => {
                self.subscribe(from, id, room, since, presence, member);
            }
            CommandKind::Unsubscribe { room, connection } => {
                self.leave(from, &room, connection);
                self.outlet
                    .send(from.shard, Delivery::Unsubscribed { to: from, id, room });
            }
            CommandKind::Join { room, member } => self.join(from, room, member),
            CommandKind::Publish { message, key } => self.publish(from, id, message, key),
            CommandKind::Send { to, message } => self.send(from, id, &to, message),
            CommandKind::Expel { to, close } => {
                let token = self.pending.insert(Pending::Send { to: from, id }) as Token;
                self.broker.submit(Request::Expel { token, to, close });
            }
            CommandKind::Whereabouts { user } => self.whereabouts(from, id, user),
            CommandKind::History { room, range, limit } => {
                self.history(from, id, &room, range, limit)
            }
            CommandKind::Presence { room, after } => self.presence(from, id, &room, after),
        }
    }

    /// Takes one event of the broker.
    pub fn event(&mut self, event: Event, now: Instant) {
        match event {
            Event::Message(message) => self.message(message),
            Event::Watched { token } => self.watched(token),
            Event::Published { token, result } => self.published(token, result),
            Event::Position {
                partition,
                epoch,
                last,
                whole,
            } => self.position(partition, epoch, last, whole),
            Event::Trimmed { partition, kept } => self.trimmed(partition, kept),
            Event::Lost { scope, reason } => self.lost(scope, reason),
            Event::Read { token, complete } => self.read(token, complete),
            Event::Joined { room, member } => {
                let Some(room) = self.rooms.get_mut(&room) else {
                    return;
                };
                if room.subscriptions() == 0 {
                    return; // it was under way when the last one left
                }
                if room.presence_mode != PresenceMode::Off
                    && room.presence.get_or_insert_default().join(member)
                {
                    self.presence_due
                        .push_back((now + MERGE, room.name.clone()));
                }
            }
            Event::Left { room, connection } => {
                let presence = self
                    .rooms
                    .get_mut(&room)
                    .and_then(|room| room.presence.as_mut());
                if presence.is_some_and(|presence| presence.leave(connection)) {
                    self.presence_due.push_back((now + MERGE, room.clone()));
                }
                self.forget_if_idle(&room);
            }
            Event::Members {
                token,
                count,
                members,
            } => self.members(token, count, members),
            Event::Replaced { user, connection } => {
                if let Some(address) = self.users.take(connection, &user) {
                    self.replace(address);
                }
            }
            Event::Expel { to, close, token } => self.expel(token, &to, &close),
            Event::Connections { token, connections } => self.connections(token, connections),
            Event::Direct { to, message, token } => self.direct(token, &to, &message),
            Event::DirectSent { token, result } => self.sent(token, result),
        }
    }

    /// Ends a turn: what was collected goes to the shards.
    pub fn end(&mut self) {
        self.catch_up();
        self.tell_missed();
        for name in std::mem::take(&mut self.outgoing) {
            self.hand_over(&name);
        }
        self.outlet.flush();
        let held = self.is_congested();
        if held != self.held {
            self.held = held;
            self.broker.hold(held);
        }
        self.metrics.rooms.set(self.rooms.len() as u64);
        self.metrics.ring_bytes.set(self.rings.bytes() as u64);
    }

    /// Hands the messages of this turn to the shards: who enters the room after this call does not get them.
    pub(super) fn hand_over(&mut self, name: &RoomName) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        if room.outgoing.is_empty() {
            return;
        }
        let messages = std::mem::take(&mut room.outgoing);
        let missed = &self.missed;
        let misses = |shard: u16| missed.iter().any(|(at, room)| *at == shard && room == name);
        let full: Vec<u16> = match room.stored {
            true => Vec::new(), // publishing was refused before a queue could grow further
            false => room
                .shards()
                .filter(|shard| misses(*shard) || self.outlet.is_full(*shard)) // nothing passes a gap
                .collect(),
        };
        let mut takers = Cow::Borrowed(room.live());
        for shard in full {
            takers.to_mut()[usize::from(shard)] = 0;
            if !self.missed.contains(&(shard, name.clone())) {
                self.missed.push((shard, name.clone()));
            }
        }
        if takers.iter().any(|subscribers| *subscribers > 0) {
            self.outlet.messages(name, messages, self.received, &takers);
        }
    }

    /// Tells the presence that is due.
    pub fn tick(&mut self, now: Instant) {
        while self.presence_due.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, name)) = self.presence_due.pop_front() else {
                return;
            };
            let Some(room) = self.rooms.get_mut(&name) else {
                continue;
            };
            let Some(presence) = &mut room.presence else {
                continue;
            };
            let change = presence.flush(room.presence_mode, room.max_members);
            if let Some(change) = change.filter(|_| room.presence_mode != PresenceMode::Off) {
                let change = Arc::new(change);
                for shard in room.shards() {
                    let delivery = Delivery::Presence {
                        room: name.clone(),
                        change: change.clone(),
                    };
                    self.outlet.send(shard, delivery);
                }
            }
            self.forget_if_idle(&name);
        }
    }

    /// A newer connection of the same user took the place.
    fn replace(&mut self, to: Address) {
        let code = ErrorCode::Replaced;
        self.outlet.send(to.shard, Delivery::Close { to, code });
    }

    pub(super) fn answer(&mut self, to: Address, id: Option<RequestId>, answer: Answer) {
        self.outlet
            .send(to.shard, Delivery::Answer { to, id, answer });
    }
}
