//! What lies between a shard and the owner of a wire.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{Notify, Semaphore};

use super::super::backlog::Chunk;
use crate::hub::Address;

/// Bytes that lie ready for the owner before the rest waits at the shard, as the unsent part of a socket's buffer does. The
/// last buffer may reach beyond it.
pub(super) const READY: usize = 16 * 1024;

/// Frames of an owner that the shard may have left unheard before the owner waits.
pub(super) const UNHEARD: usize = 16;

/// Shared by a shard and an owner.
#[derive(Debug)]
pub struct Pipe {
    ready: Mutex<Ready>,
    /// Something was laid there, or nothing will be any more.
    pub(super) filled: Notify,
    /// A place for each frame that the shard may have left unheard. Closed when the shard has let go.
    pub(super) places: Semaphore,
    /// The shard has let go.
    pub(super) ended: Notify,
    /// Where the connection lives; set before any input of the owner is looked at.
    pub(super) home: OnceLock<Address>,
}

#[derive(Debug, Default)]
struct Ready {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    /// Buffers that the owner has taken so far.
    taken: u64,
    /// The shard has something that found no place.
    refused: bool,
    /// The shard has let go.
    ended: bool,
}

/// What the owner finds.
pub(super) enum Taken {
    Chunk {
        chunk: Chunk,
        /// Whether the shard waits to lay down more.
        wanted: bool,
    },
    Nothing,
    /// Nothing, for good.
    Ended,
}

impl Pipe {
    pub(in super::super) fn new() -> Self {
        Self {
            ready: Mutex::default(),
            filled: Notify::new(),
            places: Semaphore::new(UNHEARD),
            ended: Notify::new(),
            home: OnceLock::new(),
        }
    }

    /// Lays a buffer down, whole, unless too much lies there; then the shard is told when it may try again.
    pub(super) fn offer(&self, chunk: &Chunk) -> bool {
        let mut ready = self.ready();
        if ready.bytes >= READY {
            ready.refused = true;
            return false;
        }
        chunk.count();
        ready.bytes += chunk.bytes().len();
        ready.chunks.push_back(chunk.clone());
        drop(ready);
        self.filled.notify_one();
        true
    }

    pub(super) fn take(&self) -> Taken {
        let mut ready = self.ready();
        let Some(chunk) = ready.chunks.pop_front() else {
            return match ready.ended {
                true => Taken::Ended,
                false => Taken::Nothing,
            };
        };
        ready.bytes -= chunk.bytes().len();
        ready.taken += 1;
        let wanted = ready.refused && ready.bytes <= READY / 2;
        if wanted {
            ready.refused = false;
        }
        Taken::Chunk { chunk, wanted }
    }

    /// How many bytes lie there, and how many buffers were taken so far.
    pub(super) fn level(&self) -> (usize, u64) {
        let ready = self.ready();
        (ready.bytes, ready.taken)
    }

    /// The shard lets go. What lies there can still be taken.
    pub(super) fn end(&self) {
        self.ready().ended = true;
        self.places.close();
        self.filled.notify_one();
        self.ended.notify_waiters();
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ready().ended
    }

    fn ready(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
