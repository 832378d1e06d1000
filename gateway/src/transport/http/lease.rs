//! How long a connection may speak HTTP, and whose slot it has meanwhile.

use std::sync::{Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::slots::Slot;
use crate::transport::shard::wire::Over;

/// For all that a connection does before it is a WebSocket or a stream, reading its answers included.
const HTTP_WITHIN: Duration = Duration::from_secs(60);

/// For the rest of a stream's body, once its session is over.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What an HTTP connection has as long as it is no stream: a slot, and a bound on its time.
pub(in crate::transport) struct Lease {
    slot: Mutex<Option<Slot>>,
    stream: OnceLock<Over>,
    begun: Notify,
    socket: Weak<TcpStream>,
}

impl Lease {
    pub(super) fn new(slot: Slot, socket: Weak<TcpStream>) -> Self {
        Self {
            slot: Mutex::new(Some(slot)),
            stream: OnceLock::new(),
            begun: Notify::new(),
            socket,
        }
    }

    /// The rest of the connection is a stream, which counts as a connection of the gateway: it lasts as long as its session.
    pub(in crate::transport) fn stream(&self, over: Over) {
        let slot = self
            .slot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(slot);
        let _ = self.stream.set(over); // a connection has one: it ends with it
        self.begun.notify_one();
    }

    /// Returns when the connection has had its time.
    pub(super) async fn run_out(&self) {
        let begun = timeout(HTTP_WITHIN, self.begun.notified()).await;
        if let (Ok(()), Some(over)) = (begun, self.stream.get()) {
            tokio::select! {
                () = over.wait() => sleep(LAST_WORDS).await,
                () = self.left() => {}
            }
        }
    }

    /// Returns when the client has closed its end. HTTP does not look while an answer goes out, for clients that have said all
    /// and wait for it; but a stream has no end to wait for.
    async fn left(&self) {
        if let Some(socket) = self.socket.upgrade()
            && let Ok(ready) = socket.ready(Interest::READABLE).await
            && !ready.is_read_closed()
        {
            std::future::pending().await // it has sent more, which nobody reads
        }
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}
