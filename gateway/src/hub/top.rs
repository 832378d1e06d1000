//! The busiest rooms and users, for whoever asks: looked up then, never exported by name.

use serde::Serialize;

use super::delivery::Outlet;
use super::state::Hub;
use crate::broker::Broker;

/// Of rooms and users, the largest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Top {
    /// Rooms with the most messages since somebody has been in them.
    pub rooms: Vec<TopRoom>,
    /// Users with the most connections on this gateway.
    pub users: Vec<TopUser>,
}

/// A room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopRoom {
    /// Its name.
    pub room: String,
    /// Subscriptions on this gateway.
    pub subscribers: usize,
    /// Messages that came to this gateway since the room has been in its memory.
    pub messages: u64,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopUser {
    /// Who.
    pub user: String,
    /// Connections on this gateway.
    pub connections: usize,
}

impl<B: Broker, O: Outlet> Hub<B, O> {
    /// The `most` largest of rooms and of users.
    pub fn top(&self, most: usize) -> Top {
        let mut rooms: Vec<_> = self.rooms.values().collect();
        let size = |room: &&super::room::Room| {
            let (messages, subscribers) = (room.messages, room.subscriptions());
            std::cmp::Reverse((messages, subscribers))
        };
        keep_first(&mut rooms, most, size);
        let rooms = rooms.into_iter().map(|room| TopRoom {
            room: room.name.to_string(),
            subscribers: room.subscriptions(),
            messages: room.messages,
        });
        let mut users: Vec<_> = self.users.named().collect();
        keep_first(&mut users, most, |(_, connections)| {
            std::cmp::Reverse(*connections)
        });
        let users = users.into_iter().map(|(user, connections)| TopUser {
            user: user.as_str().to_owned(),
            connections,
        });
        Top {
            rooms: rooms.collect(),
            users: users.collect(),
        }
    }
}

/// Keeps the first `most` by `key`, in order: of ten thousand nobody needs all sorted.
fn keep_first<T, K: Ord>(of: &mut Vec<T>, most: usize, key: impl Fn(&T) -> K) {
    if of.len() > most && most > 0 {
        of.select_nth_unstable_by_key(most - 1, &key);
    }
    of.truncate(most);
    of.sort_by_key(key);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_are_kept_in_order() {
        let of = |most| {
            let mut numbers = vec![5, 1, 9, 3, 7];
            keep_first(&mut numbers, most, |number| std::cmp::Reverse(*number));
            numbers
        };
        assert_eq!(of(2), [9, 7]);
        assert_eq!(of(0), Vec::<i32>::new());
        assert_eq!(of(9), [9, 7, 5, 3, 1]);
    }
}
