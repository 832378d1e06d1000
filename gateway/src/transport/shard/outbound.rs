//! From the hub, the clock and the configuration to connections: replies, closes, backlogs.

use std::sync::Arc;

use super::connection::State;
use super::encoding::FrameWriter;
use super::event_loop::Shard;
use super::rooms::Item;
use super::wheel::ticks;
use crate::broker::GapReason;
use crate::config::Channel;
use crate::hub::{Address, Answer, CommandKind, Delivery};
use crate::names::{Epoch, Offset, RoomName};
use crate::protocol::{
    AckBody, ErrorCode, Greeting, PresenceChange, Refusal, Reply, RequestId, Subscribed, Verdict,
};
use crate::session::{Membership, MembershipState};
use crate::transport::websocket::frame::{self, Opcode};

/// How long a close may take, in ticks.
const CLOSE_TICKS: u32 = 10;
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
            Delivery::Subscribed { to, id, room, presence, outcome } => {
                self.in_room_order(&room, Item::Subscribed { to, id, presence, outcome });
            }
            Delivery::Unsubscribed { to, id, room } => self.in_room_order(&room, Item::Unsubscribed { to, id }),
            Delivery::Presence { room, change } => self.in_room_order(&room, Item::Presence(change)),
            Delivery::Gap { room, reason, position } => self.in_room_order(&room, Item::Gap(reason, position)),
            Delivery::Direct { to, message } => {
                if let Some(slot) = self.find(to) {
                    self.metrics.messages_out.add(1);
                    self.reply(slot, &Reply::Direct(&message));
                }
            }
            Delivery::Detached { to } => self.detached(to),
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
            Answer::Published { position, timestamp, duplicate, not_deduplicated } => {
                let position = position.as_ref().map(|(epoch, offset)| (epoch, *offset));
                self.ack(slot, id, AckBody::Published { position, timestamp, duplicate, not_deduplicated });
            }
            Answer::Sent { connections } => self.ack(slot, id, AckBody::Sent { connections }),
            Answer::History(page) => self.ack(slot, id, AckBody::History(&page)),
            Answer::Presence(page) => self.ack(slot, id, AckBody::Presence(&page)),
            Answer::Refused(code) => self.refuse(slot, &Refusal::new(id.cloned(), code)),
        }
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
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        if !connection.receives() {
            return;
        }
        let pending = Membership { state: MembershipState::Pending, leaving: false };
        let state = connection.session.rooms.entry(room.clone()).or_insert(pending).state;
        match (state, outcome.more) {
            (MembershipState::Live(place), false) => self.rooms.set_presence(room, place, presence),
            (_, false) => {
                let place = self.rooms.add(room, slot, presence);
                self.set_membership(slot, room, MembershipState::Live(place));
            }
            (_, true) => {
                self.remove_member(slot, room);
                self.set_membership(slot, room, MembershipState::CatchingUp(until));
                self.schedule(slot);
            }
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
        let rooms = &mut self.connections[slot as usize].session.rooms;
        // One that has asked to come back since stays: the hub's answer is on its way.
        if rooms.get(room).is_some_and(|membership| membership.leaving) {
            rooms.remove(room);
        }
        self.ack(slot, id.as_ref(), AckBody::Done);
    }

    pub(super) fn tell_presence(&mut self, room: &RoomName, change: &Arc<PresenceChange>) {
        for slot in self.member_slots(room, true) {
            self.reply(slot, &Reply::Presence { room, change });
        }
    }

    pub(super) fn tell_gap(&mut self, room: &RoomName, reason: GapReason, position: Option<(Epoch, Offset)>) {
        for slot in self.member_slots(room, false) {
            let position = position.as_ref().map(|(epoch, offset)| (epoch, *offset));
            self.reply(slot, &Reply::Gap { room, reason, position });
        }
    }

    /// Tells a session who it is, and the hub that it is there.
    pub(super) fn identified(&mut self, slot: u32) {
        let Some(greeting) = self.greeting(slot) else { return };
        let session = &self.connections[slot as usize].session;
        let (connection, user) = (session.connection(), session.user().cloned());
        self.ask_hub(slot, None, CommandKind::Connect { connection, user });
        self.reply(slot, &Reply::Connected(&greeting));
    }

    pub(super) fn greeting(&self, slot: u32) -> Option<Greeting> {
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
        self.reply(slot, &Reply::Error(refusal));
    }

    /// Sends a reply, together with others to the same connection.
    pub(super) fn reply(&mut self, slot: u32, reply: &Reply<'_>) {
        let Some(connection) = self.connections.get(slot as usize) else { return };
        let refused = matches!(reply, Reply::Error(_)); // the only reply before there is an identity
        if !connection.receives() && !(refused && matches!(connection.state, State::Awaiting { .. })) {
            return;
        }
        let encoding = connection.encoding;
        self.open_out(slot);
        let mut writer = FrameWriter { out: &mut self.out, window: encoding.window, deflater: &mut self.deflater };
        if let Verdict::Close(code) = encoding.protocol().encode_reply(reply, &mut writer) {
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
        let Some(slot) = self.out_slot.take() else { return };
        let mut out = std::mem::take(&mut self.out);
        if let Some(connection) = self.connections.get_mut(slot as usize)
            && !out.is_empty()
        {
            let taken = connection.write_private(&out, &self.memory, self.wheel.now());
            self.metrics.bytes_out.add(taken as u64);
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

    /// A socket takes more.
    pub(super) fn flush_backlog(&mut self, slot: u32) {
        let now = self.wheel.now();
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        if connection.backlog.is_none() {
            return;
        }
        let taken = connection.write_backlog(now);
        self.metrics.bytes_out.add(taken as u64);
        match (connection.backlog.is_some(), connection.state) {
            (_, State::Broken) => self.gone(slot),
            (true, _) => {}
            (false, state) => {
                self.waiting.remove(&slot);
                match state {
                    State::Closing { answered: true, .. } => self.forget(slot),
                    State::Closing { .. } => self.half_close(slot),
                    _ => {}
                }
            }
        }
    }

    /// Looks at connections that a write has left with a backlog, or broken.
    pub(super) fn look_at_troubled(&mut self) {
        let bound = self.channel.limits.send_queue_size;
        while let Some(slot) = self.troubled.pop() {
            let Some(connection) = self.connections.get(slot as usize) else { continue };
            if matches!(connection.state, State::Broken) {
                self.gone(slot);
                continue;
            }
            let waiting = connection.waiting();
            self.waiting.insert(slot);
            if waiting > bound && connection.receives() {
                self.close(slot, ErrorCode::SlowConsumer);
            }
        }
        self.relieve();
        self.metrics.backlogged.set(self.waiting.len() as u64);
    }

    /// Disconnects the largest backlogs while all together are over `queueMemory`.
    pub(super) fn relieve(&mut self) {
        while self.memory.is_over() {
            let largest = self.waiting.iter().filter_map(|slot| {
                let connection = self.connections.get(*slot as usize)?;
                Some((connection.waiting(), *slot)).filter(|_| connection.receives())
            });
            let Some((bytes, slot)) = largest.max() else { return };
            if !self.memory.is_largest(usize::from(self.number), bytes) {
                return; // that shard will find out within a tick
            }
            self.close(slot, ErrorCode::SlowConsumer);
        }
    }

    /// Takes stock of backlogs, once a tick while something is due.
    pub(super) fn look_at_waiting(&mut self) {
        let bytes = |slot: &u32| self.connections.get(*slot as usize).map_or(0, |connection| connection.waiting());
        let total: usize = self.waiting.iter().map(bytes).sum();
        let largest = self.waiting.iter().map(bytes).max().unwrap_or(0);
        self.metrics.backlog_bytes.set(total as u64);
        self.memory.is_largest(usize::from(self.number), largest);
        self.relieve();
    }

    /// Ends a connection with a reason.
    pub(super) fn close(&mut self, slot: u32, code: ErrorCode) {
        self.close_with(slot, code.close_code(), code.as_str(), Some(code));
    }

    /// Ends a connection: it leaves its rooms, and gets a close frame behind what waits.
    pub(super) fn close_with(&mut self, slot: u32, code: u16, reason: &str, error: Option<ErrorCode>) {
        if self.out_slot == Some(slot) && error != Some(ErrorCode::SlowConsumer) {
            self.flush_out(); // what was said before comes before
        }
        let Some(connection) = self.connections.get(slot as usize) else { return };
        if !matches!(connection.state, State::Open | State::Awaiting { .. } | State::Detaching { .. }) {
            return;
        }
        let connection_id = connection.session.connection();
        let user_id = connection.session.user().map(|user| user.as_str().to_owned());
        tracing::info!(%connection_id, user_id, code, reason, "connection closed by the gateway");
        if let Some(error) = error {
            self.metrics.closes[error as usize].add(1);
        }
        self.leave_all(slot, false);
        let now = self.wheel.now();
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        connection.state = State::Closing { until: now + CLOSE_TICKS, answered: false };
        if error == Some(ErrorCode::SlowConsumer) {
            self.metrics.slow_consumers.add(1);
            if let Some(backlog) = &mut connection.backlog {
                backlog.keep_first();
            }
        }
        let mut close = Vec::new();
        frame::encode_close(code, reason, &mut close);
        connection.write_private(&close, &self.memory, now);
        match connection.state {
            State::Broken => return self.forget(slot),
            _ if connection.backlog.is_none() => self.half_close(slot),
            _ => {}
        }
        self.schedule(slot);
    }

    /// The client has sent a close frame: what it had asked for before reaches it first.
    pub(super) fn closed_by_client(&mut self, slot: u32, code: Option<u16>) {
        let until = self.wheel.now() + CLOSE_TICKS;
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        match connection.state {
            State::Open | State::Awaiting { .. } => {
                connection.state = State::Detaching { told: false, rooms: 0, until, code: code.unwrap_or(0) };
                let connection_id = connection.session.connection();
                tracing::debug!(%connection_id, code, "connection closed by the client");
                self.leave_all(slot, true);
                self.schedule(slot);
            }
            State::Closing { .. } if connection.backlog.is_none() => self.forget(slot),
            State::Closing { until, .. } => connection.state = State::Closing { until, answered: true },
            State::Detaching { .. } | State::Broken => {}
        }
    }

    /// The socket has ended, or must.
    pub(super) fn gone(&mut self, slot: u32) {
        let Some(connection) = self.connections.get(slot as usize) else { return };
        if !matches!(connection.state, State::Closing { .. }) {
            let connection_id = connection.session.connection();
            tracing::debug!(%connection_id, "connection lost");
        }
        self.leave_all(slot, false);
        self.forget(slot);
    }

    /// Leaves all rooms at the hub. With `notify` the connection goes on receiving until the hub has said that nothing
    /// more comes; without, it is taken out of the rooms here at once.
    fn leave_all(&mut self, slot: u32, notify: bool) {
        let Some(connection) = self.connections.get(slot as usize) else { return };
        if matches!(connection.state, State::Closing { .. }) {
            return; // it has left already
        }
        let session = &connection.session;
        let rooms: Vec<RoomName> = session.rooms.keys().cloned().collect();
        let (connection, user) = (session.connection(), session.user().cloned());
        if !notify {
            for room in &rooms {
                self.remove_member(slot, room);
            }
            self.connections[slot as usize].session.rooms.clear();
        }
        self.ask_hub(slot, None, CommandKind::Disconnect { connection, user, rooms, notify });
    }

    fn detached(&mut self, to: Address) {
        let Some(slot) = self.find(to) else { return };
        let connection = &self.connections[slot as usize];
        let State::Detaching { until, code, .. } = connection.state else { return };
        let rooms: Vec<RoomName> = connection.session.rooms.keys().cloned().collect();
        let (busy, idle): (Vec<_>, Vec<_>) = rooms.into_iter().partition(|room| self.rooms.is_busy(room));
        for room in &idle {
            self.remove_member(slot, room);
        }
        let state = State::Detaching { told: true, rooms: busy.len() as u32, until, code };
        self.connections[slot as usize].state = state;
        for room in &busy {
            self.in_room_order(room, Item::Detach(to));
        }
        if busy.is_empty() {
            self.answer_close(slot, code);
        }
    }

    pub(super) fn detach_from(&mut self, to: Address, room: &RoomName) {
        let Some(slot) = self.find(to) else { return };
        self.remove_member(slot, room);
        let connection = &mut self.connections[slot as usize];
        if let State::Detaching { rooms, code, .. } = &mut connection.state {
            *rooms -= 1;
            let code = *code;
            if *rooms == 0 {
                self.answer_close(slot, code);
            }
        }
    }

    fn answer_close(&mut self, slot: u32, code: u16) {
        self.flush_out();
        let now = self.wheel.now();
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        let mut close = Vec::new();
        match code {
            0 => frame::encode(Opcode::Close, false, &[], &mut close),
            code => frame::encode_close(code, "", &mut close),
        }
        connection.write_private(&close, &self.memory, now);
        connection.state = match connection.state {
            State::Broken => State::Broken,
            _ => State::Closing { until: now + CLOSE_TICKS, answered: true },
        };
        if connection.backlog.is_none() {
            self.forget(slot);
        }
    }

    /// Nothing more will be written; the client may still answer.
    fn half_close(&mut self, slot: u32) {
        if let Some(connection) = self.connections.get(slot as usize) {
            let _ = connection.socket.shutdown(std::net::Shutdown::Write); // an error means it is gone already
        }
    }

    /// Applies a new configuration to open connections.
    pub(super) fn configure(&mut self, channel: Arc<Channel>) {
        self.memory.set_limit(channel.limits.queue_memory);
        self.channel = channel.clone();
        let slots: Vec<u32> = self.connections.iter().map(|(slot, _)| slot as u32).collect();
        for slot in slots {
            let Some(connection) = self.connections.get_mut(slot as usize) else { continue };
            let session = &mut connection.session;
            let rooms: Vec<RoomName> = session.rooms.keys().cloned().collect();
            for room in rooms {
                if !self.connections[slot as usize].session.may_stay(&room, &channel) {
                    self.expel(slot, &room, ErrorCode::Forbidden);
                }
            }
            self.schedule(slot);
        }
        self.flush_out();
    }

    /// Ends a subscription and says why.
    pub(super) fn expel(&mut self, slot: u32, room: &RoomName, code: ErrorCode) {
        self.remove_member(slot, room);
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        let id = connection.session.connection();
        if let Some(membership) = connection.session.rooms.get_mut(room) {
            membership.leaving = true;
        }
        self.ask_hub(slot, None, CommandKind::Unsubscribe { room: room.clone(), connection: id });
        self.reply(slot, &Reply::Unsubscribed { room, code });
    }

    /// Begins to move all connections away.
    pub(super) fn drain(&mut self, window: std::time::Duration) {
        self.draining_until = Some(self.wheel.now() + ticks(window));
        let slots: Vec<u32> = self.connections.iter().map(|(slot, _)| slot as u32).collect();
        for slot in slots {
            self.plan_move(slot);
            self.schedule(slot);
        }
    }
}
