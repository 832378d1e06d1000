//! Accepting: the listener is in every shard's epoll, exclusively and level-triggered, so that the
//! kernel wakes one shard that has time, and a busy one leaves newcomers to the others. Each keeps
//! what it accepts unless it has clearly more connections than another.
//!
//! Where one shard is beside a remote broker, it alone watches the listener while it has few
//! connections; then it calls the others, and one of those that finds it with few again leaves.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use mio::Token;
use rustix::event::epoll;

use super::arrival::Caller;
use super::handle::Peers;
use super::state::Shard;

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
    /// Whether the others look at the door too.
    called: bool,
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
            called: false,
        });
        if !self.leaves_newcomers() {
            self.watch_door(true);
        }
    }

    /// Watches the listener, if this shard has one. What waits there already is told again.
    pub(super) fn resume_accepting(&mut self) {
        if let Some(accepting) = &mut self.accepting
            && self.bell.is_shared()
        {
            accepting.called = false; // another may have left
        }
        self.watch_door(false);
        self.watch_door(true);
    }

    /// Whether newcomers are another's for now.
    fn leaves_newcomers(&self) -> bool {
        let accepting = self.accepting.as_ref();
        !self.bell.is_shared()
            && accepting.is_some_and(|accepting| accepting.peers.leave_newcomers_to_one())
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
        let own = self.load();
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
        if self.leaves_newcomers() {
            self.watch_door(false);
            if let Some(accepting) = &self.accepting {
                accepting.peers.call_one_beside();
            }
            return;
        }
        if self.bell.is_shared()
            && self.load() > 0
            && let Some(accepting) = &mut self.accepting
            && !std::mem::replace(&mut accepting.called, true)
        {
            accepting.peers.call_others();
            return;
        }
        let own = self.load();
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
