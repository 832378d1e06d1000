//! The broker of one process: numbers messages, remembers `message_id`s, and hands everything back to the hub it came
//! from. It stores no message: the hub's rings are all the history there is, so a read beyond them is never complete.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::{Broker, DeduplicationKey, Event, Partition, PublishError, Receipt, Request, Token};
use crate::config::Channel;
use crate::message::{Message, unix_milliseconds};
use crate::names::{Epoch, Offset, RoomName};

/// All rooms share the one store.
const ONLY: Partition = Partition(0);

/// Memory of one remembered `message_id`: map entry, queue entry, load factor.
const KEY_FOOTPRINT: usize = 192;

/// The embedded broker.
pub struct Embedded {
    events: VecDeque<Event>,
    epoch: Epoch,
    last: Offset,
    last_timestamp: u64,
    published: Published,
}

impl Embedded {
    /// A broker with an empty store and a new epoch.
    pub fn new(channel: &Channel) -> Self {
        let mut events = VecDeque::new();
        let epoch = Epoch::random();
        events.push_back(Event::Position {
            partition: ONLY,
            epoch: epoch.clone(),
            last: Offset(0),
            whole: true,
        });
        Self {
            events,
            epoch,
            last: Offset(0),
            last_timestamp: 0,
            published: Published::new(channel),
        }
    }

    fn publish(
        &mut self,
        token: Token,
        mut message: Message,
        stored: bool,
        key: Option<DeduplicationKey>,
    ) {
        let now = Instant::now();
        let known = key
            .filter(|_| stored)
            .and_then(|key| self.published.get(&key, now));
        let receipt = known.unwrap_or_else(|| {
            message.timestamp = self.timestamp();
            if stored {
                self.last.0 += 1;
                message.offset = Some(self.last);
            }
            let receipt = Receipt {
                position: message.offset.map(|offset| (self.epoch.clone(), offset)),
                timestamp: Some(message.timestamp),
                duplicate: false,
                deduplicated: stored,
            };
            if let Some(key) = key.filter(|_| stored) {
                self.published.remember(key, receipt.clone(), now);
            }
            self.events.push_back(Event::Message(Arc::new(message)));
            receipt
        });
        self.events.push_back(Event::Published {
            token,
            result: Ok(receipt),
        });
    }

    /// The wall clock, but never backwards.
    fn timestamp(&mut self) -> u64 {
        self.last_timestamp = self.last_timestamp.max(unix_milliseconds());
        self.last_timestamp
    }
}

impl Broker for Embedded {
    fn partitions(&self) -> u16 {
        1
    }

    fn partition(&self, _: &RoomName) -> Partition {
        ONLY
    }

    fn submit(&mut self, request: Request) {
        match request {
            Request::Publish {
                token,
                message,
                stored,
                key,
            } => self.publish(token, *message, stored, key),
            Request::Read { token, .. } => self.events.push_back(Event::Read {
                token,
                complete: None,
            }),
            Request::Join { room, member } => self.events.push_back(Event::Joined { room, member }),
            Request::Leave { room, connection } => {
                self.events.push_back(Event::Left { room, connection })
            }
            // The hub sees all there is.
            Request::Members { token, .. } => self.events.push_back(Event::Members {
                token,
                count: 0,
                members: Vec::new(),
            }),
            Request::Connect { .. } | Request::Disconnect { .. } => {}
            Request::Direct { token, to, message } => {
                self.events.push_back(Event::Direct { to, message, token })
            }
            Request::Expel { token, to, close } => {
                self.events.push_back(Event::Expel { to, close, token })
            }
            // The hub sees all there is.
            Request::Connections { token, .. } => self.events.push_back(Event::Connections {
                token,
                connections: Vec::new(),
            }),
            Request::DirectTaken { token, connections } => {
                let result = connections.ok_or(PublishError::Overloaded);
                self.events.push_back(Event::DirectSent { token, result });
            }
            // Everything comes back in any case.
            Request::Watch { token, .. } => self.events.push_back(Event::Watched { token }),
            Request::Unwatch(_) => {}
        }
    }

    /// Nobody need be woken: whatever this broker tells follows from a request of the same turn.
    fn poll_events(
        &mut self,
        _context: &mut Context<'_>,
        events: &mut VecDeque<Event>,
    ) -> Poll<()> {
        if self.events.is_empty() {
            return Poll::Pending;
        }
        events.append(&mut self.events);
        Poll::Ready(())
    }

    fn configure(&mut self, channel: &Arc<Channel>) {
        self.published.configure(channel);
    }
}

/// The `message_id`s of the deduplication window, oldest first, bounded by an eighth of `historyMemory`.
struct Published {
    window: Duration,
    capacity: usize,
    receipts: HashMap<DeduplicationKey, Receipt>,
    order: VecDeque<(Instant, DeduplicationKey)>,
}

impl Published {
    fn new(channel: &Channel) -> Self {
        let mut published = Self {
            window: Duration::ZERO,
            capacity: 0,
            receipts: HashMap::new(),
            order: VecDeque::new(),
        };
        published.configure(channel);
        published
    }

    fn configure(&mut self, channel: &Channel) {
        self.window = channel
            .history
            .map_or(Duration::ZERO, |history| history.deduplication);
        self.capacity = channel.limits.history_memory / 8 / KEY_FOOTPRINT;
    }

    fn get(&mut self, key: &DeduplicationKey, now: Instant) -> Option<Receipt> {
        self.forget(now);
        self.receipts.get(key).map(|receipt| Receipt {
            duplicate: true,
            ..receipt.clone()
        })
    }

    fn remember(&mut self, key: DeduplicationKey, receipt: Receipt, now: Instant) {
        self.receipts.insert(key, receipt);
        self.order.push_back((now, key));
        self.forget(now);
    }

    fn forget(&mut self, now: Instant) {
        while let Some((at, key)) = self.order.front() {
            if self.order.len() <= self.capacity && now.duration_since(*at) < self.window {
                return;
            }
            self.receipts.remove(key);
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
