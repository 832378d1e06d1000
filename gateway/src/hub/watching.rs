//! Subscribes to rooms without history wait until the broker hears the room: from its ack on a subscriber gets whatever
//! is published, on any gateway. The first subscriber makes the broker listen; all who come before it does wait with
//! that one. In a room with history the ack's position says what comes.

use super::command::Address;
use super::delivery::Outlet;
use super::state::{Hub, Pending};
use crate::broker::{Broker, Request, Token};
use crate::names::RoomName;
use crate::protocol::{RequestId, Subscribed};

/// A subscribe that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub to: Address,
    pub id: Option<RequestId>,
    pub presence: bool,
    pub recovered: Option<bool>,
}

impl<B: Broker, O: Outlet> Hub<B, O> {
    /// Makes the broker listen to a room.
    pub(super) fn watch(&mut self, name: &RoomName) {
        let token = self.pending.insert(Pending::Watch(name.clone())) as Token;
        self.room(name).watch = Some(token);
        self.broker.submit(Request::Watch {
            token,
            room: name.clone(),
        });
    }

    /// The broker listens: who has waited is in the room.
    pub(super) fn watched(&mut self, token: Token) {
        let Some(Pending::Watch(name)) = self.pending.try_remove(token as usize) else {
            return;
        };
        let Some(room) = self.rooms.get_mut(&name) else {
            return;
        };
        if room.watch != Some(token) {
            return; // everybody had left, and others have come
        }
        room.watch = None;
        for waiting in std::mem::take(&mut room.waiting) {
            self.let_in(&name, waiting);
        }
    }

    /// Answers the subscribes of a connection that leaves.
    pub(super) fn wait_no_more(&mut self, to: Address, name: &RoomName) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        let own: Vec<Waiting> = room.waiting.extract_if(.., |one| one.to == to).collect();
        for waiting in own {
            self.let_in(name, waiting);
        }
    }

    fn let_in(&mut self, name: &RoomName, waiting: Waiting) {
        let Waiting {
            to,
            id,
            presence,
            recovered,
        } = waiting;
        self.hand_over(name); // what came before is not theirs
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        room.subscribe(to, true);
        // The rules may have changed meanwhile.
        let position = room.stored.then(|| self.stores.of(room.partition).end());
        let outcome = Subscribed {
            position,
            recovered,
            messages: Vec::new(),
            more: false,
        };
        self.tell_subscribed(to, id, name.clone(), presence, outcome);
    }
}
