//! From the hub to connections: answers, subscriptions, and what is told to a room.

use std::sync::Arc;

use super::connection::State;
use super::encoding::FrameWriter;
use super::rooms::Item;
use super::state::Shard;
use crate::broker::GapReason;
use crate::hub::{Address, Answer, CommandKind, Delivery};
use crate::message::Payload;
use crate::names::{Epoch, Offset, RoomName};
use crate::protocol::{
    AckBody, ErrorCode, Greeting, Memory, PresenceChange, Refusal, Reply, RequestId, Subscribed,
    Verdict,
};
use crate::session::{Membership, MembershipState, Surroundings};

/// How long a catch-up may be left idle, in ticks.
const CATCH_UP_TICKS: u32 = 300;

impl Shard {
    /// Does what the hub says.
    pub(super) fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Answer { to, id, answer } => {
                if let Some(slot) = self.find(to) {
                    self.answer(slot, id, answer);
                }
            }
            Delivery::Subscribed {
                to,
                id,
                room,
                presence,
                outcome,
            } => {
                self.in_room_order(
                    &room,
                    Item::Subscribed {
                        to,
                        id,
                        presence,
                        outcome,
                    },
                );
            }
            Delivery::Unsubscribed { to, id, room } => {
                self.in_room_order(&room, Item::Unsubscribed { to, id })
            }
            Delivery::Presence { room, change } => {
                self.in_room_order(&room, Item::Presence(change))
            }
            Delivery::Enlist { room, to } => self.enlist(&room, &to),
            Delivery::Gap {
                room,
                reason,
                position,
            } => self.in_room_order(&room, Item::Gap(reason, position)),
            Delivery::Direct { to, message } => {
                if let Some(slot) = self.find(to) {
                    self.metrics.messages_out.add(1);
                    if let Some(trace) = &mut self.connections[slot as usize].trace {
                        trace.delivered(1);
                    }
                    self.reply(slot, &Reply::Direct(&message));
                }
            }
            Delivery::Detached { to } => self.detached(to),
            Delivery::Expel { to, close } => {
                if let Some(slot) = self.find(to) {
                    let error = Some(ErrorCode::Disconnected);
                    self.close_with(slot, close.code, &close.reason, error);
                }
            }
            Delivery::Close { to, code } => {
                if let Some(slot) = self.find(to) {
                    self.close(slot, code);
                }
            }
        }
    }

    fn answer(&mut self, slot: u32, id: Option<RequestId>, answer: Answer) {
        let id = id.as_ref();
        match answer {
            Answer::Published {
                position,
                timestamp,
                duplicate,
                not_deduplicated,
            } => {
                let position = position.as_ref().map(|(epoch, offset)| (epoch, *offset));
                self.ack(
                    slot,
                    id,
                    AckBody::Published {
                        position,
                        timestamp,
                        duplicate,
                        not_deduplicated,
                    },
                );
            }
            Answer::Sent { connections } => self.ack(slot, id, AckBody::Sent { connections }),
            Answer::History(page) => self.ack(slot, id, AckBody::History(&page)),
            Answer::Presence(page) => self.ack(slot, id, AckBody::Presence(&page)),
            Answer::Whereabouts(_) => {} // no client can ask
            Answer::Refused(code) => self.refused(slot, id.cloned(), code),
        }
    }

    /// The hub has refused a request: that counts as if the session had.
    fn refused(&mut self, slot: u32, id: Option<RequestId>, code: ErrorCode) {
        let around = Surroundings {
            channel: &self.channel,
            tokens: &self.tokens,
            now_ms: self.now_ms(),
            hub_full: false, // of no matter here
            token_wait: None,
        };
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        let outcome = connection.session.refuse(id, code, &around);
        self.outcome(slot, outcome);
    }

    pub(super) fn subscribed(
        &mut self,
        to: Address,
        id: Option<RequestId>,
        room: &RoomName,
        presence: bool,
        outcome: &Subscribed,
    ) {
        let Some(slot) = self.find(to) else { return };
        let until = self.wheel.now() + CATCH_UP_TICKS;
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        if !connection.receives() {
            return;
        }
        let membership = connection.session.rooms.entry(room.clone());
        let Membership {
            state,
            ended,
            prefix,
            ..
        } = *membership.or_insert(Membership::PENDING);
        if let Some(code) = ended {
            // It was told that it is out: an ack now would say the opposite.
            return self.refused(slot, id, code);
        }
        match (state, outcome.more) {
            (MembershipState::Live(place), false) => {
                self.rooms.change(room, place, presence, prefix);
            }
            (_, false) => {
                let place = self.rooms.add(room, slot, presence, prefix);
                self.set_membership(slot, room, MembershipState::Live(place));
            }
            (_, true) => {
                self.remove_member(slot, room);
                self.set_membership(slot, room, MembershipState::CatchingUp(until));
                self.schedule(slot);
            }
        }
        let connection = &mut self.connections[slot as usize];
        let connection_id = connection.session.connection();
        let more = outcome.more;
        tracing::debug!(%connection_id, trace_id = connection.trace_id(), %room, more, "subscribed");
        if let Some(trace) = &mut connection.trace {
            trace.subscribed(room, outcome);
        }
        let membership = connection.session.rooms.get_mut(room);
        if membership.is_some_and(|membership| std::mem::take(&mut membership.untold)) {
            let position = outcome.position.as_ref();
            let position = position.map(|(epoch, offset)| (epoch, *offset));
            self.reply(slot, &Reply::Subscribed { room, position });
        }
        self.ack(slot, id.as_ref(), AckBody::Subscribed(outcome));
    }

    fn set_membership(&mut self, slot: u32, room: &RoomName, state: MembershipState) {
        let connection = &mut self.connections[slot as usize];
        if let Some(membership) = connection.session.rooms.get_mut(room) {
            membership.state = state;
        }
    }

    pub(super) fn unsubscribed(&mut self, to: Address, id: Option<RequestId>, room: &RoomName) {
        let Some(slot) = self.find(to) else { return };
        self.remove_member(slot, room);
        let connection = &mut self.connections[slot as usize];
        let connection_id = connection.session.connection();
        tracing::debug!(%connection_id, trace_id = connection.trace_id(), %room, "unsubscribed");
        let rooms = &mut connection.session.rooms;
        // One that has asked to come back since stays: the hub's answer is on its way.
        if rooms.get(room).is_some_and(|membership| membership.leaving) {
            rooms.remove(room);
        }
        self.ack(slot, id.as_ref(), AckBody::Done);
    }

    /// Tells the hub who it is that is in a room.
    fn enlist(&mut self, room: &RoomName, to: &[Address]) {
        for address in to {
            let Some(slot) = self.find(*address) else {
                continue;
            };
            let member = self.connections[slot as usize].session.member().clone();
            let room = room.clone();
            self.ask_hub(slot, None, CommandKind::Join { room, member });
        }
    }

    pub(super) fn tell_presence(&mut self, room: &RoomName, change: &Arc<PresenceChange>) {
        for slot in self.member_slots(room, true) {
            self.reply(slot, &Reply::Presence { room, change });
        }
    }

    pub(super) fn tell_gap(
        &mut self,
        room: &RoomName,
        reason: GapReason,
        position: Option<(Epoch, Offset)>,
    ) {
        for slot in self.member_slots(room, false) {
            let position = position.as_ref().map(|(epoch, offset)| (epoch, *offset));
            self.reply(
                slot,
                &Reply::Gap {
                    room,
                    reason,
                    position,
                },
            );
        }
    }

    /// Tells a session who it is, and the hub that it is there.
    pub(super) fn identified(&mut self, slot: u32, data: Option<&Payload>) {
        let Some(greeting) = self.greeting(slot, data) else {
            return;
        };
        match greeting.user_id {
            None => {
                let address = self.address(slot, self.connections[slot as usize].generation);
                self.hub.directory().add(greeting.connection_id, address);
            }
            Some(_) => self.enter_user(slot),
        }
        self.reply(slot, &Reply::Connected(&greeting));
    }

    /// Tells the hub whose connection it is, if it has a user: the hub takes it out of the directory of anonymous ones.
    pub(super) fn enter_user(&mut self, slot: u32) {
        let Some(connection) = self.connections.get(slot as usize) else {
            return;
        };
        let (connection, user) = (
            connection.session.connection(),
            connection.session.user().cloned(),
        );
        if user.is_some() {
            self.ask_hub(slot, None, CommandKind::Connect { connection, user });
        }
    }

    pub(super) fn greeting(&self, slot: u32, data: Option<&Payload>) -> Option<Greeting> {
        let session = &self.connections.get(slot as usize)?.session;
        let (limits, heartbeat) = (&self.channel.limits, self.channel.heartbeat);
        Some(Greeting {
            connection_id: session.connection(),
            session: session.secret(),
            user_id: session.user().cloned(),
            gateway: self.gateway.clone(),
            ping: heartbeat.interval.as_secs(),
            timeout: heartbeat.timeout.as_secs(),
            message_size: limits.message_size,
            messages_per_second: limits.messages_per_second,
            message_burst: limits.message_burst,
            rooms_per_connection: limits.rooms_per_connection,
            data: data.cloned(),
        })
    }

    /// Answers a request; one without id is answered by errors only.
    pub(super) fn ack(&mut self, slot: u32, id: Option<&RequestId>, body: AckBody<'_>) {
        if id.is_some() {
            self.reply(slot, &Reply::Ack { id, body });
        }
    }

    pub(super) fn refuse(&mut self, slot: u32, refusal: &Refusal) {
        self.metrics.refusals[refusal.code as usize].add(1);
        if let Some(connection) = self.connections.get_mut(slot as usize) {
            if let Some(trace) = &mut connection.trace {
                trace.refused(refusal.code);
            }
            let connection_id = connection.session.connection();
            let code = refusal.code.as_str();
            tracing::debug!(%connection_id, trace_id = connection.trace_id(), code, "request refused");
        }
        self.reply(slot, &Reply::Error(refusal));
    }

    /// Sends a reply, together with others to the same connection.
    pub(super) fn reply(&mut self, slot: u32, reply: &Reply<'_>) {
        let Some(connection) = self.connections.get(slot as usize) else {
            return;
        };
        // A refusal is the only reply before there is an identity.
        let refused = matches!(reply, Reply::Error(_)) && connection.listens();
        if !connection.receives() && !refused {
            return;
        }
        let encoding = connection.encoding;
        let prefix = match (&connection.kept, reply.room()) {
            (Some(_), Some(room)) => {
                let membership = connection.session.rooms.get(room);
                membership.map_or(0, |membership| membership.prefix)
            }
            _ => 0,
        };
        self.open_out(slot);
        let mut writer = FrameWriter {
            out: &mut self.out,
            framing: encoding.framing,
            deflater: &mut self.deflater,
        };
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        let mut none = Memory::default();
        let memory = connection.memory(&mut none);
        let protocol = encoding.protocol();
        if let Verdict::Close(code) = protocol.encode_reply(reply, memory, prefix, &mut writer) {
            self.close(slot, code);
        }
    }

    /// Makes `out` this connection's.
    pub(super) fn open_out(&mut self, slot: u32) {
        if self.out_slot != Some(slot) {
            self.flush_out();
            self.out_slot = Some(slot);
        }
    }

    /// Writes what has been collected for one connection.
    pub(super) fn flush_out(&mut self) {
        let Some(slot) = self.out_slot.take() else {
            return;
        };
        let mut out = std::mem::take(&mut self.out);
        if let Some(connection) = self.connections.get_mut(slot as usize)
            && !out.is_empty()
        {
            let taken = connection.write_private(&out, &self.memory, self.wheel.now());
            self.metrics.bytes_out.add(taken as u64);
            if let Some(trace) = &mut connection.trace {
                trace.wrote(taken);
            }
            if connection.backlog.is_some() || matches!(connection.state, State::Broken) {
                self.troubled.push(slot);
                self.look_at_troubled();
            }
        }
        out.clear();
        if out.capacity() <= 64 * 1024 {
            self.out = out;
        }
    }
}
