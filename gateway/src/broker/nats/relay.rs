//! Requests of one gateway to another, of a client whose session lives there.
//!
//! They go over NATS and not from port to port: gateways need no way to each other then, so a NetworkPolicy that lets them
//! reach NATS is enough, and a name that a client has brought never becomes an address. Whom a request goes to is looked up
//! among the leases first: one that is not known to live is not asked.

use std::time::Duration;

use async_nats::Request;
use bytes::Bytes;
use futures_util::StreamExt;

use super::connection::Connection;
use super::presence::entry::ProcessId;
use super::presence::link::LinkHandle;
use super::subjects::Subjects;

/// The way to the channel's other gateways.
#[derive(Clone)]
pub struct Relay {
    connection: Connection,
    subjects: Subjects,
    presence: LinkHandle,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RelayError {
    /// What it had is gone with it.
    #[error("no such gateway lives")]
    Unknown,
    /// More than NATS takes in one message.
    #[error("the request is too large")]
    TooLarge,
    /// Whether it was heard is not known.
    #[error("the gateway did not answer")]
    Silent,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").finish_non_exhaustive()
    }
}

impl Relay {
    pub(super) fn new(connection: Connection, subjects: Subjects, presence: LinkHandle) -> Self {
        Self {
            connection,
            subjects,
            presence,
        }
    }

    /// This gateway, as others ask for it.
    #[must_use]
    pub fn me(&self) -> ProcessId {
        self.presence.incarnation().process
    }

    /// Whether a gateway is not known to be gone.
    #[must_use]
    pub fn lives(&self, process: ProcessId) -> bool {
        let mut alive = self.presence.alive().into_iter();
        alive.any(|other| other.process == process)
    }

    /// Bytes of one request or answer.
    #[must_use]
    pub fn largest(&self) -> usize {
        self.connection.client.server_info().max_payload
    }

    /// Asks a gateway, and waits for its answer for as long as it lives.
    ///
    /// # Errors
    /// When there is none.
    pub async fn ask(
        &self,
        to: ProcessId,
        request: Bytes,
        within: Duration,
    ) -> Result<Bytes, RelayError> {
        if !self.lives(to) {
            return Err(RelayError::Unknown);
        }
        if request.len() > self.largest() {
            return Err(RelayError::TooLarge);
        }
        let request = Request::new().payload(request).timeout(Some(within));
        let client = &self.connection.client;
        let asked = client.send_request(self.subjects.relay(to), request);
        let mut presence = self.presence.clone();
        let gone = async { while self.lives(to) && presence.changed().await {} };
        tokio::select! {
            answer = asked => match answer {
                Ok(answer) => Ok(answer.payload),
                Err(_) => Err(RelayError::Silent),
            },
            () = gone => Err(RelayError::Unknown),
        }
    }

    /// Answers what others ask this gateway, each in a task of its own.
    pub async fn serve<A>(&self, answer: impl Fn(Bytes) -> A)
    where
        A: Future<Output = Bytes> + Send + 'static,
    {
        let client = &self.connection.client;
        let Ok(mut heard) = client.subscribe(self.subjects.relay(self.me())).await else {
            return tracing::error!("other gateways can't be heard: the NATS client has ended");
        };
        while let Some(message) = heard.next().await {
            let Some(reply) = message.reply else { continue };
            let (client, answer) = (client.clone(), answer(message.payload));
            tokio::spawn(async move {
                if let Err(error) = client.publish(reply, answer.await).await {
                    tracing::debug!(%error, "a gateway could not be answered");
                }
            });
        }
    }
}
