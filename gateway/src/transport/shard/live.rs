//! Changes that reach open connections: a new configuration, and the gateway's end.

use std::sync::Arc;

use super::state::Shard;
use super::wheel::ticks;
use crate::config::Channel;
use crate::hub::CommandKind;
use crate::names::RoomName;
use crate::protocol::{ErrorCode, Reply};

impl Shard {
    /// Applies a new configuration to open connections.
    pub(super) fn configure(&mut self, channel: Arc<Channel>) {
        self.memory.set_limit(channel.limits.queue_memory);
        self.channel = channel;
        for slot in self.slots() {
            let connection = self.connections.get(slot as usize);
            let transport = connection.map(|connection| connection.link.transport());
            if transport.is_some_and(|transport| !transport.is_served(&self.channel)) {
                self.close(slot, ErrorCode::TransportDisabled);
            }
            self.leave_forbidden(slot);
            self.schedule(slot);
        }
        self.flush_out();
    }

    /// Takes a connection out of the rooms that the rules do not let it stay in any more.
    pub(super) fn leave_forbidden(&mut self, slot: u32) {
        let channel = Arc::clone(&self.channel);
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        let session = &mut connection.session;
        session.forget_verdicts();
        let rooms: Vec<RoomName> = session.rooms.keys().cloned().collect();
        for room in rooms {
            if !self.connections[slot as usize]
                .session
                .may_stay(&room, &channel)
            {
                self.expel(slot, &room, ErrorCode::Forbidden);
            }
        }
    }

    /// Ends the connections of users who were revoked.
    pub(super) fn cut_revoked(&mut self) {
        for slot in self.slots() {
            self.cut_if_revoked(slot);
        }
    }

    /// Ends a connection if its user was revoked.
    pub(super) fn cut_if_revoked(&mut self, slot: u32) {
        let Some(connection) = self.connections.get(slot as usize) else {
            return;
        };
        let identity = connection.session.identity();
        if identity.is_some_and(|identity| self.tokens.revocations().covers(identity)) {
            self.close(slot, ErrorCode::Revoked);
        }
    }

    pub(super) fn slots(&self) -> Vec<u32> {
        let slots = self.connections.iter().map(|(slot, _)| slot as u32);
        slots.collect()
    }

    /// Ends a subscription and says why.
    pub(super) fn expel(&mut self, slot: u32, room: &RoomName, code: ErrorCode) {
        self.remove_member(slot, room);
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        let id = connection.session.connection();
        if let Some(membership) = connection.session.rooms.get_mut(room) {
            (membership.leaving, membership.ended) = (true, Some(code));
        }
        self.ask_hub(
            slot,
            None,
            CommandKind::Unsubscribe {
                room: room.clone(),
                connection: id,
            },
        );
        self.reply(slot, &Reply::Unsubscribed { room, code });
    }

    /// Begins to move all connections away.
    pub(super) fn drain(&mut self, window: std::time::Duration) {
        self.draining_until = Some(self.wheel.now() + ticks(window));
        for slot in self.slots() {
            self.plan_move(slot);
            self.schedule(slot);
        }
    }
}
