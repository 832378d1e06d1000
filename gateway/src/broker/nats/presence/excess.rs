//! Which connections of a user are too many, as every gateway that sees the same entries answers alike: so the gateway
//! that holds such a connection closes it, and no other has to tell it to.

use crate::names::ConnectionId;

/// A connection of a user, on any gateway that lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserConnection {
    /// Which.
    pub connection: ConnectionId,
    /// When it connected, in milliseconds since the Unix epoch by its gateway's clock.
    pub connected_ms: u64,
    /// Whether its gateway drains: it does not count then, and is not closed for others.
    pub draining: bool,
}

/// The connections beyond the newest `max`, oldest first. The order of two that connected in the same millisecond is
/// that of their ids.
pub fn excess(connections: &[UserConnection], max: usize) -> Vec<ConnectionId> {
    let mut counted: Vec<(u64, ConnectionId)> = connections
        .iter()
        .filter(|one| !one.draining)
        .map(|one| (one.connected_ms, one.connection))
        .collect();
    counted.sort_unstable();
    counted.dedup();
    counted.truncate(counted.len().saturating_sub(max));
    counted
        .into_iter()
        .map(|(_, connection)| connection)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn connection(number: u8, connected_ms: u64) -> UserConnection {
        UserConnection {
            connection: ConnectionId::from_bytes([number; 16]),
            connected_ms,
            draining: false,
        }
    }

    #[test]
    fn the_oldest_go_and_those_of_a_draining_gateway_do_not_count() {
        let mut all = [connection(1, 30), connection(2, 10), connection(3, 20)];
        assert_eq!(excess(&all, 3), []);
        assert_eq!(excess(&all, 2), [all[1].connection]);
        assert_eq!(excess(&all, 0).len(), 3);
        all[1].draining = true;
        assert_eq!(excess(&all, 2), []);
        assert_eq!(excess(&all, 1), [all[2].connection]);
    }

    proptest! {
        #[test]
        fn the_answer_does_not_depend_on_the_order_of_what_is_known(
            times in proptest::collection::vec((0u64..4, any::<bool>()), 0..12),
            max in 0usize..5,
            turn in any::<prop::sample::Index>(),
        ) {
            let mut all: Vec<UserConnection> = times
                .iter()
                .enumerate()
                .map(|(number, (at, draining))| UserConnection { draining: *draining, ..connection(number as u8, *at) })
                .collect();
            let before = excess(&all, max);
            let counted = all.iter().filter(|one| !one.draining).count();
            prop_assert_eq!(before.len(), counted.saturating_sub(max));
            if !all.is_empty() {
                let at = turn.index(all.len());
                all.rotate_left(at);
            }
            prop_assert_eq!(before, excess(&all, max));
        }
    }
}
