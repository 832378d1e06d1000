//! Questions about a room: its messages and its members, in pages.

use super::command::Address;
use super::delivery::{Answer, Outlet};
use super::ring::PAGE_BYTES;
use super::state::Hub;
use crate::broker::Broker;
use crate::config::PresenceMode;
use crate::names::{ConnectionId, RoomName};
use crate::protocol::{
    ErrorCode, HistoryPage, HistoryRange, PresenceMembers, PresencePage, RequestId,
};

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
        let page_bytes = self.page_bytes();
        let mut page = (Vec::new(), false);
        if let Some(room) = self.rooms.get_mut(name) {
            room.used = stamp;
            let found = room.ring.read(range, limit, page_bytes);
            page = (found.messages, found.more);
        }
        let (messages, more) = page;
        let epoch = self.stores.of(self.broker.partition(name)).epoch.clone();
        self.forget_if_idle(name);
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
