//! How connections end: closed by us with a reason, by the client, or lost.

use std::time::Instant;

use super::connection::{Link, State};
use super::encoding::FrameWriter;
use super::rooms::Item;
use super::state::Shard;
use crate::hub::{Address, CommandKind};
use crate::logging::pace::Pace;
use crate::names::RoomName;
use crate::protocol::ErrorCode;
use crate::traces::{self, End};
use crate::transport::Role;

/// How long a close may take, in ticks.
const CLOSE_TICKS: u32 = 10;

/// Log lines about connections that end for one error, in ten seconds and for each shard.
const LINES: u32 = 10;

/// The pace of log lines about connections that the gateway closes: for each error, and for a broken protocol.
#[derive(Debug)]
pub(super) struct CloseLines([Pace; ErrorCode::ALL.len() + 1]);

impl CloseLines {
    pub(super) fn new() -> Self {
        Self([Pace::new(); ErrorCode::ALL.len() + 1])
    }

    /// How many closes a line now would stand for, if it is time for one.
    fn due(&mut self, error: Option<ErrorCode>) -> Option<u64> {
        let kind = error.map_or(ErrorCode::ALL.len(), |error| error as usize);
        self.0[kind].due(LINES, Instant::now())
    }
}

impl Shard {
    /// Ends a connection with a reason.
    pub(super) fn close(&mut self, slot: u32, code: ErrorCode) {
        self.close_with(slot, code.close_code(), code.as_str(), Some(code));
    }

    /// Ends a connection: it leaves its rooms, and gets a close frame behind what waits.
    pub(super) fn close_with(
        &mut self,
        slot: u32,
        code: u16,
        reason: &str,
        error: Option<ErrorCode>,
    ) {
        if self.out_slot == Some(slot) && error != Some(ErrorCode::SlowConsumer) {
            self.flush_out(); // what was said before comes before
        }
        let Some(connection) = self.connections.get(slot as usize) else {
            return;
        };
        if !connection.listens() && !matches!(connection.state, State::Detaching { .. }) {
            return;
        }
        // The trace of one that the client has closed has told of that.
        let told = matches!(connection.state, State::Detaching { .. });
        self.log_close(slot, code, reason, error);
        self.tell_handler_of_end(slot, code, reason);
        if let Some(connection) = self.connections.get_mut(slot as usize)
            && !told
        {
            traces::closed(connection, code, End::Gateway(error));
        }
        if let Some(error) = error {
            self.metrics.closes[error as usize].add(1);
        }
        self.leave_all(slot, false);
        let now = self.wheel.now();
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        connection.state = State::Closing {
            until: now + CLOSE_TICKS,
            answered: false,
        };
        if error == Some(ErrorCode::SlowConsumer) {
            self.metrics.slow_consumers.add(1);
            if let Some(backlog) = &mut connection.backlog {
                backlog.keep_first();
            }
        }
        let mut close = Vec::new();
        if let (Some(error), Some(kept)) = (error, &connection.kept) {
            let encoding = connection.encoding;
            let mut writer = FrameWriter {
                out: &mut close,
                framing: encoding.framing,
                deflater: &mut self.deflater,
            };
            let protocol = encoding.protocol();
            protocol.encode_farewell(error, &kept.memory, &mut writer);
        }
        connection.encoding.close(Some(code), reason, &mut close);
        connection.write_private(&close, &self.memory, now);
        match connection.state {
            State::Broken => return self.forget(slot),
            _ if connection.backlog.is_none() => self.half_close(slot),
            _ => {}
        }
        self.schedule(slot);
    }

    /// Says that the gateway closes a connection: of many that end for one error some lines, and `debug` shows the rest.
    fn log_close(&mut self, slot: u32, code: u16, reason: &str, error: Option<ErrorCode>) {
        let due = self.close_lines.due(error);
        let Some(connection) = self.connections.get(slot as usize) else {
            return;
        };
        let connection_id = connection.session.connection();
        let user_id = connection.session.user().map(|user| user.as_str());
        let trace_id = connection.trace_id();
        match due {
            Some(count) => {
                tracing::info!(%connection_id, user_id, trace_id, code, reason, count, "connection closed by the gateway");
            }
            None => {
                tracing::debug!(%connection_id, user_id, trace_id, code, reason, "connection closed by the gateway");
            }
        }
    }

    /// The client has sent a close frame: what it had asked for before reaches it first.
    pub(super) fn closed_by_client(&mut self, slot: u32, code: Option<u16>) {
        let until = self.wheel.now() + CLOSE_TICKS;
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        match connection.state {
            State::Open | State::Awaiting { .. } | State::Deciding { .. } => {
                connection.state = State::Detaching {
                    told: false,
                    rooms: 0,
                    until,
                    code: code.unwrap_or(0),
                };
                self.tell_handler_of_end(slot, code.unwrap_or(1005), "client");
                let Some(connection) = self.connections.get_mut(slot as usize) else {
                    return;
                };
                let connection_id = connection.session.connection();
                tracing::debug!(%connection_id, trace_id = connection.trace_id(), code, "connection closed by the client");
                traces::closed(connection, code.unwrap_or(1005), End::Client);
                self.leave_all(slot, true);
                self.schedule(slot);
            }
            State::Closing { .. } if connection.backlog.is_none() => self.forget(slot),
            State::Closing { until, .. } => {
                connection.state = State::Closing {
                    until,
                    answered: true,
                }
            }
            State::Detaching { .. } | State::Broken => {}
        }
    }

    /// The socket has ended, or must.
    pub(super) fn gone(&mut self, slot: u32) {
        self.tell_handler_of_end(slot, 1006, "lost");
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        if !matches!(connection.state, State::Closing { .. }) {
            let connection_id = connection.session.connection();
            tracing::debug!(%connection_id, trace_id = connection.trace_id(), "connection lost");
            traces::closed(connection, 1006, End::Lost);
        }
        self.leave_all(slot, false);
        self.forget(slot);
    }

    /// Leaves all rooms at the hub. With `notify` the connection goes on receiving until the hub has said that nothing
    /// more comes; without, it is taken out of the rooms here at once.
    pub(super) fn leave_all(&mut self, slot: u32, notify: bool) {
        let Some(connection) = self.connections.get(slot as usize) else {
            return;
        };
        if matches!(connection.state, State::Closing { .. }) {
            return; // it has left already
        }
        let session = &connection.session;
        let rooms: Vec<RoomName> = session.rooms.keys().cloned().collect();
        // While the handler decides, the hub does not know it by its user.
        let user = session.user().filter(|_| connection.parked.is_none());
        let (connection, user) = (session.connection(), user.cloned());
        if !notify {
            for room in &rooms {
                self.remove_member(slot, room);
            }
            self.connections[slot as usize].session.rooms.clear();
        }
        self.hub.directory().remove(connection);
        let unknown = user.is_none() || self.connections[slot as usize].role() == Role::Visitor;
        if rooms.is_empty() && unknown && !notify {
            return; // the hub does not know of it
        }
        self.ask_hub(
            slot,
            None,
            CommandKind::Disconnect {
                connection,
                user,
                rooms,
                notify,
            },
        );
    }

    pub(super) fn detached(&mut self, to: Address) {
        let Some(slot) = self.find(to) else { return };
        let connection = &self.connections[slot as usize];
        let State::Detaching { until, code, .. } = connection.state else {
            return;
        };
        let rooms: Vec<RoomName> = connection.session.rooms.keys().cloned().collect();
        let (busy, idle): (Vec<_>, Vec<_>) =
            rooms.into_iter().partition(|room| self.rooms.is_busy(room));
        for room in &idle {
            self.remove_member(slot, room);
        }
        let state = State::Detaching {
            told: true,
            rooms: busy.len() as u32,
            until,
            code,
        };
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
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        let mut close = Vec::new();
        let code = (code != 0).then_some(code);
        connection.encoding.close(code, "", &mut close);
        connection.write_private(&close, &self.memory, now);
        connection.state = match connection.state {
            State::Broken => State::Broken,
            _ => State::Closing {
                until: now + CLOSE_TICKS,
                answered: true,
            },
        };
        if connection.backlog.is_none() {
            self.forget(slot);
        }
    }

    /// Nothing more will be written; the client may still answer.
    pub(super) fn half_close(&mut self, slot: u32) {
        if let Some(connection) = self.connections.get(slot as usize)
            && let Link::Socket { socket, .. } = &connection.link
        {
            let _ = socket.shutdown(std::net::Shutdown::Write); // an error means it is gone already
        }
    }
}
