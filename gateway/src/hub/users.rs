//! Which connections a user has on this gateway.

use std::collections::HashMap;
use std::sync::Arc;

use super::Address;
use super::directory::Directory;
use crate::names::{ConnectionId, UserId};

/// Connections by user, oldest first; an anonymous connection is a user of its own.
#[derive(Debug, Default)]
pub struct Users {
    named: HashMap<UserId, Vec<(ConnectionId, Address)>>,
    anonymous: Arc<Directory>,
}

impl Users {
    /// Nobody but the anonymous connections of a directory that shards share.
    pub fn new(anonymous: Arc<Directory>) -> Self {
        Self {
            named: HashMap::new(),
            anonymous,
        }
    }

    /// Adds a connection. Gives the oldest one of the same user if there are more than `max` now.
    pub fn add(
        &mut self,
        connection: ConnectionId,
        user: Option<&UserId>,
        address: Address,
        max: usize,
    ) -> Option<Address> {
        let Some(user) = user else {
            self.anonymous.add(connection, address);
            return None;
        };
        self.anonymous.remove(connection);
        let addresses = self.named.entry(user.clone()).or_default();
        if addresses.iter().any(|(known, _)| *known == connection) {
            return None; // its handshake said who it is, and then its `connect`
        }
        addresses.push((connection, address));
        (addresses.len() > max).then(|| addresses.remove(0).1)
    }

    /// Removes a connection.
    pub fn remove(&mut self, connection: ConnectionId, user: Option<&UserId>, address: Address) {
        let Some(user) = user else {
            self.anonymous.remove(connection);
            return;
        };
        if let Some(addresses) = self.named.get_mut(user) {
            addresses.retain(|(_, other)| *other != address);
            if addresses.is_empty() {
                self.named.remove(user);
            }
        }
    }

    /// Takes a connection of a user out before it is removed: its place is another's. Gives where it lives, if it is there.
    pub fn take(&mut self, connection: ConnectionId, user: &UserId) -> Option<Address> {
        let addresses = self.named.get_mut(user)?;
        let at = addresses.iter().position(|(id, _)| *id == connection)?;
        Some(addresses.remove(at).1)
    }

    /// Users of tokens, and how many connections each has.
    pub fn named(&self) -> impl Iterator<Item = (&UserId, usize)> {
        self.named.iter().map(|(user, of)| (user, of.len()))
    }

    /// Where a connection lives that has a user. Goes through all of them.
    pub fn find_named(&self, connection: ConnectionId) -> Option<Address> {
        let mut all = self.named.values().flatten();
        all.find(|(id, _)| *id == connection)
            .map(|(_, address)| *address)
    }

    /// The connections of a user, or the anonymous connection of that name, if it is here.
    pub fn connections(&self, user: &UserId) -> Vec<ConnectionId> {
        match ConnectionId::parse(user.as_str()) {
            Some(connection) => {
                let here = self.anonymous.find(connection);
                here.map(|_| connection).into_iter().collect()
            }
            None => {
                let named = self.named.get(user).into_iter().flatten();
                named.map(|(connection, _)| *connection).collect()
            }
        }
    }

    /// Where the connections of a user live, or the anonymous connection of that name.
    pub fn find(&self, user: &UserId) -> Vec<Address> {
        match ConnectionId::parse(user.as_str()) {
            Some(connection) => self.anonymous.find(connection).into_iter().collect(),
            None => {
                let named = self.named.get(user).into_iter().flatten();
                named.map(|(_, address)| *address).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(slot: u32) -> Address {
        Address {
            shard: 0,
            slot,
            generation: 0,
        }
    }

    #[test]
    fn over_the_limit_the_oldest_connection_of_a_user_is_replaced() {
        let mut users = Users::default();
        let ann = UserId::from_token("ann").unwrap();
        let ids: Vec<ConnectionId> = (0..3).map(|_| ConnectionId::random()).collect();
        assert_eq!(users.add(ids[0], Some(&ann), address(0), 2), None);
        assert_eq!(users.add(ids[1], Some(&ann), address(1), 2), None);
        assert_eq!(
            users.add(ids[2], Some(&ann), address(2), 2),
            Some(address(0))
        );
        users.remove(ids[0], Some(&ann), address(0));
        assert_eq!(users.find(&ann), [address(1), address(2)]);
    }

    #[test]
    fn an_anonymous_connection_is_found_by_its_id_alone() {
        let mut users = Users::default();
        let id = ConnectionId::random();
        users.add(id, None, address(7), 1);
        assert_eq!(users.find(&UserId::anonymous(id)), [address(7)]);
        users.remove(id, None, address(7));
        assert!(users.find(&UserId::anonymous(id)).is_empty());
    }

    #[test]
    fn an_anonymous_connection_that_gets_a_user_is_found_by_that_one_alone() {
        let directory = Arc::new(Directory::default());
        let mut users = Users::new(directory.clone());
        let (id, ann) = (ConnectionId::random(), UserId::from_token("ann").unwrap());
        directory.add(id, address(7)); // as its shard does when it greets it
        users.add(id, Some(&ann), address(7), 1);
        assert!(users.find(&UserId::anonymous(id)).is_empty());
        assert_eq!(users.find(&ann), [address(7)]);
    }
}
