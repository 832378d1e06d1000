//! The hub's state machine: commands from shards and events from the broker in, deliveries out.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use slab::Slab;

use super::command::{Address, Command, CommandKind};
use super::delivery::{Answer, Delivery, Outlet};
use super::directory::Directory;
use super::lru::Lru;
use super::presence::MERGE;
use super::ring::{PAGE_BYTES, PAGE_MESSAGES, Ring};
use super::room::Room;
use super::users::Users;
use crate::broker::{Broker, DeduplicationKey, Event, GapReason, Member, Receipt, Request, Token};
use crate::config::{Channel, PresenceMode};
use crate::message::Message;
use crate::metrics::HubMetrics;
use crate::names::{ConnectionId, Epoch, Offset, RoomName, UserId};
use crate::protocol::{
    ErrorCode, HistoryPage, HistoryRange, PresenceMembers, PresencePage, RequestId, Since,
    Subscribed,
};

/// How often a full queue is looked at while somebody must be told that it was.
const QUEUE_LOOK: Duration = Duration::from_millis(20);

/// Rooms, users and what is on its way to the broker.
pub struct Hub<B, O> {
    channel: Arc<Channel>,
    broker: B,
    outlet: O,
    shards: usize,
    rooms: HashMap<RoomName, Room>,
    users: Users,
    /// Requests at the broker; the key is the token.
    pending: Slab<Pending>,
    /// Subscribes that wait for messages from beyond the ring.
    reading: HashMap<(Address, RoomName), Token>,
    epoch: Epoch,
    /// The last position that the broker told.
    position: Offset,
    /// Nothing above this offset is missing of any room that is not in memory.
    floor: Offset,
    ring_bytes: usize,
    lru: Lru,
    /// Rooms with messages for the shards in this turn.
    outgoing: Vec<RoomName>,
    /// Shards whose queue was full for messages without history, and the rooms whose subscribers must be told.
    missed: Vec<(u16, RoomName)>,
    /// When the commands of this turn were read from sockets.
    received: Instant,
    /// When rooms tell their collected presence; in order, since all wait equally long.
    presence_due: VecDeque<(Instant, RoomName)>,
    metrics: Arc<HubMetrics>,
}

/// A request at the broker: whom its answer is for.
enum Pending {
    Publish {
        to: Address,
        id: Option<RequestId>,
        had_message_id: bool,
    },
    Send {
        to: Address,
        id: Option<RequestId>,
    },
    Resume(Resume),
    /// It has its answer already; the token stays taken until the broker's comes.
    Overtaken,
}

/// A subscribe whose messages are older than the ring.
struct Resume {
    to: Address,
    id: Option<RequestId>,
    room: RoomName,
    since: Since,
    presence: bool,
    /// Where the ring began when the broker was asked: what it reads reaches that.
    reach: Offset,
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
        Self {
            channel,
            broker,
            outlet,
            shards,
            rooms: HashMap::new(),
            users: Users::default(),
            pending: Slab::new(),
            reading: HashMap::new(),
            epoch: Epoch::random(), // until the broker tells its own
            position: Offset(0),
            floor: Offset(0),
            ring_bytes: 0,
            lru: Lru::default(),
            outgoing: Vec::new(),
            missed: Vec::new(),
            received: Instant::now(),
            presence_due: VecDeque::new(),
            metrics,
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
                    self.outlet.send(
                        oldest.shard,
                        Delivery::Close {
                            to: oldest,
                            code: ErrorCode::Replaced,
                        },
                    );
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
            CommandKind::Publish { message, key } => self.publish(from, id, message, key),
            CommandKind::Send { to, message } => self.send(from, id, &to, message),
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
            Event::Published { token, result } => self.published(token, result),
            Event::Position { epoch, last } => self.position(epoch, last),
            Event::Lost { room, reason } => self.lost(room, reason),
            Event::Read { token, complete } => self.read(token, complete),
            Event::Joined { room, member } => {
                let Some(room) = self.rooms.get_mut(&room) else {
                    return;
                };
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
            Event::Direct { to, message, token } => {
                let addresses = self.users.find(&to);
                self.broker.submit(Request::DirectTaken {
                    token,
                    connections: addresses.len(),
                });
                for to in addresses {
                    self.outlet.send(
                        to.shard,
                        Delivery::Direct {
                            to,
                            message: message.clone(),
                        },
                    );
                }
            }
            Event::DirectSent { token, connections } => {
                if let Some(Pending::Send { to, id }) = self.pending.try_remove(token as usize) {
                    self.answer(to, id, Answer::Sent { connections });
                }
            }
        }
    }

    /// Ends a turn: what was collected goes to the shards.
    pub fn end(&mut self) {
        self.tell_missed();
        for name in std::mem::take(&mut self.outgoing) {
            let Some(room) = self.rooms.get_mut(&name) else {
                continue;
            };
            let messages = std::mem::take(&mut room.outgoing);
            let missed = &self.missed;
            let misses = |shard: u16| {
                missed
                    .iter()
                    .any(|(at, room)| *at == shard && *room == name)
            };
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
                self.outlet
                    .messages(&name, messages, self.received, &takers);
            }
        }
        self.outlet.flush();
        self.metrics.rooms.set(self.rooms.len() as u64);
        self.metrics.ring_bytes.set(self.ring_bytes as u64);
    }

    /// Tells subscribers that they missed something, once their shard's queue has room again.
    fn tell_missed(&mut self) {
        for (shard, room) in std::mem::take(&mut self.missed) {
            if self.outlet.is_full(shard) {
                self.missed.push((shard, room));
            } else {
                self.metrics.gaps.add(1);
                self.outlet.send(
                    shard,
                    Delivery::Gap {
                        room,
                        reason: GapReason::Overload,
                        position: None,
                    },
                );
            }
        }
    }

    /// When [`tick`](Self::tick) has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let presence = self.presence_due.front().map(|(at, _)| *at);
        let missed = (!self.missed.is_empty()).then(|| Instant::now() + QUEUE_LOOK);
        presence.into_iter().chain(missed).min()
    }

    /// Does what is due.
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

    /// Lets go messages that are too old, of the rooms used least recently. Rooms in use do so with each message.
    pub fn expire(&mut self) {
        let Some(history) = self.channel.history else {
            return;
        };
        let old = unix_milliseconds().saturating_sub(history.max_age.as_millis() as u64);
        // Bounded per call, so that a turn stays short.
        for _ in 0..1000 {
            let rooms = &mut self.rooms;
            let Some(name) = self.lru.take(|name| last_use(rooms, name)) else {
                return;
            };
            let Some(room) = self.rooms.get(&name) else {
                continue;
            };
            if room.ring.newest().is_some_and(|newest| newest >= old) {
                self.lru.put_back(room.used, name);
                return;
            }
            self.drop_ring(&name);
        }
    }

    /// Applies a new configuration to rooms in memory.
    pub fn configure(&mut self, channel: Arc<Channel>, now: Instant) {
        self.broker.configure(&channel);
        if !self.channel.rules.keep_alike(&channel.rules) {
            // A room that is not in memory may have begun to keep messages just now: nothing before is proven.
            self.floor = self.floor.max(self.position);
        }
        self.channel = channel;
        let max = self
            .channel
            .history
            .map_or(0, |history| history.max_messages_per_room);
        let mut begun = Vec::new();
        for room in self.rooms.values_mut() {
            let was_stored = room.stored;
            room.apply(&self.channel.rules);
            let before = room.ring.footprint();
            match (was_stored, room.stored) {
                (false, true) => {
                    room.ring = Ring::new(self.position);
                    begun.push(room.name.clone());
                }
                (true, false) => room.ring.clear(self.position),
                _ => room.ring.truncate(max),
            }
            self.ring_bytes = self.ring_bytes - before + room.ring.footprint();
            if room.presence.is_some() {
                self.presence_due
                    .push_back((now + MERGE, room.name.clone()));
            }
        }
        self.bound_rings();
        self.forget_idle();
        for name in begun {
            self.tell_gap(&name, GapReason::EpochChanged); // its subscribers know no position yet
        }
    }

    fn subscribe(
        &mut self,
        to: Address,
        id: Option<RequestId>,
        name: RoomName,
        since: Option<Since>,
        presence: bool,
        member: Member,
    ) {
        self.settle(to, &name);
        let stamp = self.lru.stamp();
        let (epoch, position) = (self.epoch.clone(), self.position);
        self.expire_room(&name);
        let page_bytes = self.page_bytes();
        let room = self.room(&name);
        room.used = stamp;
        let resumed = match &since {
            Some(since) if room.stored => resume(&room.ring, since, &epoch, position, page_bytes),
            Some(_) => Resumed::Lost,
            None => Resumed::Live,
        };
        let stored = room.stored;
        let (recovered, messages, more, at) = match resumed {
            Resumed::Live => (since.map(|_| true), Vec::new(), false, position),
            Resumed::Lost => (Some(false), Vec::new(), false, position),
            Resumed::Page { messages, more } => {
                let last = messages.last().and_then(|message| message.offset);
                (
                    Some(true),
                    messages,
                    more,
                    if more {
                        last.unwrap_or(position)
                    } else {
                        position
                    },
                )
            }
            Resumed::Elsewhere(since) => {
                let (reach, after) = (room.ring.floor(), since.offset);
                self.enter(to, &name, false, member);
                let resume = Resume {
                    to,
                    id,
                    room: name.clone(),
                    since,
                    presence,
                    reach,
                };
                let token = self.pending.insert(Pending::Resume(resume)) as Token;
                self.reading.insert((to, name.clone()), token);
                self.broker.submit(Request::Read {
                    token,
                    room: name,
                    after,
                    limit: PAGE_MESSAGES + 1,
                });
                return;
            }
        };
        match recovered {
            Some(true) => self.metrics.resumes_recovered.add(1),
            Some(false) => self.metrics.resumes_lost.add(1),
            None => {}
        }
        self.enter(to, &name, !more, member);
        let outcome = Subscribed {
            position: stored.then_some((epoch, at)),
            recovered,
            messages,
            more,
        };
        self.outlet.send(
            to.shard,
            Delivery::Subscribed {
                to,
                id,
                room: name,
                presence,
                outcome: Box::new(outcome),
            },
        );
    }

    /// Counts a subscription, and tells the broker of the first one and of the member.
    fn enter(&mut self, address: Address, name: &RoomName, live: bool, member: Member) {
        let room = self.room(name);
        let first = room.subscriptions() == 0;
        let new = room.subscribe(address, live);
        let told = room.presence_mode != PresenceMode::Off;
        if first {
            self.broker.submit(Request::Watch(name.clone()));
        }
        if new {
            self.metrics.subscriptions.add(1);
        }
        if told {
            self.broker.submit(Request::Join {
                room: name.clone(),
                member,
            });
        }
    }

    fn leave(&mut self, address: Address, name: &RoomName, connection: ConnectionId) {
        self.settle(address, name);
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        if !room.unsubscribe(address) {
            return;
        }
        self.metrics.subscriptions.subtract(1);
        if room.subscriptions() == 0 {
            self.broker.submit(Request::Unwatch(name.clone()));
        }
        if room.presence.is_some() || room.presence_mode != PresenceMode::Off {
            self.broker.submit(Request::Leave {
                room: name.clone(),
                connection,
            });
        }
        self.forget_if_idle(name);
    }

    fn publish(
        &mut self,
        to: Address,
        id: Option<RequestId>,
        mut message: Box<Message>,
        key: Option<DeduplicationKey>,
    ) {
        let stored = match self.rooms.get(&message.room) {
            Some(room) => {
                if room.stored && room.shards().any(|shard| self.outlet.is_full(shard)) {
                    return self.answer(to, id, Answer::Refused(ErrorCode::Overloaded));
                }
                message.room = room.name.clone(); // one allocation for all messages of a room
                room.stored
            }
            None => self.channel.rules.for_room(message.room.as_str()).history,
        };
        let pending = Pending::Publish {
            to,
            id,
            had_message_id: key.is_some(),
        };
        let token = self.pending.insert(pending) as Token;
        self.broker.submit(Request::Publish {
            token,
            message,
            stored,
            key,
        });
    }

    fn published(&mut self, token: Token, result: Result<Receipt, crate::broker::PublishError>) {
        use crate::broker::PublishError;
        let Some(Pending::Publish {
            to,
            id,
            had_message_id,
        }) = self.pending.try_remove(token as usize)
        else {
            return;
        };
        let answer = match result {
            Ok(receipt) => {
                let counter = if receipt.duplicate {
                    &self.metrics.duplicates
                } else {
                    &self.metrics.published
                };
                counter.add(1);
                Answer::Published {
                    position: receipt.offset.map(|offset| (self.epoch.clone(), offset)),
                    timestamp: receipt.timestamp,
                    duplicate: receipt.duplicate,
                    not_deduplicated: had_message_id && receipt.offset.is_none(),
                }
            }
            Err(PublishError::Unavailable) => Answer::Refused(ErrorCode::Unavailable),
            Err(PublishError::OutcomeUnknown) => Answer::Refused(ErrorCode::OutcomeUnknown),
            Err(PublishError::Overloaded) => Answer::Refused(ErrorCode::Overloaded),
        };
        self.answer(to, id, answer);
    }

    /// A message of the broker: kept where the room keeps messages, and sent to whoever is in the room.
    fn message(&mut self, message: Arc<Message>) {
        if let Some(offset) = message.offset {
            if offset <= self.position {
                return; // seen before a reset
            }
            self.position = offset;
        } else if !self.rooms.contains_key(&message.room) {
            return;
        }
        let stamp = self.lru.stamp();
        let history = self.channel.history;
        let room = self.room(&message.room);
        let (name, stored) = (room.name.clone(), room.stored);
        room.used = stamp;
        if room.subscriptions() > 0 {
            room.outgoing.push(message.clone());
            if room.outgoing.len() == 1 {
                self.outgoing.push(name.clone());
            }
        }
        match (message.offset, history) {
            (Some(_), Some(history)) if stored => self.keep(&name, message, stamp, history),
            (Some(_), _) => self.forget_if_idle(&name), // the room has stopped keeping meanwhile
            (None, _) => {}
        }
    }

    fn keep(
        &mut self,
        name: &RoomName,
        message: Arc<Message>,
        stamp: u64,
        history: crate::config::History,
    ) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        let before = room.ring.footprint();
        room.ring.expire(message.timestamp, history.max_age);
        room.ring.push(message, history.max_messages_per_room);
        self.ring_bytes = self.ring_bytes + room.ring.footprint() - before;
        if !room.queued {
            room.queued = true;
            self.lru.add(stamp, name.clone());
        }
        self.bound_rings();
    }

    /// Lets go what is too old of a room that is about to be read.
    fn expire_room(&mut self, name: &RoomName) {
        let (Some(history), Some(room)) = (self.channel.history, self.rooms.get_mut(name)) else {
            return;
        };
        let before = room.ring.footprint();
        room.ring.expire(unix_milliseconds(), history.max_age);
        self.ring_bytes = self.ring_bytes + room.ring.footprint() - before;
    }

    /// Drops the rings that were used least recently until all fit `historyMemory`.
    fn bound_rings(&mut self) {
        while self.ring_bytes > self.channel.limits.history_memory {
            let rooms = &mut self.rooms;
            let Some(name) = self.lru.take(|name| last_use(rooms, name)) else {
                return;
            };
            self.drop_ring(&name);
            self.metrics.rings_evicted.add(1);
        }
    }

    fn drop_ring(&mut self, name: &RoomName) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        self.ring_bytes -= room.ring.footprint();
        room.ring.clear(Offset(0));
        room.queued = false;
        self.forget_if_idle(name);
    }

    fn send(&mut self, from: Address, id: Option<RequestId>, to: &str, mut message: Box<Message>) {
        let user = match ConnectionId::parse(to) {
            Some(connection) => Some(UserId::anonymous(connection)),
            None => UserId::from_token(to),
        };
        let Some(user) = user else {
            return self.answer(from, id, Answer::Sent { connections: 0 }); // nobody can have that name
        };
        message.timestamp = unix_milliseconds();
        let token = self.pending.insert(Pending::Send { to: from, id }) as Token;
        self.broker.submit(Request::Direct {
            token,
            to: user,
            message: Arc::from(message),
        });
    }

    fn history(
        &mut self,
        to: Address,
        id: Option<RequestId>,
        name: &RoomName,
        range: HistoryRange,
        limit: usize,
    ) {
        if !self.channel.rules.for_room(name.as_str()).history {
            return self.answer(to, id, Answer::Refused(ErrorCode::NoHistory));
        }
        let stamp = self.lru.stamp();
        self.expire_room(name);
        let page_bytes = self.page_bytes();
        let mut page = (Vec::new(), false);
        if let Some(room) = self.rooms.get_mut(name) {
            room.used = stamp;
            let found = room.ring.read(range, limit, page_bytes);
            page = (found.messages, found.more);
        }
        let (messages, more) = page;
        self.forget_if_idle(name);
        self.answer(
            to,
            id,
            Answer::History(HistoryPage {
                epoch: self.epoch.clone(),
                messages,
                more,
            }),
        );
    }

    fn presence(
        &mut self,
        to: Address,
        id: Option<RequestId>,
        name: &RoomName,
        after: Option<ConnectionId>,
    ) {
        let rule = self.channel.rules.for_room(name.as_str());
        let presence = self.rooms.get(name).and_then(|room| room.presence.as_ref());
        let answer = match (rule.presence, presence) {
            (PresenceMode::Off, _) => Answer::Refused(ErrorCode::NoPresence),
            (mode, Some(presence)) => {
                Answer::Presence(presence.snapshot(mode, rule.max_members, after))
            }
            (PresenceMode::Count, None) => Answer::Presence(PresencePage {
                version: 0,
                members: PresenceMembers::Count(0),
            }),
            (PresenceMode::Full, None) => {
                let members = PresenceMembers::Page {
                    members: Vec::new(),
                    more: false,
                };
                Answer::Presence(PresencePage {
                    version: 0,
                    members,
                })
            }
        };
        self.answer(to, id, answer);
    }

    /// The store's life: a new one makes all positions void.
    fn position(&mut self, epoch: Epoch, last: Offset) {
        let again = self.epoch != epoch;
        self.epoch = epoch;
        self.position = last;
        self.floor = last;
        if again {
            self.ring_bytes = 0;
            for room in self.rooms.values_mut() {
                room.ring = Ring::new(last);
            }
            self.lost(None, GapReason::EpochChanged);
        }
    }

    /// Messages were missed: what is kept proves nothing up to here, and subscribers are told.
    fn lost(&mut self, room: Option<RoomName>, reason: GapReason) {
        if room
            .as_ref()
            .is_none_or(|name| !self.rooms.contains_key(name))
        {
            self.floor = self.floor.max(self.position);
        }
        let names = room.map_or_else(|| self.rooms.keys().cloned().collect(), |name| vec![name]);
        for name in names {
            if let Some(room) = self.rooms.get_mut(&name) {
                self.ring_bytes -= room.ring.footprint();
                room.ring.clear(self.position);
                self.tell_gap(&name, reason);
                self.forget_if_idle(&name);
            }
        }
    }

    fn tell_gap(&mut self, name: &RoomName, reason: GapReason) {
        let Some(room) = self.rooms.get(name) else {
            return;
        };
        let position = room.stored.then(|| (self.epoch.clone(), self.position));
        for shard in room.shards() {
            let gap = Delivery::Gap {
                room: name.clone(),
                reason,
                position: position.clone(),
            };
            self.outlet.send(shard, gap);
            self.metrics.gaps.add(1);
        }
    }

    /// Messages from beyond the ring have come, or cannot.
    fn read(&mut self, token: Token, complete: Option<Vec<Arc<Message>>>) {
        if let Some(Pending::Resume(resume)) = self.pending.try_remove(token as usize) {
            self.reading.remove(&(resume.to, resume.room.clone()));
            self.resumed(resume, complete);
        }
    }

    /// Answers a subscribe that waits for messages from beyond the ring: its connection's next request for the room
    /// overtakes it.
    fn settle(&mut self, to: Address, name: &RoomName) {
        if self.reading.is_empty() {
            return;
        }
        let Some(token) = self.reading.remove(&(to, name.clone())) else {
            return;
        };
        let Some(pending) = self.pending.get_mut(token as usize) else {
            return;
        };
        if let Pending::Resume(resume) = std::mem::replace(pending, Pending::Overtaken) {
            self.resumed(resume, None);
        }
    }

    fn resumed(&mut self, resume: Resume, complete: Option<Vec<Arc<Message>>>) {
        let Resume {
            to,
            id,
            room: name,
            since,
            presence,
            reach,
        } = resume;
        let (epoch, position, page_bytes) = (self.epoch.clone(), self.position, self.page_bytes());
        let Some(room) = self.rooms.get_mut(&name) else {
            return;
        };
        let read = complete.filter(|_| since.epoch == epoch);
        let page =
            read.and_then(|read| room.ring.after_read(&read, since.offset, reach, page_bytes));
        let recovered = page.is_some();
        let (messages, more) = page.map_or((Vec::new(), false), |page| (page.messages, page.more));
        let counter = if recovered {
            &self.metrics.resumes_recovered
        } else {
            &self.metrics.resumes_lost
        };
        counter.add(1);
        room.subscribe(to, !more);
        let last = messages
            .last()
            .and_then(|message| message.offset)
            .filter(|_| more);
        let position = room.stored.then(|| (epoch, last.unwrap_or(position)));
        let outcome = Box::new(Subscribed {
            position,
            recovered: Some(recovered),
            messages,
            more,
        });
        self.outlet.send(
            to.shard,
            Delivery::Subscribed {
                to,
                id,
                room: name,
                presence,
                outcome,
            },
        );
    }

    fn answer(&mut self, to: Address, id: Option<RequestId>, answer: Answer) {
        self.outlet
            .send(to.shard, Delivery::Answer { to, id, answer });
    }

    /// Most bytes of a page: half of what may wait for a client, so that a page alone does not disconnect it.
    fn page_bytes(&self) -> usize {
        PAGE_BYTES.min(self.channel.limits.send_queue_size / 2)
    }

    /// The room in memory, made if it is not there.
    fn room(&mut self, name: &RoomName) -> &mut Room {
        let (channel, shards, floor) = (&self.channel, self.shards, self.floor);
        self.rooms
            .entry(name.clone())
            .or_insert_with(|| Room::new(name.clone(), &channel.rules, shards, floor))
    }

    fn forget_idle(&mut self) {
        let floor = &mut self.floor;
        self.rooms.retain(|_, room| {
            let idle = room.is_idle();
            if idle {
                *floor = (*floor).max(room.ring.floor());
            }
            !idle
        });
    }

    fn forget_if_idle(&mut self, name: &RoomName) {
        if self.rooms.get(name).is_some_and(Room::is_idle)
            && let Some(room) = self.rooms.remove(name)
        {
            self.floor = self.floor.max(room.ring.floor());
        }
    }
}

/// What a ring can do for a position.
enum Resumed {
    /// Nothing was missed, or nothing was asked.
    Live,
    /// This was missed.
    Page {
        messages: Vec<Arc<Message>>,
        more: bool,
    },
    /// What was missed since then is older than the ring.
    Elsewhere(Since),
    /// Completeness cannot be proven.
    Lost,
}

fn resume(
    ring: &Ring,
    since: &Since,
    epoch: &Epoch,
    position: Offset,
    page_bytes: usize,
) -> Resumed {
    if since.epoch != *epoch || since.offset > position {
        return Resumed::Lost;
    }
    if since.offset < ring.floor() {
        return Resumed::Elsewhere(since.clone());
    }
    let page = ring.after(since.offset, PAGE_MESSAGES, page_bytes);
    match page.messages.is_empty() {
        true => Resumed::Live,
        false => Resumed::Page {
            messages: page.messages,
            more: page.more,
        },
    }
}

fn last_use(rooms: &mut HashMap<RoomName, Room>, name: &RoomName) -> Option<u64> {
    let room = rooms.get_mut(name).filter(|room| room.queued)?;
    room.queued = !room.ring.is_empty(); // an empty one is queued again with its next message
    room.queued.then_some(room.used)
}

fn unix_milliseconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis() as u64
}
