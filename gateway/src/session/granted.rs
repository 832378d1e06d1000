//! Rooms that the channel's handler puts a session in. It is the channel's own back end, so the rules do not bind it: who is
//! put in a room may be in it, come back to it and read what it keeps, for as long as the connection lasts or until the
//! handler takes him out. Publishing stays with the rules.

use super::{Membership, Session};
use crate::config::Channel;
use crate::hub::CommandKind;
use crate::names::RoomName;
use crate::protocol::ErrorCode;

impl Session {
    /// Puts the session in a room, of whose name the client leaves out the first `prefix` bytes; gives what to ask of the
    /// hub.
    ///
    /// # Errors
    /// When it is in too many.
    pub fn put_in(
        &mut self,
        room: RoomName,
        prefix: u8,
        channel: &Channel,
    ) -> Result<CommandKind, ErrorCode> {
        let known = self.rooms.get(&room);
        let known = known.is_some_and(|membership| !membership.leaving);
        if !known && self.is_full(&channel.limits) {
            return Err(ErrorCode::TooManyRooms);
        }
        self.granted.get_or_insert_default().insert(room.clone());
        let membership = self.rooms.entry(room.clone());
        let membership = membership.or_insert(Membership::PENDING);
        (membership.leaving, membership.ended) = (false, None);
        if !known {
            membership.prefix = prefix;
        }
        membership.untold = true;
        Ok(CommandKind::Subscribe {
            room,
            since: None,
            presence: false,
            member: self.member.clone(),
        })
    }

    /// Takes back what the handler has granted; gives whether the session is in the room.
    pub fn take_out(&mut self, room: &RoomName) -> bool {
        if let Some(granted) = &mut self.granted {
            granted.remove(room);
        }
        let membership = self.rooms.get(room);
        membership.is_some_and(|membership| !membership.leaving)
    }

    pub(super) fn is_granted(&self, room: &RoomName) -> bool {
        let granted = self.granted.as_ref();
        granted.is_some_and(|granted| granted.contains(room))
    }
}
