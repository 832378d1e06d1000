//! The end of a token's time: announced, so that the client can refresh it, and then it closes the connection.

use super::connection::Connection;
use super::state::Shard;
use super::wheel::TICK;
use crate::auth::tokens::unix_seconds;
use crate::protocol::{ErrorCode, Reply};
use crate::session::Session;

/// The end is announced so long before it, in seconds, or when half of a shorter life is over.
const NOTICE: u64 = 60;
/// Stands for: it was announced.
const SAID: u32 = u32::MAX;

/// Ticks at which a session's end is announced, and comes.
pub(super) fn expiring(session: &Session, now: u32) -> Option<(u32, u32)> {
    let left = session.ends()?.saturating_sub(unix_seconds());
    let (announce, end) = times(left);
    Some((now.saturating_add(announce), now.saturating_add(end)))
}

/// Ticks from now until the announcement and the end of a life that lasts so many seconds more.
fn times(left: u64) -> (u32, u32) {
    let ticks = |seconds: f64| (seconds / TICK.as_secs_f64()) as u32;
    let left = left as f64;
    let notice = (NOTICE as f64).min(left / 2.0);
    (ticks(left - notice), ticks(left))
}

impl Shard {
    /// A connection has shown a token.
    pub(super) fn token_taken(&mut self, slot: u32) {
        let now = self.wheel.now();
        if let Some(connection) = self.connections.get_mut(slot as usize) {
            connection.expiring = expiring(&connection.session, now);
            self.schedule(slot);
        }
    }

    /// Announces the end of a connection's token, or ends the connection. Gives whether it ended.
    pub(super) fn expire_if_due(&mut self, slot: u32, now: u32) -> bool {
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return true;
        };
        let Some((announce, end)) = connection.expiring else {
            return false;
        };
        if end <= now {
            self.close(slot, ErrorCode::TokenExpired);
            return true;
        }
        if announce <= now {
            connection.expiring = Some((SAID, end));
            let within_ms = u64::from(end - now) * TICK.as_millis() as u64;
            self.reply(slot, &Reply::TokenExpiring { within_ms });
            self.flush_out();
        }
        false
    }
}

/// When something of it is due next.
pub(super) fn due(connection: &Connection) -> u32 {
    connection
        .expiring
        .map_or(u32::MAX, |(announce, end)| announce.min(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_announced_a_minute_before_it_or_half_way_of_a_short_life() {
        let seconds = |left| {
            let (announce, end) = times(left);
            let second = (1.0 / TICK.as_secs_f64()) as u32;
            (announce / second, end / second)
        };
        assert_eq!(seconds(3600), (3540, 3600));
        assert_eq!(seconds(120), (60, 120));
        assert_eq!(seconds(10), (5, 10));
        assert_eq!(times(0), (0, 0));
    }
}
