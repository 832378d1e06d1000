//! The users that have connections on this gateway, and how many they have on all gateways together. Every gateway that
//! sees the same entries finds the same ones too many, and each closes its own.

use std::collections::{HashMap, HashSet};

pub use super::excess::UserConnection;
use super::excess::excess;
use crate::names::{ConnectionId, UserId};

/// Users by name.
#[derive(Debug, Default)]
pub struct Users(HashMap<UserId, Connections>);

#[derive(Debug, Default)]
struct Connections {
    /// Those of this gateway, but for those that were told to be too many.
    here: HashSet<ConnectionId>,
    /// Those of all gateways.
    all: HashMap<ConnectionId, UserConnection>,
    /// How many connections this gateway has, told or not.
    open: usize,
    /// How often the topic was to be watched and that has not begun: what comes before it does is of an earlier watch.
    awaited: usize,
}

impl Users {
    /// A connection of this gateway has a user. Gives whether it is the user's first one here: the user's topic must be
    /// watched from now on.
    pub fn connect(&mut self, user: &UserId, connection: ConnectionId) -> bool {
        let of = self.0.entry(user.clone()).or_default();
        let first = of.open == 0;
        of.open += usize::from(of.here.insert(connection));
        if first {
            of.awaited += 1;
            of.all.clear();
        }
        first
    }

    /// The user's topic is watched from now on.
    pub fn watching(&mut self, user: &UserId) {
        if let Some(of) = self.0.get_mut(user) {
            of.awaited = of.awaited.saturating_sub(1);
            if of.open == 0 && of.awaited == 0 {
                self.0.remove(user);
            }
        }
    }

    /// It is gone. Gives whether it was the user's last one here.
    pub fn disconnect(&mut self, user: &UserId, connection: ConnectionId) -> bool {
        let Some(of) = self.0.get_mut(user) else {
            return false;
        };
        if of.open == 0 {
            return false;
        }
        of.here.remove(&connection);
        of.open -= 1;
        let last = of.open == 0;
        if last && of.awaited == 0 {
            self.0.remove(user);
        }
        last
    }

    /// A connection of a user is there, or told anew, on any gateway. Gives which connections of this gateway are too many
    /// for `max` now; each is given once.
    pub fn joined(
        &mut self,
        user: &UserId,
        connection: UserConnection,
        max: usize,
    ) -> Vec<ConnectionId> {
        let Some(of) = self.0.get_mut(user).filter(|of| of.awaited == 0) else {
            return Vec::new(); // of a watch that is over
        };
        of.all.insert(connection.connection, connection);
        of.take_excess(max)
    }

    /// A connection of a user is gone.
    pub fn left(&mut self, user: &UserId, connection: ConnectionId) {
        if let Some(of) = self.0.get_mut(user) {
            of.all.remove(&connection);
        }
    }

    /// Which connections of this gateway are too many when `max` has changed.
    pub fn limit(&mut self, max: usize) -> Vec<(UserId, ConnectionId)> {
        let of_each = self.0.iter_mut().flat_map(|(user, of)| {
            let excess = of.take_excess(max).into_iter();
            excess.map(|connection| (user.clone(), connection))
        });
        of_each.collect()
    }
}

impl Connections {
    fn take_excess(&mut self, max: usize) -> Vec<ConnectionId> {
        if self.all.len() <= max {
            return Vec::new();
        }
        let all: Vec<UserConnection> = self.all.values().copied().collect();
        let mut excess = excess(&all, max);
        excess.retain(|connection| self.here.remove(connection));
        excess
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> UserId {
        UserId::from_token("ann").unwrap()
    }

    fn id(number: u8) -> ConnectionId {
        ConnectionId::from_bytes([number; 16])
    }

    fn at(number: u8, connected_ms: u64) -> UserConnection {
        UserConnection {
            connection: id(number),
            connected_ms,
            draining: false,
        }
    }

    #[test]
    fn the_oldest_is_told_once_where_it_is_and_nowhere_else() {
        let (mut here, mut there) = (Users::default(), Users::default());
        assert!(here.connect(&ann(), id(1)));
        assert!(there.connect(&ann(), id(2)));
        here.watching(&ann());
        there.watching(&ann());
        for users in [&mut here, &mut there] {
            assert!(users.joined(&ann(), at(1, 10), 1).is_empty());
        }
        assert_eq!(here.joined(&ann(), at(2, 20), 1), [id(1)]);
        assert!(there.joined(&ann(), at(2, 20), 1).is_empty());
        assert!(here.joined(&ann(), at(2, 20), 1).is_empty(), "once");
    }

    #[test]
    fn one_that_drains_or_has_left_makes_room() {
        let mut users = Users::default();
        users.connect(&ann(), id(1));
        users.watching(&ann());
        users.joined(&ann(), at(1, 10), 2);
        users.joined(&ann(), at(2, 20), 2);
        let draining = UserConnection {
            draining: true,
            ..at(2, 20)
        };
        assert!(users.joined(&ann(), draining, 1).is_empty());
        users.left(&ann(), id(2));
        assert!(users.joined(&ann(), at(1, 10), 1).is_empty());
        assert_eq!(users.joined(&ann(), at(3, 30), 1), [id(1)]);
    }

    #[test]
    fn a_lower_limit_is_applied_to_who_is_there() {
        let mut users = Users::default();
        for (number, at_ms) in [(1, 10), (2, 20)] {
            if users.connect(&ann(), id(number)) {
                users.watching(&ann());
            }
            users.joined(&ann(), at(number, at_ms), 2);
        }
        assert_eq!(users.limit(1), [(ann(), id(1))]);
        assert!(users.limit(1).is_empty(), "once");
    }

    #[test]
    fn a_user_is_watched_from_the_first_connection_to_the_last() {
        let mut users = Users::default();
        assert!(users.connect(&ann(), id(1)));
        assert!(!users.connect(&ann(), id(2)));
        assert!(!users.disconnect(&ann(), id(1)));
        assert!(users.disconnect(&ann(), id(2)));
        assert!(!users.disconnect(&ann(), id(2)), "gone already");
    }

    #[test]
    fn what_an_earlier_watch_has_told_does_not_count() {
        let mut users = Users::default();
        assert!(users.connect(&ann(), id(1)));
        assert!(users.disconnect(&ann(), id(1)));
        assert!(users.connect(&ann(), id(2)));
        users.watching(&ann()); // the first one
        assert!(users.joined(&ann(), at(8, 80), 1).is_empty());
        assert!(users.joined(&ann(), at(9, 90), 1).is_empty());
        users.watching(&ann());
        assert!(users.joined(&ann(), at(2, 20), 1).is_empty(), "alone");
        users.disconnect(&ann(), id(2));
        assert!(users.0.is_empty());
    }
}
