//! A channel with workers, its work queue and its dead letters.

use serde_json::{Value, json};

use crate::prelude::*;

/// How many rooms [`room`] knows: they spread over the partitions.
pub const ROOMS: u64 = 20;

/// One of them.
#[must_use]
pub fn room(number: u64) -> String {
    format!("work.{}", number % ROOMS)
}

/// A channel whose rooms `work.…` have workers.
pub fn manifest(server: &NatsServer) -> Manifest {
    Manifest::unhurried()
        .without_pings()
        .history(10_000)
        .room(json!({"match": "work.*", "delivery": "Worker"}))
        .spec(json!({"workers": {"acknowledgeSeconds": 1, "partitions": 4}}))
        .nats(&[server.url()])
}

/// The same without workers.
pub fn direct(server: &NatsServer) -> Manifest {
    manifest(server)
        .without_rooms()
        .room(json!({"match": "work.*"}))
}

/// A server with JetStream, and two gateways of that channel.
pub async fn scene() -> (NatsServer, Fleet) {
    let server = NatsServer::jetstream().await;
    let fleet = Fleet::start(&manifest(&server), 2).await;
    (server, fleet)
}

/// A dead letter: its data and its headers.
pub struct Letter {
    /// What was published.
    pub data: Value,
    /// Why it is here.
    pub headers: async_nats::HeaderMap,
}

impl Letter {
    /// The only one there is, once it is there.
    ///
    /// # Panics
    /// When there are several.
    pub async fn only(server: &NatsServer) -> Self {
        let streams = &server.streams().await;
        let mut stream = until("a dead letter", || async move {
            let mut stream = streams.get_stream("linnet_default_tests_dead").await.ok()?;
            (stream.info().await.ok()?.state.messages > 0).then_some(stream)
        })
        .await;
        assert_eq!(stream.info().await.unwrap().state.messages, 1);
        let first = stream.info().await.unwrap().state.first_sequence;
        let message = stream.get_raw_message(first).await.unwrap();
        assert_eq!(
            message.subject.as_str(),
            "linnet.default.tests.dead.b_d29yay5h"
        );
        Self {
            data: serde_json::from_slice(&message.payload).unwrap(),
            headers: message.headers,
        }
    }

    /// The header of that name.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap().as_str()
    }
}

/// How many messages are in the work queue.
///
/// # Panics
/// When there is no work queue.
pub async fn queued(server: &NatsServer) -> u64 {
    let streams = server.streams().await;
    let stream = streams.get_stream("linnet_default_tests_work").await;
    stream.unwrap().cached_info().state.messages
}

/// Awaits that the work queue is empty.
pub async fn is_worked_off(server: &NatsServer) {
    until("an empty work queue", || async {
        (queued(server).await == 0).then_some(())
    })
    .await;
}
