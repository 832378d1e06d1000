//! Slow clients: what waits for them leaves when their sockets take it, and they leave when it is too much.

use super::connection::State;
use super::state::Shard;
use crate::internal::top::Slow;
use crate::protocol::ErrorCode;

impl Shard {
    /// A socket takes more.
    pub(super) fn flush_backlog(&mut self, slot: u32) {
        let now = self.wheel.now();
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        if connection.backlog.is_none() {
            return;
        }
        let taken = connection.write_backlog(now);
        self.metrics.bytes_out.add(taken as u64);
        if let Some(trace) = &mut connection.trace {
            trace.wrote(taken);
        }
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
            let Some(connection) = self.connections.get(slot as usize) else {
                continue;
            };
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
            let Some((bytes, slot)) = largest.max() else {
                return;
            };
            if !self.memory.is_largest(usize::from(self.number), bytes) {
                return; // that shard will find out within a tick
            }
            self.close(slot, ErrorCode::SlowConsumer);
        }
    }

    /// Clients that something waits for, the most bytes first.
    pub(super) fn slowest(&self, most: usize) -> Vec<Slow> {
        let clients = self.waiting.iter().filter_map(|slot| {
            let connection = self.connections.get(*slot as usize)?;
            Some(Slow {
                connection_id: connection.session.connection().to_string(),
                user_id: connection
                    .session
                    .user()
                    .map(|user| user.as_str().to_owned()),
                bytes: connection.waiting(),
            })
        });
        let mut clients: Vec<_> = clients.collect();
        clients.sort_by_key(|client| std::cmp::Reverse(client.bytes));
        clients.truncate(most);
        clients
    }

    /// Takes stock of backlogs, once a tick while something is due.
    pub(super) fn look_at_waiting(&mut self) {
        let bytes = |slot: &u32| {
            self.connections
                .get(*slot as usize)
                .map_or(0, |connection| connection.waiting())
        };
        let total: usize = self.waiting.iter().map(bytes).sum();
        let largest = self.waiting.iter().map(bytes).max().unwrap_or(0);
        self.metrics.backlog_bytes.set(total as u64);
        self.memory.is_largest(usize::from(self.number), largest);
        self.relieve();
    }
}
