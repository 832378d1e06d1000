//! Questions about a room: its messages and its members, in pages.

use std::sync::Arc;

use super::command::Address;
use super::delivery::{Answer, Outlet};
use super::presence::{PAGE_MEMBERS, Presence};
use super::ring::{PAGE_BYTES, PAGE_MESSAGES, Page, read_page};
use super::state::{Hub, Pending};
use crate::broker::{Broker, Member, Range, Request, Token};
use crate::config::PresenceMode;
use crate::message::Message;
use crate::names::{ConnectionId, Offset, RoomName};
use crate::protocol::{
    ErrorCode, HistoryPage, HistoryRange, PresenceMembers, PresencePage, RequestId,
};

/// A request for history that waits for messages that are not in memory.
pub(super) struct Question {
    to: Address,
    id: Option<RequestId>,
    room: RoomName,
    range: HistoryRange,
    limit: usize,
}

/// A request for the members of a room that nobody here is in.
pub(super) struct Roll {
    to: Address,
    id: Option<RequestId>,
    mode: PresenceMode,
    max_members: usize,
}

impl<B: Broker, O: Outlet> Hub<B, O> {
    pub(super) fn history(
        &mut self,
        to: Address,
        id: Option<RequestId>,
        name: &RoomName,
        range: HistoryRange,
        limit: usize,
    ) {
        let stored = match self.rooms.get(name) {
            Some(room) => room.stored,
            None => self.channel.rules.for_room(name.as_str()).history,
        };
        if !stored {
            return self.answer(to, id, Answer::Refused(ErrorCode::NoHistory));
        }
        let stamp = self.rings.stamp();
        self.expire_room(name);
        let covered = match self.rooms.get_mut(name) {
            Some(room) => {
                room.used = stamp;
                let page = self.read_ring(name, range, limit);
                let room = self.rooms.get(name);
                room.is_some_and(|room| room.ring.covers(range, limit, &page))
            }
            None => self.stores.of(self.broker.partition(name)).whole,
        };
        self.forget_if_idle(name);
        let question = Question {
            to,
            id,
            room: name.clone(),
            range,
            limit,
        };
        if covered {
            return self.tell_history(question, None);
        }
        let token = self.pending.insert(Pending::History(question)) as Token;
        self.broker.submit(Request::Read {
            token,
            room: name.clone(),
            range: match range {
                HistoryRange::After(after) => Range::After(after),
                HistoryRange::Before(before) => Range::Before(before),
                HistoryRange::Newest => Range::Before(Offset(u64::MAX)),
            },
            limit: limit.min(PAGE_MESSAGES) + 1,
        });
    }

    /// Answers with what the store gave, or, where it gave nothing, with what is in memory.
    pub(super) fn tell_history(&mut self, asked: Question, read: Option<Vec<Arc<Message>>>) {
        let Question {
            to,
            id,
            room,
            range,
            limit,
        } = asked;
        let page = match read {
            Some(read) => read_page(&read, range, limit, self.page_bytes()),
            None => self.read_ring(&room, range, limit),
        };
        let epoch = self.stores.of(self.broker.partition(&room)).epoch.clone();
        let Page { messages, more } = page;
        self.answer(
            to,
            id,
            Answer::History(HistoryPage {
                epoch,
                messages,
                more,
            }),
        );
    }

    fn read_ring(&self, name: &RoomName, range: HistoryRange, limit: usize) -> Page {
        match self.rooms.get(name) {
            Some(room) => room.ring.read(range, limit, self.page_bytes()),
            None => read_page(&[], range, limit, 0),
        }
    }

    pub(super) fn presence(
        &mut self,
        to: Address,
        id: Option<RequestId>,
        name: &RoomName,
        after: Option<ConnectionId>,
    ) {
        let room = self.rooms.get(name);
        let (mode, max_members) = match room {
            Some(room) => (room.presence_mode, room.max_members),
            None => {
                let rule = self.channel.rules.for_room(name.as_str());
                (rule.presence, rule.max_members)
            }
        };
        if mode == PresenceMode::Off {
            return self.answer(to, id, Answer::Refused(ErrorCode::NoPresence));
        }
        if let Some(room) = room.filter(|room| room.subscriptions() > 0) {
            // Frames lead on from what is told here, so it is nothing before the first of them.
            let page = match &room.presence {
                Some(presence) => presence.snapshot(mode, max_members, after),
                None => Presence::default().snapshot(mode, max_members, after),
            };
            return self.answer(to, id, Answer::Presence(page));
        }
        let roll = Roll {
            to,
            id,
            mode,
            max_members,
        };
        let token = self.pending.insert(Pending::Members(roll)) as Token;
        self.broker.submit(Request::Members {
            token,
            room: name.clone(),
            after,
            limit: PAGE_MEMBERS + 1,
        });
    }

    /// Answers with what the broker knows of a room that nobody here is in. No frame was told of it, so its version is 0.
    pub(super) fn members(&mut self, token: Token, count: usize, mut members: Vec<Member>) {
        let Some(Pending::Members(roll)) = self.pending.try_remove(token as usize) else {
            return;
        };
        let members = match roll.mode {
            PresenceMode::Full if count <= roll.max_members => {
                let more = members.len() > PAGE_MEMBERS;
                members.truncate(PAGE_MEMBERS);
                PresenceMembers::Page { members, more }
            }
            _ => PresenceMembers::Count(count),
        };
        let version = 0;
        let page = PresencePage { version, members };
        self.answer(roll.to, roll.id, Answer::Presence(page));
    }

    /// Most bytes of a page: half of what may wait for a client, so that a page alone does not disconnect it.
    pub(super) fn page_bytes(&self) -> usize {
        PAGE_BYTES.min(self.channel.limits.send_queue_size / 2)
    }
}
