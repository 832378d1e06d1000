//! Which rooms there are, for whoever may know.

use super::delivery::Outlet;
use super::room::Room;
use super::state::Hub;
use super::top::TopRoom;
use crate::broker::Broker;

impl<B: Broker, O: Outlet> Hub<B, O> {
    /// The first `limit` rooms whose names begin with `prefix` and come after `after`, in the order of their bytes, and
    /// whether there are more.
    pub fn list_rooms(&self, prefix: &str, after: &str, limit: usize) -> (Vec<TopRoom>, bool) {
        let wanted = |room: &&Room| {
            let name = room.name.as_str();
            name > after && name.starts_with(prefix)
        };
        let mut rooms: Vec<&Room> = self.rooms.values().filter(wanted).collect();
        let more = rooms.len() > limit;
        if more {
            rooms.select_nth_unstable_by(limit, |one, two| one.name.cmp(&two.name));
            rooms.truncate(limit);
        }
        rooms.sort_unstable_by(|one, two| one.name.cmp(&two.name));
        let rooms = rooms.into_iter().map(|room| TopRoom {
            room: room.name.to_string(),
            subscribers: room.subscriptions(),
            messages: room.messages,
        });
        (rooms.collect(), more)
    }
}
