//! A broker that does what the test says.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::{Said, Stage};
use crate::broker::{Broker, Event, Partition, Request};
use crate::config::Channel;
use crate::names::{Epoch, Offset, RoomName};

/// Its events are the test's, and it writes requests down.
#[derive(Default)]
pub struct Manual {
    pub events: VecDeque<Event>,
    pub requests: Vec<Request>,
    /// Whether the test answers when the hub begins to watch a room.
    pub slow_to_watch: bool,
}

impl Broker for Manual {
    fn partitions(&self) -> u16 {
        2
    }

    /// Rooms are in the first partition, but for those whose name begins with `other`.
    fn partition(&self, room: &RoomName) -> Partition {
        Partition(room.as_str().starts_with("other").into())
    }

    fn submit(&mut self, request: Request) {
        if let Request::Watch { token, .. } = request
            && !self.slow_to_watch
        {
            self.events.push_back(Event::Watched { token });
        }
        self.requests.push(request);
    }

    fn poll_events(&mut self, _: &mut Context<'_>, events: &mut VecDeque<Event>) -> Poll<()> {
        if self.events.is_empty() {
            return Poll::Pending;
        }
        events.append(&mut self.events);
        Poll::Ready(())
    }

    fn configure(&mut self, _: &Arc<Channel>) {}
}

impl Stage<Manual> {
    /// With a broker that does what the test says, at an epoch and a position.
    pub fn manual(channel: Channel, epoch: &Epoch, last: u64) -> Self {
        let mut stage = Self::with(channel, Manual::default());
        for partition in [Partition(0), Partition(1)] {
            stage.events([Event::Position {
                partition,
                epoch: epoch.clone(),
                last: Offset(last),
                whole: last == 0,
            }]);
        }
        stage
    }

    /// A turn of events.
    pub fn events(&mut self, events: impl IntoIterator<Item = Event>) -> Vec<Said> {
        self.hub.broker().events.extend(events);
        self.turn([])
    }

    /// The tokens of reads that the hub has asked for.
    pub fn reads(&mut self) -> Vec<u64> {
        let requests = std::mem::take(&mut self.hub.broker().requests);
        let token = |request| match request {
            Request::Read { token, .. } => Some(token),
            _ => None,
        };
        requests.into_iter().filter_map(token).collect()
    }
}
