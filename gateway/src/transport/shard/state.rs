//! What a shard has: its connections and all that its turns need, from the start on.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use mio::{Poll, Token, Waker};
use slab::Slab;
use tokio::sync::Notify;

use super::accepting::Accepting;
use super::arrival::Arrival;
use super::backlog::QueueMemory;
use super::closing::CloseLines;
use super::command::Command;
use super::connection::Connection;
use super::handle::{Bell, ShardHandle};
use super::rooms::Rooms;
use super::wheel::{Entry, Wheel};
use crate::auth::Tokens;
use crate::config::Channel;
use crate::handler;
use crate::hub::{self, Address, HubHandle};
use crate::metrics::ShardMetrics;
use crate::transport::websocket::deflate::{Deflater, Inflater};

/// The waker's token; connections have their slot.
pub(super) const WAKER: Token = Token(usize::MAX);
/// Bytes read from one socket at once.
pub(super) const SCRATCH: usize = 64 * 1024;

/// One event loop and the connections that it owns.
pub struct Shard {
    pub(super) number: u16,
    pub(super) gateway: Arc<str>,
    pub(super) channel: Arc<Channel>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) hub: HubHandle,
    /// The way to the channel's handler.
    pub(super) handler: Option<handler::Handle>,
    pub(super) memory: Arc<QueueMemory>,
    pub(super) metrics: Arc<ShardMetrics>,
    pub(super) poll: Poll,
    pub(super) wheel: Wheel,
    pub(super) started: Instant,
    pub(super) connections: Slab<Connection>,
    pub(super) arrivals: Slab<Arrival>,
    /// Arrivals that have something to read and wait for the next turn.
    pub(super) unheard: VecDeque<u32>,
    /// Arrivals that were heard in this turn.
    pub(super) heard: usize,
    pub(super) accepting: Option<Accepting>,
    generations: u32,
    pub(super) rooms: Rooms,
    /// Requests for the hub, sent once per turn.
    pub(super) outbox: Vec<hub::Command>,
    /// Frames for `out_slot` that have not been written yet.
    pub(super) out: Vec<u8>,
    pub(super) out_slot: Option<u32>,
    /// What is read from a socket goes here first.
    pub(super) scratch: Box<[u8]>,
    /// There once a compressed message has come.
    pub(super) inflater: Option<Inflater>,
    pub(super) deflater: Deflater,
    /// Sockets that had more to read than one turn takes.
    pub(super) unread: VecDeque<u32>,
    /// Connections that a write has left with a backlog, or broken.
    pub(super) troubled: Vec<u32>,
    /// Connections with a backlog.
    pub(super) waiting: HashSet<u32>,
    /// When the gateway's last connection must be gone, once it drains.
    pub(super) draining_until: Option<u32>,
    pub(super) commands: Receiver<Command>,
    pub(super) bell: Arc<Bell>,
    pub(super) woken: Arc<AtomicBool>,
    open: Arc<AtomicUsize>,
    arriving: Arc<AtomicUsize>,
    queued: Arc<AtomicUsize>,
    /// Connections that are to move away.
    pub(super) moving: Arc<AtomicUsize>,
    pub(super) more_commands: bool,
    /// Whether this shard left the hub with something to do.
    pub(super) hub_is_left: bool,
    pub(super) due: Vec<Entry>,
    /// Whether somebody was at the door in the turn before.
    pub(super) knocked: bool,
    pub(super) close_lines: CloseLines,
}

/// Where a shard runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thread {
    /// On one of its own: [`Shard::run`].
    Own,
    /// Beside other tasks of a runtime: [`Shard::run_beside`].
    Shared,
}

impl Shard {
    /// A shard without connections, and the handle to it.
    pub fn new(
        number: u16,
        gateway: Arc<str>,
        channel: Arc<Channel>,
        tokens: Arc<Tokens>,
        hub: HubHandle,
        memory: Arc<QueueMemory>,
        thread: Thread,
    ) -> io::Result<(Self, ShardHandle)> {
        let poll = Poll::new()?;
        let bell = Arc::new(match thread {
            Thread::Own => Bell::Epoll(Waker::new(poll.registry(), WAKER)?),
            Thread::Shared => Bell::Task(Notify::new()),
        });
        let (sender, commands) = self::channel();
        let woken = Arc::<AtomicBool>::default();
        let [open, arriving, queued, moving] = [(); 4].map(|()| Arc::<AtomicUsize>::default());
        let metrics = Arc::new(ShardMetrics::default());
        let handle = ShardHandle::new(
            sender,
            bell.clone(),
            woken.clone(),
            [&open, &arriving, &queued, &moving].map(Arc::clone),
            metrics.clone(),
        );
        let started = Instant::now();
        let shard = Self {
            number,
            gateway,
            channel,
            tokens,
            hub,
            handler: None,
            memory,
            metrics,
            poll,
            wheel: Wheel::new(started),
            started,
            connections: Slab::new(),
            arrivals: Slab::new(),
            unheard: VecDeque::new(),
            heard: 0,
            accepting: None,
            generations: 0,
            rooms: Rooms::default(),
            outbox: Vec::new(),
            out: Vec::new(),
            out_slot: None,
            scratch: vec![0; SCRATCH].into(),
            inflater: None,
            deflater: Deflater::default(),
            unread: VecDeque::new(),
            troubled: Vec::new(),
            waiting: HashSet::new(),
            draining_until: None,
            commands,
            bell,
            woken,
            open,
            arriving,
            queued,
            moving,
            more_commands: false,
            hub_is_left: false,
            due: Vec::new(),
            knocked: false,
            close_lines: CloseLines::new(),
        };
        Ok((shard, handle))
    }

    /// The same with a way to the channel's handler, where it has one.
    #[must_use]
    pub fn with_handler(mut self, handler: handler::Handle) -> Self {
        self.handler = Some(handler);
        self
    }

    /// Where a connection lives.
    pub(super) fn address(&self, slot: u32, generation: u32) -> Address {
        Address {
            shard: self.number,
            slot,
            generation,
        }
    }

    /// The slot of a connection that is still there.
    pub(super) fn find(&self, address: Address) -> Option<u32> {
        let connection = self.connections.get(address.slot as usize)?;
        (connection.generation == address.generation).then_some(address.slot)
    }

    /// What tells the next user of a slot apart from those before.
    pub(super) fn next_generation(&mut self) -> u32 {
        self.generations = self.generations.wrapping_add(1);
        self.generations
    }

    /// A socket counts as a connection from now on.
    pub(super) fn count(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// A socket that was counted does not count any more.
    pub(super) fn uncount(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Sockets that this shard has, or that are on their way to it, as far as they count.
    pub(super) fn load(&self) -> usize {
        let sockets = self.open.load(Ordering::Relaxed) + self.arriving.load(Ordering::Relaxed);
        self.bell.load(sockets)
    }

    /// A socket is an arrival from now on.
    pub(super) fn arriving(&self) {
        self.arriving.fetch_add(1, Ordering::Relaxed);
    }

    /// An arrival has become something else.
    pub(super) fn left(&self) {
        self.arriving.fetch_sub(1, Ordering::Relaxed);
    }

    /// Milliseconds of the shard's clock.
    pub(super) fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// A connection has ended.
    pub(super) fn forget(&mut self, slot: u32) {
        if let Some(connection) = self.connections.try_remove(slot as usize) {
            self.hub.directory().remove(connection.session.connection());
            self.waiting.remove(&slot);
            if self.out_slot == Some(slot) {
                self.out_slot = None;
                self.out.clear();
            }
            self.uncount();
            if connection.moving.is_some() {
                self.moving.fetch_sub(1, Ordering::Relaxed);
            }
            self.metrics.connections.set(self.connections.len() as u64);
            self.metrics.transports[connection.link.transport() as usize].subtract(1);
        }
    }

    /// A queued command of that many bytes is done.
    pub(super) fn taken(&self, weight: usize) {
        self.queued.fetch_sub(weight, Ordering::Relaxed);
    }
}
