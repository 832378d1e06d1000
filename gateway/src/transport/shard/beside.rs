//! The loop of a shard that shares its thread with the tasks of a broker: what one hands to the other costs no change of
//! threads. The runtime's epoll watches the shard's, so whatever happens on a socket of either wakes the thread once.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use mio::Events;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::yield_now;
use tokio::time::sleep_until;

use super::event_loop::Look;
use super::handle::Bell;
use super::state::Shard;

/// Sockets, and as many commands, that a turn takes here: beyond about as long as a slice of a fan-out the broker's tasks
/// must not wait, or live messages would stand behind all of a crowd that comes at once.
pub(super) const PER_TURN: usize = 64;
/// So many turns for commands alone, which other threads may send without end, before all else is looked at.
const RESTS: u32 = 16;

impl Shard {
    /// Runs until all handles are gone, as a task of the runtime whose thread it shares.
    ///
    /// # Errors
    /// When its sockets can't be watched.
    pub async fn run_beside(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(PER_TURN);
        // SAFETY: the descriptor is that of the `Poll` that this shard owns and that outlives the call.
        let epoll = rustix::io::dup(unsafe { BorrowedFd::borrow_raw(self.poll.as_raw_fd()) })?;
        // SAFETY: it owns that descriptor, so nobody else closes it.
        let sockets = unsafe { AsyncFd::register_with_interest(epoll, Interest::READABLE) }?;
        let bell = self.bell.clone();
        // The runtime is told of changes only: whether the shard's epoll had more than one look could take.
        let mut more = false;
        let mut rests = 0;
        loop {
            let timeout = self.timeout();
            let look = if more || rests >= RESTS || timeout == Some(Duration::ZERO) {
                yield_now().await; // the tasks of the broker have their turn, and what has come is heard
                Look::Sockets(Some(Duration::ZERO))
            } else {
                let due = timeout.map(|timeout| Instant::now() + timeout);
                tokio::select! {
                    biased;
                    ready = sockets.readable() => {
                        ready?.clear_ready(); // what comes from here on is another change
                        Look::Sockets(Some(Duration::ZERO))
                    }
                    () = rung(&bell) => Look::Rest,
                    () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => Look::Rest,
                }
            };
            rests = if look == Look::Rest { rests + 1 } else { 0 };
            if !self.turn(&mut events, look)? {
                return Ok(());
            }
            // The door stays ready for as long as somebody is there, which is no change.
            more = self.knocked || events.iter().count() >= PER_TURN;
        }
    }
}

async fn rung(bell: &Bell) {
    match bell {
        Bell::Task(task) => task.notified().await,
        Bell::Epoll(_) => std::future::pending().await,
    }
}
