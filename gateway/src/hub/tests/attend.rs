//! The thread that looks after the clock, on a clock that goes by itself while nothing else happens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::support::{Manual, aged, channel};
use crate::broker::{Event, Partition};
use crate::hub::state::Hub;
use crate::hub::{Delivery, Outlet, actor};
use crate::message::Message;
use crate::metrics::HubMetrics;
use crate::names::{Epoch, Offset, RoomName};

/// Nobody listens.
struct Nobody;

impl Outlet for Nobody {
    fn messages(&mut self, _: &RoomName, _: Vec<Arc<Message>>, _: Instant, _: &[u32]) {}
    fn send(&mut self, _: u16, _: Delivery) {}
    fn is_full(&self, _: u16) -> bool {
        false
    }
    fn flush(&mut self) {}
}

#[tokio::test(start_paused = true)]
async fn however_many_messages_are_too_old_they_go_within_seconds() {
    let metrics = Arc::new(HubMetrics::default());
    let mut broker = Manual::default();
    broker.events.push_back(Event::Position {
        partition: Partition(0),
        epoch: Epoch::random(),
        last: Offset(0),
        whole: false,
    });
    for offset in 1..=20_000 {
        let event = aged(&format!("room {offset}"), offset, 100_000_000);
        broker.events.push_back(event);
    }
    let (hub, inbox) = actor::handle();
    let channel = Arc::new(channel("history: {maxAgeSeconds: 99000}"));
    hub.start(Hub::new(channel, broker, Nobody, 1, metrics.clone()), inbox);
    hub.send(Vec::new(), Instant::now());
    assert_eq!(metrics.rooms.get(), 20_000);
    let attending = hub.clone();
    tokio::spawn(async move { attending.attend().await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(metrics.rooms.get(), 0);
}
