//! Publishes to rooms without history: nobody acknowledges it. What is handed to a connection that stands is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::HeaderMap;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::connection::Connection;
use super::health::{Fault, Health};
use super::refusal;
use crate::broker::{Event, PublishError, Receipt, Token};

/// A message for a room without history.
#[derive(Debug)]
pub struct Job {
    /// Names the answer.
    pub token: Token,
    /// Where it goes.
    pub subject: String,
    /// What goes with it.
    pub headers: HeaderMap,
    /// The content.
    pub payload: Bytes,
    /// Milliseconds since the Unix epoch, as its headers say.
    pub timestamp: u64,
}

impl Job {
    /// Bytes that wait with it.
    pub fn weight(&self) -> usize {
        self.payload.len() + 512
    }
}

/// Publishes messages.
pub struct Sender {
    /// Whose connection to use.
    pub connection: Connection,
    /// Bytes of all jobs that are not answered yet.
    pub waiting: Arc<AtomicUsize>,
    /// Where answers go.
    pub answers: mpsc::UnboundedSender<Event>,
    /// Where faults are told.
    pub health: Arc<Health>,
}

impl Sender {
    /// Publishes one and says what came of it.
    pub async fn publish(&mut self, job: Job) {
        let (token, weight, timestamp) = (job.token, job.weight(), job.timestamp);
        let result = self.send(job).await;
        self.waiting.fetch_sub(weight, Ordering::Relaxed);
        let result = result.map(|()| Receipt {
            position: None,
            timestamp: Some(timestamp),
            duplicate: false,
            deduplicated: false,
        });
        let _ = self.answers.send(Event::Published { token, result }); // the hub is gone
    }

    async fn send(&mut self, job: Job) -> Result<(), PublishError> {
        if !self.connection.is_up() {
            return Err(refusal::without_connection(&self.health));
        }
        let generation = self.connection.state.borrow().generation;
        let client = self.connection.client.clone();
        let publish = client.publish_with_headers(job.subject, job.headers, job.payload);
        tokio::select! {
            biased;
            // What waits for a place in the client's queue was not sent.
            () = self.connection.lost(generation) => Err(refusal::without_connection(&self.health)),
            sent = publish => sent.map_err(|error| {
                self.health.set(Fault::Other, error.to_string());
                PublishError::Unavailable
            }),
        }
    }
}
