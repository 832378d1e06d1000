//! The loop of one shard: one that has its thread for itself waits in its own epoll, one that shares it in
//! [`beside`](super::beside).

use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use slab::Slab;
use tokio::sync::Notify;

use super::accepting::{Accepting, DOOR, DOOR_TIMER};
use super::arrival::Arrival;
use super::backlog::QueueMemory;
use super::beside::PER_TURN;
use super::command::Command;
use super::connection::Connection;
use super::handle::{Bell, ShardHandle};
use super::rooms::{Item, Rooms};
use super::wheel::{Entry, Wheel};
use crate::auth::Tokens;
use crate::config::Channel;
use crate::hub::{self, Address, HubHandle};
use crate::metrics::ShardMetrics;
use crate::transport::websocket::deflate::{Deflater, Inflater};

/// The waker's token; connections have their slot.
const WAKER: Token = Token(usize::MAX);
/// Sockets that one look at them tells of.
const EVENTS: usize = 1024;
/// Bytes read from one socket at once.
const SCRATCH: usize = 64 * 1024;
/// Commands taken per turn.
const COMMANDS_PER_TURN: usize = 1024;

/// One event loop and the connections that it owns.
pub struct Shard {
    pub(super) number: u16,
    pub(super) gateway: Arc<str>,
    pub(super) channel: Arc<Channel>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) hub: HubHandle,
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
    pub(super) inflater: Inflater,
    pub(super) deflater: Deflater,
    /// Sockets that had more to read than one turn takes.
    pub(super) unread: VecDeque<u32>,
    /// Connections that a write has left with a backlog, or broken.
    pub(super) troubled: Vec<u32>,
    /// Connections with a backlog.
    pub(super) waiting: HashSet<u32>,
    /// When the gateway's last connection must be gone, once it drains.
    pub(super) draining_until: Option<u32>,
    commands: Receiver<Command>,
    pub(super) bell: Arc<Bell>,
    woken: Arc<AtomicBool>,
    open: Arc<AtomicUsize>,
    arriving: Arc<AtomicUsize>,
    queued: Arc<AtomicUsize>,
    /// Connections that are to move away.
    pub(super) moving: Arc<AtomicUsize>,
    more_commands: bool,
    /// Whether this shard left the hub with something to do.
    hub_is_left: bool,
    due: Vec<Entry>,
    /// Whether somebody was at the door in the turn before.
    pub(super) knocked: bool,
}

/// How much a turn looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// At sockets that have something, and at all else.
    Sockets(Option<Duration>),
    /// At all but sockets: none has anything new.
    Rest,
}

/// Where a shard runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thread {
    /// On one of its own: [`Shard::run`].
    Own,
    /// Beside other tasks of a runtime: [`Shard::run_beside`](Shard::run_beside).
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
            inflater: Inflater::new(),
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
        };
        Ok((shard, handle))
    }

    /// Runs until all handles are gone.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let look = Look::Sockets(self.timeout());
            if !self.turn(&mut events, look)? {
                return Ok(());
            }
        }
    }

    /// Takes one turn; gives whether there will be another.
    pub(super) fn turn(&mut self, events: &mut Events, look: Look) -> io::Result<bool> {
        events.clear();
        if let Look::Sockets(timeout) = look
            && let Err(error) = self.poll.poll(events, timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            return Err(error);
        }
        // The clock moves before anything is stamped with it; what is due waits until sockets
        // were read, so that a sign of life counts that came while this thread was held up.
        self.wheel.advance(Instant::now(), &mut self.due);
        let mut knocked = false;
        self.heard = 0;
        for _ in 0..self.unheard.len() {
            if let Some(slot) = self.unheard.pop_front() {
                self.hear(slot);
            }
        }
        for event in &*events {
            match event.token() {
                WAKER => continue,
                DOOR => {
                    knocked = true;
                    continue;
                }
                _ => {}
            }
            let slot = event.token().0 as u32;
            if Self::is_arrival(slot) {
                self.hear(slot);
                continue;
            }
            if event.is_writable() {
                self.flush_backlog(slot);
            }
            if event.is_readable() || event.is_error() {
                self.read(slot);
            }
        }
        for _ in 0..self.unread.len() {
            if let Some(slot) = self.unread.pop_front() {
                self.read(slot);
            }
        }
        if knocked {
            self.accept(self.knocked); // after those who are in already
        }
        self.knocked = knocked;
        self.flush_out();
        self.send_outbox();
        if !self.take_commands() {
            return Ok(false);
        }
        self.look_at_due();
        self.fan_out_slice();
        self.flush_out();
        self.send_outbox();
        Ok(true)
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
        }
    }

    /// A queued command of that many bytes is done.
    pub(super) fn taken(&self, weight: usize) {
        self.queued.fetch_sub(weight, Ordering::Relaxed);
    }

    /// How long nothing needs to be done unless something comes.
    pub(super) fn timeout(&self) -> Option<Duration> {
        if self.rooms.has_work()
            || self.more_commands
            || self.hub_is_left
            || !self.unread.is_empty()
            || !self.unheard.is_empty()
        {
            return Some(Duration::ZERO);
        }
        self.wheel.timeout(Instant::now())
    }

    fn take_commands(&mut self) -> bool {
        self.woken.swap(false, Ordering::AcqRel);
        self.more_commands = false;
        let most = match self.bell.is_shared() {
            true => PER_TURN,
            false => COMMANDS_PER_TURN,
        };
        for _ in 0..most {
            match self.commands.try_recv() {
                Ok(command) => self.command(command),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        self.more_commands = true;
        true
    }

    fn command(&mut self, command: Command) {
        let weight = command.weight();
        match command {
            Command::Messages(batch) => {
                let room = batch.room().clone();
                return self.in_room_order(&room, Item::Messages(batch)); // done when all members have it
            }
            Command::Listen(door, peers) => self.listen_at(door, peers),
            Command::Resume => self.resume_accepting(),
            Command::Arrive(socket, caller) => self.take_over(socket, caller),
            Command::Deliver(delivery) => self.deliver(delivery),
            Command::Adopt(connection) => self.adopt(*connection),
            Command::Configure(channel, _waits) => self.configure(channel),
            Command::Revoked => self.cut_revoked(),
            Command::Drain(window) => self.drain(window),
            Command::Thin(thinning, told) => {
                let moving = self.thin(thinning);
                let _ = told.send(moving); // who asked may have gone
            }
            Command::Slow(most, answer) => drop(answer.send(self.slowest(most))),
        }
        self.taken(weight);
    }

    fn send_outbox(&mut self) {
        if !self.outbox.is_empty() {
            // This loop looks at its commands next: the hub need not wake it.
            self.woken.store(true, Ordering::Release);
            self.more_commands = true;
            let commands = std::mem::take(&mut self.outbox);
            self.hub_is_left = self.hub.send(commands, Instant::now());
        } else if self.hub_is_left {
            self.hub_is_left = self.hub.work();
        }
    }

    fn look_at_due(&mut self) {
        if self.due.is_empty() {
            return;
        }
        let mut due = std::mem::take(&mut self.due);
        for (slot, generation) in due.drain(..) {
            if slot == DOOR_TIMER {
                self.resume_accepting();
            } else if Self::is_arrival(slot) {
                self.lose_patience(slot, generation);
            } else {
                self.look_at(slot, generation);
            }
        }
        self.look_at_waiting();
        self.due = due;
    }
}
