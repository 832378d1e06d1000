//! Accepting: the listener is in every shard's epoll, exclusively and level-triggered, so that the
//! kernel wakes one shard that has time, and a busy one leaves newcomers to the others. Each keeps
//! what it accepts unless it has clearly more connections than another.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use mio::Token;
use rustix::event::epoll;

use super::arrival::Caller;
use super::event_loop::Shard;
use super::handle::Peers;

/// The listener's token.
pub(super) const DOOR: Token = Token(usize::MAX - 1);
/// The listener's entry in the timer wheel.
pub(super) const DOOR_TIMER: u32 = u32::MAX;
/// Most newcomers of one turn, where they come in crowds.
const NEWCOMERS_PER_TURN: usize = 16;
/// After files or memory ran out, in ticks.
const PAUSE: u32 = 1;

/// What newcomers come through.
pub trait Door: Send + Sync {
    /// What becomes readable when somebody comes.
    fn listener(&self) -> BorrowedFd<'_>;

    /// Lets one in.
    fn answer(&self) -> Knock;
}

/// What was at the door.
pub enum Knock {
    /// A newcomer.
    Came(mio::net::TcpStream, Box<dyn Caller>),
    /// One that was not let in; others may wait.
    TurnedAway,
    /// Nobody, any more.
    Nobody,
    /// It stays shut until [`super::Shards::resume`].
    Full,
    /// Files or memory ran out: it stays shut for a moment.
    Failed,
}

/// A shard's view of the door.
pub(super) struct Accepting {
    door: Arc<dyn Door>,
    peers: Peers,
    watched: bool,
}

/// So many connections more than another shard has are no reason to do anything.
fn slack(fewest: usize) -> usize {
    4 + fewest / 16
}

impl Shard {
    /// Accepts from now on.
    pub(super) fn listen_at(&mut self, door: Arc<dyn Door>, peers: Peers) {
        self.accepting = Some(Accepting {
            door,
            peers,
            watched: false,
        });
        self.resume_accepting();
    }

    /// Watches the listener, if this shard has one and does not watch it.
    pub(super) fn resume_accepting(&mut self) {
        self.watch_door(true);
    }

    /// Somebody is at the door, and maybe a crowd. One alone is not looked behind: to find nobody would be a system call
    /// for nothing, and the door tells again if there is somebody.
    pub(super) fn accept(&mut self, crowd: bool) {
        let looks = if crowd { NEWCOMERS_PER_TURN } else { 1 };
        for _ in 0..looks {
            let Some(accepting) = &self.accepting else {
                return;
            };
            match accepting.door.answer() {
                Knock::Came(socket, caller) => self.admit(socket, caller),
                Knock::TurnedAway => {}
                Knock::Nobody => break,
                Knock::Full => return self.watch_door(false),
                Knock::Failed => {
                    let until = self.wheel.now() + PAUSE;
                    self.wheel.insert(until, (DOOR_TIMER, 0));
                    return self.watch_door(false);
                }
            }
        }
        self.give_way();
    }

    /// Keeps a newcomer, or gives it to a shard that has clearly fewer: a change of threads costs
    /// more than a small difference.
    fn admit(&mut self, socket: mio::net::TcpStream, caller: Box<dyn Caller>) {
        let own = self.sockets();
        let mut newcomer = Some((socket, caller));
        if let Some(accepting) = &self.accepting {
            accepting.peers.with_fewest(|shard, fewest| {
                if own > fewest + slack(fewest)
                    && let Some((socket, caller)) = newcomer.take()
                {
                    shard.arrive(socket, caller);
                }
            });
        }
        if let Some((socket, caller)) = newcomer {
            self.arriving();
            self.arrive(socket, caller);
        }
    }

    /// The kernel wakes the first in line: one that has more connections than another goes to its end.
    fn give_way(&mut self) {
        let own = self.sockets();
        let fewest = self
            .accepting
            .as_ref()
            .and_then(|accepting| accepting.peers.with_fewest(|_, fewest| fewest));
        if fewest.is_some_and(|fewest| own > fewest + slack(fewest) / 2) {
            self.watch_door(false);
            self.watch_door(true);
        }
    }

    fn watch_door(&mut self, watch: bool) {
        let Some(accepting) = &mut self.accepting else {
            return;
        };
        if accepting.watched == watch {
            return;
        }
        // SAFETY: the descriptor is that of the `Poll` that this shard owns and that outlives the call.
        let poll = unsafe { BorrowedFd::borrow_raw(self.poll.as_raw_fd()) };
        let listener = accepting.door.listener();
        let outcome = match watch {
            true => {
                let flags = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
                epoll::add(
                    poll,
                    listener,
                    epoll::EventData::new_u64(DOOR.0 as u64),
                    flags,
                )
            }
            false => epoll::delete(poll, listener),
        };
        match outcome {
            Ok(()) => accepting.watched = watch,
            Err(error) => {
                let error = io::Error::from(error);
                tracing::error!(%error, "the listener can't be watched");
            }
        }
    }
}
