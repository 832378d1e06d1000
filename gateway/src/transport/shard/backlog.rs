//! What waits for a client that takes no more for now, bounded per connection and over all.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Most pieces that one system call writes.
const PIECES_PER_WRITE: usize = 64;

/// Memory of all backlogs of the gateway; buffers that many backlogs share count once.
#[derive(Debug)]
pub struct QueueMemory {
    used: AtomicUsize,
    limit: AtomicUsize,
    /// The largest backlog of each shard, in bytes, as it last looked.
    largest: Box<[AtomicUsize]>,
}

impl QueueMemory {
    /// Nothing waits yet.
    pub fn new(limit: usize, shards: usize) -> Self {
        let largest = (0..shards).map(|_| AtomicUsize::new(0)).collect();
        Self {
            used: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            largest,
        }
    }

    /// Bytes that wait.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// `limits.queueMemory`.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Applies a new `limits.queueMemory`.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Whether backlogs must go.
    pub fn is_over(&self) -> bool {
        self.used() > self.limit()
    }

    /// Tells a shard's largest backlog; gives whether no other shard has a larger one.
    pub fn is_largest(&self, shard: usize, bytes: usize) -> bool {
        self.largest[shard].store(bytes, Ordering::Relaxed);
        self.largest
            .iter()
            .all(|other| other.load(Ordering::Relaxed) <= bytes)
    }
}

/// Encoded frames that many connections may share. Counts into [`QueueMemory`] from the first time that one of them
/// cannot take it at once, until the last has.
#[derive(Debug, Clone)]
pub struct Chunk(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bytes: Vec<u8>,
    counted: AtomicBool,
    memory: Arc<QueueMemory>,
}

impl Chunk {
    /// Frames that may have to wait.
    pub fn new(bytes: Vec<u8>, memory: Arc<QueueMemory>) -> Self {
        Self(Arc::new(Shared {
            bytes,
            counted: AtomicBool::new(false),
            memory,
        }))
    }

    /// The frames.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// Counts as memory from now on.
    pub(super) fn count(&self) {
        if !self.0.counted.swap(true, Ordering::Relaxed) {
            self.0
                .memory
                .used
                .fetch_add(self.0.bytes.capacity(), Ordering::Relaxed);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if *self.counted.get_mut() {
            self.memory
                .used
                .fetch_sub(self.bytes.capacity(), Ordering::Relaxed);
        }
    }
}

/// The frames that one connection could not take yet.
#[derive(Debug)]
pub struct Backlog {
    pieces: VecDeque<Chunk>,
    /// Bytes of the first piece that were written.
    written: usize,
    bytes: usize,
    /// When the socket last took something, in ticks of the shard's clock.
    pub moved: u32,
}

impl Backlog {
    /// Begins with the rest of `chunk` after `written` bytes.
    pub fn new(chunk: Chunk, written: usize, now: u32) -> Self {
        chunk.count();
        let bytes = chunk.bytes().len() - written;
        Self {
            pieces: VecDeque::from([chunk]),
            written,
            bytes,
            moved: now,
        }
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds frames.
    pub fn push(&mut self, chunk: Chunk) {
        chunk.count();
        self.bytes += chunk.bytes().len();
        self.pieces.push_back(chunk);
    }

    /// Drops all frames that have not begun to be written.
    pub fn keep_first(&mut self) {
        let keep = usize::from(self.written > 0);
        for piece in self.pieces.drain(keep..) {
            self.bytes -= piece.bytes().len();
        }
    }

    /// Writes until all is written (`true`) or the socket would block.
    pub fn write(&mut self, socket: &mut impl Write, now: u32) -> io::Result<bool> {
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES_PER_WRITE];
            let mut filled = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                let skip = if filled == 0 { self.written } else { 0 };
                *slice = IoSlice::new(&piece.bytes()[skip..]);
                filled += 1;
            }
            match socket.write_vectored(&slices[..filled]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => self.advance(taken, now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Hands pieces over, whole, until none is left (`true`) or one is not taken.
    pub fn hand_over(&mut self, now: u32, take: impl Fn(&Chunk) -> bool) -> bool {
        while let Some(first) = self.pieces.front() {
            let bytes = first.bytes().len();
            if !take(first) {
                return false;
            }
            self.advance(bytes, now);
        }
        true
    }

    /// What waits, where whole pieces only were handed over.
    pub fn into_pieces(self) -> impl Iterator<Item = Chunk> {
        debug_assert!(self.written == 0, "a piece was begun");
        self.pieces.into_iter()
    }

    fn advance(&mut self, taken: usize, now: u32) {
        self.moved = now;
        self.bytes -= taken;
        self.written += taken;
        while let Some(first) = self.pieces.front() {
            if self.written < first.bytes().len() {
                return;
            }
            self.written -= first.bytes().len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a number of bytes per call, then would block.
    struct Narrow {
        takes: VecDeque<usize>,
        got: Vec<u8>,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let take = self
                .takes
                .pop_front()
                .ok_or(io::ErrorKind::WouldBlock)?
                .min(bytes.len());
            self.got.extend_from_slice(&bytes[..take]);
            Ok(take)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn memory() -> Arc<QueueMemory> {
        Arc::new(QueueMemory::new(1000, 1))
    }

    fn chunk(text: &str, memory: &Arc<QueueMemory>) -> Chunk {
        Chunk::new(text.as_bytes().to_vec(), memory.clone())
    }

    #[test]
    fn pieces_leave_in_order_whatever_the_socket_takes() {
        let memory = memory();
        let mut backlog = Backlog::new(chunk("hello", &memory), 2, 0);
        backlog.push(chunk(" world", &memory));
        assert_eq!(backlog.bytes(), 9);
        let mut socket = Narrow {
            takes: VecDeque::from([1, 3, 2]),
            got: Vec::new(),
        };
        assert!(!backlog.write(&mut socket, 7).unwrap());
        assert_eq!((backlog.bytes(), backlog.moved), (4, 7));
        socket.takes.extend([100, 100]);
        assert!(backlog.write(&mut socket, 8).unwrap());
        assert_eq!(socket.got, b"llo world");
    }

    #[test]
    fn a_buffer_that_many_backlogs_share_counts_once_until_the_last_has_written_it() {
        let memory = memory();
        let shared = chunk("0123456789", &memory);
        assert_eq!(memory.used(), 0, "what was written at once never counted");
        let first = Backlog::new(shared.clone(), 0, 0);
        let second = Backlog::new(shared.clone(), 4, 0);
        assert_eq!(memory.used(), 10);
        drop((first, shared));
        assert_eq!(memory.used(), 10);
        drop(second);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn a_frame_that_has_begun_is_kept_when_the_rest_is_dropped() {
        let memory = memory();
        let mut backlog = Backlog::new(chunk("begun", &memory), 1, 0);
        backlog.push(chunk("not begun", &memory));
        backlog.keep_first();
        assert_eq!(backlog.bytes(), 4);
        let mut fresh = Backlog::new(chunk("not begun", &memory), 0, 0);
        fresh.keep_first();
        assert_eq!(fresh.bytes(), 0);
    }
}
