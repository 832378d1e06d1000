//! What a protocol with a dialogue has beyond single frames: its beginning, and namespaces that are left.

use super::connection::{Kept, Pulse, State};
use super::encoding::FrameWriter;
use super::state::Shard;
use super::wheel::ticks;
use crate::hub::CommandKind;
use crate::names::RoomName;
use crate::protocol::Memory;

impl Shard {
    /// Begins what the protocol has beyond single frames. Who the client is it says in one of them.
    pub(super) fn begin_dialogue(&mut self, slot: u32) {
        let (Some(greeting), Some(connection)) = (
            self.greeting(slot, None),
            self.connections.get_mut(slot as usize),
        ) else {
            return;
        };
        let encoding = connection.encoding;
        let mut writer = FrameWriter {
            out: &mut self.out,
            framing: encoding.framing,
            deflater: &mut self.deflater,
        };
        let largest = self.channel.limits.frame_size();
        let protocol = encoding.protocol();
        let dialogue = protocol.begin(&greeting, largest, &mut writer);
        if !protocol.pings() {
            return;
        }
        let connects = dialogue.is_some();
        let (heartbeat, now) = (self.channel.heartbeat, self.wheel.now());
        let handshake = connection.kept.take();
        let handshake = handshake.map(|kept| kept.memory.handshake);
        connection.kept = Some(Box::new(Kept {
            memory: Memory {
                handshake: handshake.unwrap_or_default(),
                dialogue,
            },
            pulse: Some(Pulse {
                heartbeat,
                next: now + ticks(heartbeat.interval),
            }),
        }));
        if connects {
            connection.state = State::Awaiting {
                until: now + ticks(heartbeat.timeout),
            };
        }
        self.schedule(slot);
    }

    /// The client leaves the rooms of a namespace: nothing more of them is told to it.
    pub(super) fn leave_namespace(&mut self, slot: u32, prefix: &str) {
        let Some(connection) = self.connections.get(slot as usize) else {
            return;
        };
        let id = connection.session.connection();
        let rooms = connection.session.rooms.iter();
        let left: Vec<RoomName> = rooms
            .filter(|(room, membership)| {
                usize::from(membership.prefix) == prefix.len() && room.as_str().starts_with(prefix)
            })
            .map(|(room, _)| room.clone())
            .collect();
        for room in left {
            self.remove_member(slot, &room);
            if let Some(connection) = self.connections.get_mut(slot as usize)
                && let Some(membership) = connection.session.rooms.get_mut(&room)
            {
                membership.leaving = true;
            }
            self.ask_hub(
                slot,
                None,
                CommandKind::Unsubscribe {
                    room,
                    connection: id,
                },
            );
        }
    }
}
