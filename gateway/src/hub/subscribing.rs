//! Subscriptions: who enters a room and leaves it, and how one goes on from a position that it knows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::command::Address;
use super::delivery::{Delivery, Outlet};
use super::ring::{PAGE_MESSAGES, Ring};
use super::state::{Hub, Pending};
use super::watching::Waiting;
use crate::broker::{Broker, Member, Range, Request, Token};
use crate::config::PresenceMode;
use crate::message::Message;
use crate::names::{ConnectionId, Epoch, Offset, RoomName};
use crate::protocol::{RequestId, Since, Subscribed};

/// How long somebody who comes from a gateway that is ahead waits for this one.
const AHEAD: Duration = Duration::from_secs(5);

/// A subscribe whose messages are older than the ring.
pub(super) struct Resume {
    to: Address,
    id: Option<RequestId>,
    room: RoomName,
    since: Since,
    presence: bool,
    /// When it is answered at the latest, if it waits for this gateway to come as far as another.
    until: Instant,
    /// Where the ring began when the broker was asked: what it reads reaches that.
    reach: Offset,
}

impl<B: Broker, O: Outlet> Hub<B, O> {
    pub(super) fn subscribe(
        &mut self,
        to: Address,
        id: Option<RequestId>,
        name: RoomName,
        since: Option<Since>,
        presence: bool,
        member: Member,
    ) {
        self.settle(to, &name);
        let stamp = self.rings.stamp();
        self.expire_room(&name);
        let page_bytes = self.page_bytes();
        let partition = self.room(&name).partition;
        let (epoch, position) = self.stores.of(partition).end();
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
                self.metrics.ring_misses.add(1);
                self.enter(to, &name, false, member);
                let resume = Resume {
                    to,
                    id,
                    room: name.clone(),
                    since,
                    presence,
                    until: Instant::now() + AHEAD,
                    reach,
                };
                let token = self.pending.insert(Pending::Resume(resume)) as Token;
                self.reading.insert((to, name.clone()), token);
                self.broker.submit(Request::Read {
                    token,
                    room: name,
                    range: Range::After(after),
                    limit: PAGE_MESSAGES + 1,
                });
                return;
            }
        };
        if recovered == Some(true) {
            self.metrics.ring_hits.add(1);
        }
        self.enter(to, &name, !more, member);
        let room = self.room(&name);
        if room.awaits_broker() {
            let waiting = Waiting {
                to,
                id,
                presence,
                recovered,
            };
            return room.waiting.push(waiting);
        }
        let outcome = Subscribed {
            position: stored.then_some((epoch, at)),
            recovered,
            messages,
            more,
        };
        self.tell_subscribed(to, id, name, presence, outcome);
    }

    pub(super) fn tell_subscribed(
        &mut self,
        to: Address,
        id: Option<RequestId>,
        room: RoomName,
        presence: bool,
        outcome: Subscribed,
    ) {
        match outcome.recovered {
            Some(true) => self.metrics.resumes_recovered.add(1),
            Some(false) => self.metrics.resumes_lost.add(1),
            None => {}
        }
        self.outlet.send(
            to.shard,
            Delivery::Subscribed {
                to,
                id,
                room,
                presence,
                outcome: Box::new(outcome),
            },
        );
    }

    /// Counts a subscription, and tells the broker of the first one and of the member.
    pub(super) fn enter(&mut self, address: Address, name: &RoomName, live: bool, member: Member) {
        if self.room(name).subscriptions() == 0 {
            self.watch(name);
        }
        let room = self.room(name);
        let new = room.subscribe(address, live && !room.awaits_broker());
        let told = room.presence_mode != PresenceMode::Off;
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

    /// Somebody who was in the room before it told of members is one now.
    pub(super) fn join(&mut self, from: Address, name: RoomName, member: Member) {
        let room = self.rooms.get(&name);
        if room.is_some_and(|room| room.presence_mode != PresenceMode::Off && room.has(from)) {
            self.broker.submit(Request::Join { room: name, member });
        }
    }

    pub(super) fn leave(&mut self, address: Address, name: &RoomName, connection: ConnectionId) {
        self.settle(address, name);
        self.wait_no_more(address, name);
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        if !room.unsubscribe(address) {
            return;
        }
        self.metrics.subscriptions.subtract(1);
        let last = room.subscriptions() == 0;
        if room.presence.is_some() || room.presence_mode != PresenceMode::Off {
            self.broker.submit(Request::Leave {
                room: name.clone(),
                connection,
            });
        }
        if last {
            // Nobody here is left to be told, and what happens from now on is not heard.
            room.presence = None;
            room.watch = None;
            self.broker.submit(Request::Unwatch(name.clone()));
        }
        self.forget_if_idle(name);
    }

    /// Messages from beyond the ring have come, or cannot.
    pub(super) fn read(&mut self, token: Token, complete: Option<Vec<Arc<Message>>>) {
        match self.pending.try_remove(token as usize) {
            Some(Pending::Resume(resume)) => {
                self.reading.remove(&(resume.to, resume.room.clone()));
                self.resumed(resume, complete);
            }
            Some(Pending::History(question)) => self.tell_history(question, complete),
            _ => {}
        }
    }

    /// Answers a subscribe that waits for messages from beyond the ring: its connection's next request for the room
    /// overtakes it.
    pub(super) fn settle(&mut self, to: Address, name: &RoomName) {
        if let Some(index) = self
            .ahead
            .iter()
            .position(|of| of.to == to && of.room == *name)
        {
            let resume = self.ahead.swap_remove(index);
            self.resumed(resume, None);
        }
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

    /// Answers those who were ahead of this gateway, once it has come as far.
    pub(super) fn catch_up(&mut self) {
        if self.ahead.is_empty() {
            return;
        }
        let now = Instant::now();
        for mut resume in std::mem::take(&mut self.ahead) {
            let Some(room) = self.rooms.get(&resume.room) else {
                continue; // everybody has left it
            };
            let store = self.stores.of(room.partition);
            let waits = store.epoch == resume.since.epoch
                && store.position < resume.since.offset
                && now < resume.until;
            if waits {
                self.ahead.push(resume);
            } else if room.ring.floor() <= resume.since.offset && now < resume.until {
                resume.reach = room.ring.floor();
                self.resumed(resume, Some(Vec::new()));
            } else {
                self.resumed(resume, None); // a gap has come between
            }
        }
    }

    pub(super) fn resumed(&mut self, resume: Resume, complete: Option<Vec<Arc<Message>>>) {
        if let Some(room) = self.rooms.get(&resume.room) {
            let (epoch, position) = self.stores.of(room.partition).end();
            let ahead = resume.since.epoch == epoch && resume.since.offset > position;
            if complete.is_some() && ahead {
                return self.ahead.push(resume);
            }
        }
        let Resume {
            to,
            id,
            room: name,
            since,
            presence,
            until: _,
            mut reach,
        } = resume;
        let page_bytes = self.page_bytes();
        self.hand_over(&name); // what came before is in the page, not after it
        let Some(room) = self.rooms.get_mut(&name) else {
            return;
        };
        let (epoch, position) = self.stores.of(room.partition).end();
        let mut read = complete.filter(|_| since.epoch == epoch);
        if let Some(read) = &mut read {
            // What the store has and this gateway has not heard yet comes live.
            read.retain(|message| message.offset <= Some(position));
            if room.ring.floor() <= since.offset {
                // A gap that came meanwhile is before the position that is known: the ring has all that follows.
                read.clear();
                reach = room.ring.floor();
            }
        }
        let page =
            read.and_then(|read| room.ring.after_read(&read, since.offset, reach, page_bytes));
        let recovered = page.is_some();
        let (messages, more) = page.map_or((Vec::new(), false), |page| (page.messages, page.more));
        room.subscribe(to, !more);
        let last = messages
            .last()
            .and_then(|message| message.offset)
            .filter(|_| more);
        let position = room.stored.then(|| (epoch, last.unwrap_or(position)));
        let outcome = Subscribed {
            position,
            recovered: Some(recovered),
            messages,
            more,
        };
        self.tell_subscribed(to, id, name, presence, outcome);
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
    /// What was missed since then is older than the ring, or has not come here yet.
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
    if since.epoch != *epoch {
        return Resumed::Lost;
    }
    // A position beyond the last one is of a gateway that is ahead of this one, or of nobody: the broker knows.
    if since.offset < ring.floor() || since.offset > position {
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
