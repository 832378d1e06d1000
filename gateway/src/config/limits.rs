//! `spec.limits` in plain numbers, with the defaults that depend on the machine.

use linnet_crds::limits::Limits as Spec;

pub use crate::transport::address::addresses::AddressLimits;

/// Bounds on one client and on the gateway as a whole.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest payload, in bytes.
    pub message_size: usize,
    /// `publish`, `send` and `request` per second and connection.
    pub messages_per_second: u32,
    /// How many of them may come at once.
    pub message_burst: u32,
    /// Inbound bytes per second and connection.
    pub bytes_per_second: Option<u64>,
    /// `subscribe` per second and connection.
    pub subscribes_per_second: Option<u32>,
    /// Rooms that a connection is in at once.
    pub rooms_per_connection: usize,
    /// Connections of one user; over it the oldest is replaced.
    pub connections_per_user: usize,
    /// What one client address may use.
    pub address: AddressLimits,
    /// Connections of this gateway.
    pub connections_per_gateway: usize,
    /// Handshakes per second of this gateway.
    pub connects_per_second: u32,
    /// Bytes that wait for one client at most.
    pub send_queue_size: usize,
    /// Bytes that wait for all clients together.
    pub queue_memory: usize,
    /// Bytes of all rings together.
    pub history_memory: usize,
}

impl Limits {
    /// Resolves the manifest's limits; memory bounds that it leaves out become a quarter of what the process may use.
    pub fn compile(spec: &Spec) -> Self {
        let quarter = available_memory() / 4;
        let bytes = |quantity: &linnet_crds::Quantity| {
            usize::try_from(quantity.bytes()).unwrap_or(usize::MAX)
        };
        Self {
            message_size: bytes(&spec.message_size),
            messages_per_second: spec.messages_per_second,
            message_burst: spec.message_burst,
            bytes_per_second: spec
                .bytes_per_second
                .as_ref()
                .map(|quantity| quantity.bytes()),
            subscribes_per_second: spec.subscribes_per_second,
            rooms_per_connection: spec.rooms_per_connection as usize,
            connections_per_user: spec.connections_per_user as usize,
            address: AddressLimits {
                connections: spec.connections_per_address,
                connects_per_second: spec.connects_per_second_per_address,
            },
            connections_per_gateway: spec.connections_per_gateway as usize,
            connects_per_second: spec.connects_per_second,
            send_queue_size: bytes(&spec.send_queue_size),
            queue_memory: spec.queue_memory.as_ref().map_or(quarter, bytes),
            history_memory: spec.history_memory.as_ref().map_or(quarter, bytes),
        }
    }

    /// `history`, `presence`, `unsubscribe` and `ping` per second and connection, and how many of them may come at
    /// once: beside some of any kind, who comes back asks for history and presence of each of its rooms.
    pub fn questions_per_second(&self) -> u64 {
        u64::from(self.messages_per_second) + 2 * self.rooms_per_connection as u64
    }

    /// Largest frame that is read: over it the connection closes 1009 (PROTOCOL, Sizes).
    pub fn frame_size(&self) -> usize {
        self.message_size + self.message_size * 2 / 5 + 16 * 1024
    }
}

/// Memory that this process may use, in bytes: its control group's limit, else the machine's.
fn available_memory() -> usize {
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|text| text.trim().parse::<usize>().ok());
    group.unwrap_or_else(machine_memory).min(machine_memory())
}

fn machine_memory() -> usize {
    const FALLBACK: usize = 1 << 30;
    let Ok(text) = std::fs::read_to_string("/proc/meminfo") else {
        return FALLBACK;
    };
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    total
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kib| kib.parse::<usize>().ok())
        .map_or(FALLBACK, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_memory_bounds_are_a_quarter_of_the_memory() {
        let limits = Limits::compile(&Spec::default());
        assert_eq!(limits.queue_memory, available_memory() / 4);
        assert_eq!(limits.history_memory, limits.queue_memory);
        assert_eq!(limits.message_size, 65536);
        assert_eq!(limits.frame_size(), 65536 + 26214 + 16384);
    }
}
