//! Questions about a room: its messages and its members, in pages.

use std::sync::Arc;

use super::command::Address;
use super::delivery::{Answer, Outlet};
use super::ring::{PAGE_BYTES, PAGE_MESSAGES, Page, read_page};
use super::state::{Hub, Pending};
use crate::broker::{Broker, Range, Request, Token};
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
        let (mode, max_members, presence) = match self.rooms.get(name) {
            Some(room) => (room.presence_mode, room.max_members, room.presence.as_ref()),
            None => {
                let rule = self.channel.rules.for_room(name.as_str());
                (rule.presence, rule.max_members, None)
            }
        };
        let answer = match (mode, presence) {
            (PresenceMode::Off, _) => Answer::Refused(ErrorCode::NoPresence),
            (mode, Some(presence)) => Answer::Presence(presence.snapshot(mode, max_members, after)),
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

    /// Most bytes of a page: half of what may wait for a client, so that a page alone does not disconnect it.
    pub(super) fn page_bytes(&self) -> usize {
        PAGE_BYTES.min(self.channel.limits.send_queue_size / 2)
    }
}
