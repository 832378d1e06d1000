//! What may be due on a connection: pings, timeouts, catch-ups left idle, the moves of a draining gateway.

use std::sync::atomic::Ordering;

use super::connection::{Connection, Link, State};
use super::encoding::FrameWriter;
use super::state::Shard;
use super::wheel::ticks;
use crate::config::Heartbeat;
use crate::names::RoomName;
use crate::protocol::socketio::Dialogue;
use crate::protocol::{ErrorCode, FrameSink, Reply};
use crate::session::MembershipState;
use crate::transport::websocket::frame::{self, Opcode};

/// How long one message may take to arrive, in ticks.
const RECEIVE_TICKS: u32 = 600;
/// Longest time between `goaway` and the close, in ticks.
const MOVE_TICKS: u32 = 50;
/// Stands for `goaway` was said.
pub(super) const SAID: u32 = u32::MAX;

impl Shard {
    /// Puts a connection down in the timer wheel, unless it stands there early enough.
    pub(super) fn schedule(&mut self, slot: u32) {
        let heartbeat = self.channel.heartbeat;
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        let at = next(connection, connection.heartbeat(heartbeat));
        let now = self.wheel.now();
        if connection.looked_at <= now || at < connection.looked_at {
            connection.looked_at = self.wheel.insert(at, (slot, connection.generation));
        }
    }

    /// Does what is due on a connection.
    pub(super) fn look_at(&mut self, slot: u32, generation: u32) {
        let now = self.wheel.now();
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        let (interval, timeout) = in_ticks(connection.heartbeat(self.channel.heartbeat));
        if connection.generation != generation || connection.looked_at > now {
            return; // another's, or put down again since
        }
        match connection.state {
            State::Closing { until, .. } if until <= now => {
                if let Link::Socket { socket, .. } = &connection.link {
                    let _ =
                        socket2::SockRef::from(socket).set_linger(Some(std::time::Duration::ZERO));
                }
                return self.forget(slot); // with a reset: the client does not take the close frame
            }
            State::Detaching { until, .. } if until <= now => return self.gone(slot),
            State::Awaiting { until } if until <= now => {
                return self.close(slot, ErrorCode::ConnectTimeout);
            }
            State::Broken => return self.gone(slot),
            State::Open | State::Awaiting { .. } | State::Deciding { .. } => {
                if connection.is_held_up() {
                    // It may have said a lot: nobody listens.
                    (connection.heard, connection.receiving_since) = (now, None);
                }
                // The owner of a wire shows that it is there by taking what lies ready; whether its client is there only a
                // pulse shows.
                let has_pulse = connection.has_pulse();
                let taken = match &mut connection.link {
                    Link::Socket { .. } => None,
                    Link::Wire(plug) => {
                        if plug.moves(now) && !has_pulse {
                            (connection.heard, connection.pinged) = (now, false);
                        }
                        Some(plug.moved)
                    }
                };
                let silent = now - connection.heard;
                let moved = connection.backlog.as_ref().map(|backlog| backlog.moved);
                let stuck = [moved, taken.filter(|_| has_pulse)];
                let stuck = (stuck.into_iter().flatten()).any(|at| now - at >= interval + timeout);
                let receiving = connection
                    .receiving_since
                    .is_some_and(|since| now - since.get() >= RECEIVE_TICKS);
                if stuck {
                    return self.close(slot, ErrorCode::SlowConsumer);
                }
                if silent >= interval + timeout || receiving {
                    let code = match taken.is_some() && !has_pulse {
                        true => ErrorCode::SlowConsumer,
                        false => ErrorCode::PingTimeout,
                    };
                    return self.close(slot, code);
                }
                self.ping_if_due(slot, now, interval);
                if self.expire_if_due(slot, now) {
                    return;
                }
                self.end_idle_catch_ups(slot, now);
                self.move_if_due(slot, now);
            }
            State::Closing { .. } | State::Detaching { .. } => {}
        }
        self.schedule(slot);
    }

    /// Asks for a sign of life after a silence, or when the client was told that it would be asked.
    fn ping_if_due(&mut self, slot: u32, now: u32, interval: u32) {
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        let pulse = connection.kept.as_deref_mut();
        if let Some(pulse) = pulse.and_then(|kept| kept.pulse.as_mut()) {
            if pulse.next <= now {
                pulse.next = now + interval;
                let framing = connection.encoding.framing;
                self.open_out(slot);
                let mut writer = FrameWriter {
                    out: &mut self.out,
                    framing,
                    deflater: &mut self.deflater,
                };
                writer.text(Dialogue::PING);
                self.flush_out();
            }
        } else if now - connection.heard >= interval && !connection.pinged {
            connection.pinged = true;
            if matches!(connection.link, Link::Wire(_)) {
                return;
            }
            self.open_out(slot);
            let sent = self.started.elapsed().as_micros() as u64; // echoed by the pong
            frame::encode(Opcode::Ping, false, &sent.to_be_bytes(), &mut self.out);
            self.flush_out();
        }
    }

    fn end_idle_catch_ups(&mut self, slot: u32, now: u32) {
        let Some(connection) = self.connections.get(slot as usize) else {
            return;
        };
        let idle = |state: MembershipState| matches!(state, MembershipState::CatchingUp(until) if until <= now);
        let rooms = connection.session.rooms.iter();
        let ended: Vec<RoomName> = rooms
            .filter(|(_, room)| idle(room.state))
            .map(|(name, _)| name.clone())
            .collect();
        for room in ended {
            if let Some(connection) = self.connections.get_mut(slot as usize)
                && let Some(membership) = connection.session.rooms.get_mut(&room)
            {
                membership.state = MembershipState::Pending;
            }
            self.expel(slot, &room, ErrorCode::CatchUpTimeout);
        }
    }

    /// Draws the time at which a connection leaves a draining gateway.
    pub(super) fn plan_move(&mut self, slot: u32) {
        let Some(end) = self.draining_until else {
            return;
        };
        let told = |moving: Option<(u32, u32)>| {
            moving.is_some_and(|(goaway, close)| goaway == SAID && close <= end)
        };
        let connection = self.connections.get(slot as usize);
        if connection.is_some_and(|connection| told(connection.moving)) {
            return; // it goes already
        }
        let now = self.wheel.now();
        let moves = draw(now, end.saturating_sub(now));
        self.set_moving(slot, Some(moves));
    }

    /// Has a connection move away, at ticks that [`draw`] gave; or not, after all.
    pub(super) fn set_moving(&mut self, slot: u32, moves: Option<(u32, u32)>) {
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        match (connection.moving.is_some(), moves.is_some()) {
            (false, true) => self.moving.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.moving.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
        connection.moving = moves;
    }

    fn move_if_due(&mut self, slot: u32, now: u32) {
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        let Some((goaway, close)) = connection.moving else {
            return;
        };
        if goaway <= now && goaway < close {
            // A shard that was held up says it all the same.
            let close = close.max(now + 1);
            connection.moving = Some((SAID, close));
            let within_ms = u64::from(close - now) * super::wheel::TICK.as_millis() as u64;
            self.reply(slot, &Reply::GoAway { within_ms });
            self.flush_out();
        } else if close <= now {
            self.close(slot, ErrorCode::Draining);
        }
    }
}

/// Draws when a connection is told to go, and when it is closed, both within `window` ticks from `now`.
pub(super) fn draw(now: u32, window: u32) -> (u32, u32) {
    let grace = (window / 5).min(MOVE_TICKS);
    let goaway = now + rand::random_range(0..=window - grace);
    (goaway, goaway + grace)
}

/// When something may be due next.
fn next(connection: &Connection, heartbeat: Heartbeat) -> u32 {
    let (interval, timeout) = in_ticks(heartbeat);
    let pulse = connection
        .kept
        .as_ref()
        .and_then(|kept| kept.pulse.as_ref());
    let alive = match pulse {
        Some(pulse) => pulse.next.min(connection.heard + interval + timeout),
        // After a pong the next ping is due an interval later, whatever the timeout was.
        None if connection.pinged => connection.heard + interval + timeout.min(interval),
        None => connection.heard + interval,
    };
    let open = || {
        let moving = connection
            .moving
            .map_or(u32::MAX, |(goaway, close)| goaway.min(close));
        let receiving = connection
            .receiving_since
            .map_or(u32::MAX, |since| since.get() + RECEIVE_TICKS);
        let catching_up = connection
            .session
            .rooms
            .values()
            .filter_map(|room| match room.state {
                MembershipState::CatchingUp(until) => Some(until),
                _ => None,
            });
        let stuck = connection
            .backlog
            .as_ref()
            .map_or(u32::MAX, |backlog| backlog.moved + interval + timeout);
        alive
            .min(moving)
            .min(receiving)
            .min(stuck)
            .min(super::expiry::due(connection))
            .min(catching_up.min().unwrap_or(u32::MAX))
    };
    match connection.state {
        State::Closing { until, .. } | State::Detaching { until, .. } => until,
        State::Awaiting { until } => until.min(open()),
        State::Open | State::Deciding { .. } => open(),
        State::Broken => 0,
    }
}

fn in_ticks(heartbeat: Heartbeat) -> (u32, u32) {
    (ticks(heartbeat.interval), ticks(heartbeat.timeout))
}
