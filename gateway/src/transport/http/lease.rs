//! How long a connection may speak HTTP, and whose slot it has meanwhile.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::public::Public;
use super::slots::Slot;
use crate::transport::shard::wire::Over;

/// For all that a connection does before it is a WebSocket or a stream, or between requests of a session, reading its
/// answers included.
const HTTP_WITHIN: Duration = Duration::from_secs(60);

/// For the rest of a stream's body, once its session is over.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What an HTTP connection has as long as it is no stream: a slot, and a bound on its time.
pub(in crate::transport) struct Lease {
    /// Where the socket comes from.
    peer: IpAddr,
    held: Mutex<Held>,
    stream: OnceLock<Over>,
    changed: Notify,
    socket: Weak<TcpStream>,
}

struct Held {
    slot: Option<Slot>,
    /// When its time is over; while a session is waited for, that ends it.
    until: Option<Instant>,
}

impl Lease {
    pub(super) fn new(peer: IpAddr, slot: Slot, socket: Weak<TcpStream>) -> Self {
        let held = Held {
            slot: Some(slot),
            until: Some(Instant::now() + HTTP_WITHIN),
        };
        Self {
            peer,
            held: Mutex::new(held),
            stream: OnceLock::new(),
            changed: Notify::new(),
            socket,
        }
    }

    /// The rest of the connection is a stream, which counts as a connection of the gateway: it lasts as long as its session.
    pub(in crate::transport) fn stream(&self, over: Over) {
        let slot = self.held().slot.take();
        drop(slot);
        let _ = self.stream.set(over); // a connection has one: it ends with it
        self.changed.notify_one();
    }

    /// A session has asked for something by it: it may go on for as long again.
    pub(in crate::transport) fn renew(&self) {
        self.held().until = Some(Instant::now() + HTTP_WITHIN);
        self.changed.notify_one();
    }

    /// A request waits for what its session has to tell, and may do so for as long as there is one. Meanwhile the session's
    /// own place counts the socket, and somebody else may have the slot.
    pub(in crate::transport) fn wait(&self) {
        let mut held = self.held();
        held.until = None;
        let slot = held.slot.take();
        drop(held);
        drop(slot);
        self.changed.notify_one();
    }

    /// The same of a session that lives on another gateway, which has no place here.
    pub(in crate::transport) fn wait_elsewhere(&self) {
        self.held().until = None;
        self.changed.notify_one();
    }

    /// It waits no longer. Gives whether there is a slot for further requests; without one the connection is to end with
    /// the answer.
    pub(in crate::transport) fn waited(&self, public: &Public) -> bool {
        let slot = public.slots.take(public.connections());
        let slot = slot.and_then(|slot| public.wait(slot, self.peer));
        let has_slot = slot.is_some();
        self.held().slot = slot;
        self.renew();
        has_slot
    }

    /// Returns when the connection has had its time.
    pub(super) async fn run_out(&self) {
        loop {
            if let Some(over) = self.stream.get() {
                return tokio::select! {
                    () = over.wait() => sleep(LAST_WORDS).await,
                    () = self.left() => {}
                };
            }
            let until = self.held().until;
            let out = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.changed.notified() => {}
                () = out => return,
            }
        }
    }

    /// Returns when the client has closed its end. HTTP does not look while an answer goes out, for clients that have said all
    /// and wait for it; but a stream has no end to wait for, and no client that polls does so.
    pub(in crate::transport) async fn left(&self) {
        if let Some(socket) = self.socket.upgrade()
            && let Ok(ready) = socket.ready(Interest::READABLE).await
            && !ready.is_read_closed()
        {
            std::future::pending().await // it has sent more, which nobody reads
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::FutureExt;
    use tokio::time::advance;

    use super::super::slots::Slots;
    use super::*;

    fn lease() -> Lease {
        let slot = Slots::new(0).take(0).unwrap();
        Lease::new(IpAddr::V4(Ipv4Addr::LOCALHOST), slot, Weak::new())
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_has_its_time_anew_with_each_request_of_a_session() {
        let lease = lease();
        let mut out = std::pin::pin!(lease.run_out());
        assert!(out.as_mut().now_or_never().is_none());
        advance(HTTP_WITHIN - Duration::from_secs(1)).await;
        lease.renew();
        advance(HTTP_WITHIN - Duration::from_secs(1)).await;
        assert!(out.as_mut().now_or_never().is_none());
        advance(Duration::from_secs(2)).await;
        assert!(out.as_mut().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_waits_has_no_slot_and_no_end() {
        let lease = lease();
        lease.wait();
        assert!(lease.held().slot.is_none());
        let mut out = std::pin::pin!(lease.run_out());
        assert!(out.as_mut().now_or_never().is_none());
        advance(10 * HTTP_WITHIN).await;
        assert!(out.as_mut().now_or_never().is_none());
        lease.renew();
        assert!(out.as_mut().now_or_never().is_none());
        advance(HTTP_WITHIN).await;
        assert!(out.as_mut().now_or_never().is_some());
    }
}
