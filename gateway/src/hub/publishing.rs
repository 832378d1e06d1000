//! Messages on their way: from a publisher to the broker, from the broker to a room or a user.

use std::sync::Arc;

use super::command::Address;
use super::delivery::{Answer, Delivery, Outlet};
use super::state::{Hub, Pending};
use crate::broker::{Broker, Close, DeduplicationKey, PublishError, Receipt, Request, Token};
use crate::message::{Message, unix_milliseconds};
use crate::names::{ConnectionId, UserId};
use crate::protocol::{ErrorCode, RequestId};
use crate::traces::PublishSpan;

impl<B: Broker, O: Outlet> Hub<B, O> {
    pub(super) fn publish(
        &mut self,
        to: Address,
        id: Option<RequestId>,
        mut message: Box<Message>,
        key: Option<DeduplicationKey>,
    ) {
        let span = message.trace.as_mut().and_then(|trace| trace.open.take());
        let stored = match self.rooms.get(&message.room) {
            Some(room) => {
                if room.stored && room.shards().any(|shard| self.outlet.is_full(shard)) {
                    PublishSpan::refused(span, ErrorCode::Overloaded);
                    return self.answer(to, id, Answer::Refused(ErrorCode::Overloaded));
                }
                message.room = room.name.clone(); // one allocation for all messages of a room
                room.stored
            }
            None => self.channel.rules.for_room(message.room.as_str()).history,
        };
        let pending = Pending::Publish {
            to,
            id,
            had_message_id: key.is_some(),
            span,
        };
        let token = self.pending.insert(pending) as Token;
        self.broker.submit(Request::Publish {
            token,
            message,
            stored,
            key,
        });
    }

    pub(super) fn published(&mut self, token: Token, result: Result<Receipt, PublishError>) {
        let Some(Pending::Publish {
            to,
            id,
            had_message_id,
            span,
        }) = self.pending.try_remove(token as usize)
        else {
            return;
        };
        let answer = match result {
            Ok(receipt) => {
                let counter = if receipt.duplicate {
                    &self.metrics.duplicates
                } else {
                    &self.metrics.published
                };
                counter.add(1);
                PublishSpan::accepted(span, &receipt);
                Answer::Published {
                    not_deduplicated: had_message_id && !receipt.deduplicated,
                    position: receipt.position,
                    timestamp: receipt.timestamp,
                    duplicate: receipt.duplicate,
                }
            }
            Err(error) => {
                let code = refusal(error);
                PublishSpan::refused(span, code);
                Answer::Refused(code)
            }
        };
        self.answer(to, id, answer);
    }

    /// A message of the broker: kept where the room keeps messages, and sent to whoever is in the room.
    pub(super) fn message(&mut self, message: Arc<Message>) {
        if let Some(offset) = message.offset {
            let room = self.rooms.get(&message.room);
            let partition = room.map_or_else(
                || self.broker.partition(&message.room),
                |room| room.partition,
            );
            let store = self.stores.of_mut(partition);
            if offset <= store.position {
                return; // seen before a reset
            }
            store.position = offset;
        } else if !self.rooms.contains_key(&message.room) {
            return;
        }
        let stamp = self.rings.stamp();
        let history = self.channel.history;
        let room = self.room(&message.room);
        let (name, stored) = (room.name.clone(), room.stored);
        room.used = stamp;
        room.messages += 1;
        if room.subscriptions() > 0 {
            room.outgoing.push(message.clone());
            if room.outgoing.len() == 1 {
                self.outgoing.push(name.clone());
            }
        }
        match (message.offset, history) {
            (Some(_), Some(history)) if stored => self.keep(&name, message, history),
            (Some(_), _) => self.forget_if_idle(&name), // the room has stopped keeping meanwhile
            (None, _) => {}
        }
    }

    pub(super) fn send(
        &mut self,
        from: Address,
        id: Option<RequestId>,
        to: &str,
        mut message: Box<Message>,
    ) {
        let user = match ConnectionId::parse(to) {
            Some(connection) => Some(UserId::anonymous(connection)),
            None => UserId::from_token(to),
        };
        let Some(user) = user else {
            return self.answer(from, id, Answer::Sent { connections: 0 }); // nobody can have that name
        };
        message.timestamp = unix_milliseconds();
        let token = self.pending.insert(Pending::Send { to: from, id }) as Token;
        self.broker.submit(Request::Direct {
            token,
            to: user,
            message: Arc::from(message),
        });
    }

    /// A message for a user: all connections here take it, or none where the queue to one of them is full.
    pub(super) fn direct(&mut self, token: Token, to: &UserId, message: &Arc<Message>) {
        let addresses = self.users.find(to);
        let full = addresses.iter().any(|to| self.outlet.is_full(to.shard));
        self.broker.submit(Request::DirectTaken {
            token,
            connections: (!full).then_some(addresses.len()),
        });
        if full {
            return;
        }
        for to in addresses {
            let message = message.clone();
            self.outlet.send(to.shard, Delivery::Direct { to, message });
        }
    }

    /// Closes the connections of a user that are here, or one of that name.
    pub(super) fn expel(&mut self, token: Token, to: &UserId, close: &Arc<Close>) {
        let mut addresses = self.users.find(to);
        if let Some(connection) = ConnectionId::parse(to.as_str())
            && addresses.is_empty()
        {
            addresses.extend(self.users.find_named(connection));
        }
        self.broker.submit(Request::DirectTaken {
            token,
            connections: Some(addresses.len()),
        });
        for to in addresses {
            let close = close.clone();
            self.outlet.send(to.shard, Delivery::Expel { to, close });
        }
    }

    /// Asks the broker for the connections of a user on all gateways.
    pub(super) fn whereabouts(&mut self, to: Address, id: Option<RequestId>, user: UserId) {
        let pending = Pending::Whereabouts {
            to,
            id,
            user: user.clone(),
        };
        let token = self.pending.insert(pending) as Token;
        self.broker.submit(Request::Connections { token, user });
    }

    /// Answers with what the broker knows, and with what is here: the broker may not know that yet.
    pub(super) fn connections(&mut self, token: Token, known: Vec<ConnectionId>) {
        let Some(Pending::Whereabouts { to, id, user }) = self.pending.try_remove(token as usize)
        else {
            return;
        };
        let here = self.users.connections(&user);
        let elsewhere = known.into_iter().filter(|known| !here.contains(known));
        let elsewhere = elsewhere.map(|connection| (connection, false));
        let here = here.iter().map(|connection| (*connection, true));
        let known = here.chain(elsewhere).collect();
        self.answer(to, id, Answer::Whereabouts(known));
    }

    pub(super) fn sent(&mut self, token: Token, result: Result<usize, PublishError>) {
        let Some(Pending::Send { to, id }) = self.pending.try_remove(token as usize) else {
            return;
        };
        let answer = match result {
            Ok(connections) => Answer::Sent { connections },
            Err(error) => Answer::Refused(refusal(error)),
        };
        self.answer(to, id, answer);
    }
}

fn refusal(error: PublishError) -> ErrorCode {
    match error {
        PublishError::Unavailable => ErrorCode::Unavailable,
        PublishError::OutcomeUnknown => ErrorCode::OutcomeUnknown,
        PublishError::StorageFull => ErrorCode::StorageFull,
        PublishError::StorageLimit => ErrorCode::StorageLimit,
        PublishError::NoStorage => ErrorCode::NoStorage,
        PublishError::Unauthorized => ErrorCode::BrokerUnauthorized,
        PublishError::Denied => ErrorCode::BrokerDenied,
        PublishError::Overloaded => ErrorCode::Overloaded,
    }
}
