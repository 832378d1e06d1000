//! Runs the hub, one turn at a time, on whichever thread has something for it.
//!
//! A shard queues what it has read and takes the hub's turn itself if nobody else has it; else
//! whoever has it takes the queue along. So a command costs no change of threads, and no shard
//! ever waits for another. A thread of the hub's own looks after the clock and the broker.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{Instant as Clock, sleep_until};

use super::command::Command;
use super::delivery::Outlet;
use super::directory::Directory;
use super::state::Hub;
use super::top::{Top, TopRoom};
use crate::broker::{Broker, Event};
use crate::config::Channel;

/// How often the clock is looked at while something waits for it: the precision of collected presence.
const TICK: Duration = Duration::from_millis(50);
/// Between two looks for messages that are too old.
const EXPIRY: Duration = Duration::from_secs(1);
/// Payload bytes that may wait for the hub; beyond it publishing answers `overloaded`.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// Inputs that one turn takes.
const INPUTS_PER_TURN: usize = 64;
/// Turns that a thread takes on behalf of others before it minds its own business.
const TURNS_IN_A_ROW: usize = 16;

/// How shards and the configuration reach the hub.
#[derive(Clone)]
pub struct HubHandle(Arc<Shared>);

struct Shared {
    inputs: Sender<Input>,
    /// Inputs that wait.
    waiting: AtomicUsize,
    /// Bytes that wait with them.
    queued: AtomicUsize,
    directory: Arc<Directory>,
    /// Whether the attendant knows that something waits for the clock.
    ticking: AtomicBool,
    tick: Notify,
    /// The hub, for one thread at a time; set once the shards that it talks to are there.
    hub: OnceLock<Mutex<Box<dyn Drive>>>,
}

/// Something for the hub.
enum Input {
    /// What one shard read in one turn, at that time.
    Turn {
        commands: Vec<Command>,
        at: Instant,
        weight: usize,
    },
    /// A new configuration.
    Configure(Arc<Channel>),
}

/// The hub's end of its handle.
pub struct Inbox(Receiver<Input>);

/// A hub with its broker and outlet, whatever they are.
trait Drive: Send {
    /// Takes what waits, and what is due.
    fn turn(&mut self) -> Turn;
    /// Whether the broker has something.
    fn poll_broker(&mut self, context: &mut Context<'_>) -> Poll<()>;
    /// The largest rooms and users.
    fn top(&self, most: usize) -> Top;
    /// Rooms by name.
    fn rooms(&self, prefix: &str, after: &str, limit: usize) -> (Vec<TopRoom>, bool);
    /// Lets go some of the messages that are too old; gives whether there are more.
    fn expire(&mut self) -> bool;
}

/// What a turn took, and leaves.
struct Turn {
    inputs: usize,
    bytes: usize,
    /// Whether something waits for the clock.
    ticks: bool,
}

struct Driven<B, O> {
    hub: Hub<B, O>,
    inbox: Receiver<Input>,
    inputs: Vec<Input>,
    events: VecDeque<Event>,
    /// Wakes the attendant; a broker remembers the one that it was polled with last, whichever thread that was.
    waker: Waker,
}

/// Makes both ends. What is sent before [`HubHandle::start`] waits.
pub fn handle() -> (HubHandle, Inbox) {
    let (inputs, inbox) = channel();
    let shared = Shared {
        inputs,
        waiting: AtomicUsize::new(0),
        queued: AtomicUsize::new(0),
        directory: Arc::default(),
        ticking: AtomicBool::new(false),
        tick: Notify::new(),
        hub: OnceLock::new(),
    };
    (HubHandle(Arc::new(shared)), Inbox(inbox))
}

impl HubHandle {
    /// Sets the hub going.
    pub fn start<B, O>(&self, hub: Hub<B, O>, inbox: Inbox)
    where
        B: Broker + 'static,
        O: Outlet + Send + 'static,
    {
        let driven = Driven {
            hub,
            inbox: inbox.0,
            inputs: Vec::new(),
            events: VecDeque::new(),
            waker: Waker::noop().clone(),
        };
        let _ = self.0.hub.set(Mutex::new(Box::new(driven))); // the inbox is there only once
        self.work();
    }

    /// Hands over what a shard read in one turn, and takes the hub's turn if nobody has it. Gives
    /// whether something is left, for [`Self::work`] to go on with soon.
    pub fn send(&self, commands: Vec<Command>, at: Instant) -> bool {
        let weight = commands.iter().map(|command| command.kind.weight()).sum();
        self.0.queued.fetch_add(weight, Ordering::Relaxed);
        self.push(Input::Turn {
            commands,
            at,
            weight,
        })
    }

    /// Applies a new configuration.
    pub fn configure(&self, channel: Arc<Channel>) {
        self.push(Input::Configure(channel));
    }

    /// The `most` largest rooms and users. Waits for the hub's turn to end, and delays the next.
    pub fn top(&self, most: usize) -> Top {
        let top = self.lock().map(|hub| hub.top(most));
        self.work(); // what came meanwhile found the hub taken
        top.unwrap_or_default()
    }

    /// See [`Hub::list_rooms`]. Waits as [`Self::top`] does.
    pub fn rooms(&self, prefix: &str, after: &str, limit: usize) -> (Vec<TopRoom>, bool) {
        let rooms = self.lock().map(|hub| hub.rooms(prefix, after, limit));
        self.work(); // what came meanwhile found the hub taken
        rooms.unwrap_or_default()
    }

    /// Where anonymous connections live.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.0.directory
    }

    /// Whether so much waits that publishing must be refused.
    pub fn is_full(&self) -> bool {
        self.0.queued.load(Ordering::Relaxed) > QUEUE_BYTES
    }

    /// Takes the hub's turns while something waits, unless another thread does. Gives whether
    /// something is left.
    pub fn work(&self) -> bool {
        // Pairs with the fence below: of a thread that has queued something and finds the hub
        // taken, and one that gives it back, at least one sees what the other did.
        fence(Ordering::SeqCst);
        let Some(hub) = self.0.hub.get() else {
            return false;
        };
        for _ in 0..TURNS_IN_A_ROW {
            let Ok(mut hub) = hub.try_lock() else {
                return false;
            };
            let turn = hub.turn();
            drop(hub);
            let before = self.took(&turn);
            if turn.ticks && !self.0.ticking.swap(true, Ordering::Relaxed) {
                self.0.tick.notify_one();
            }
            fence(Ordering::SeqCst);
            if before == turn.inputs && self.0.waiting.load(Ordering::Relaxed) == 0 {
                return false;
            }
        }
        true
    }

    /// Looks after the clock and the broker until the process ends.
    pub async fn attend(&self) {
        let mut expiry = Clock::now() + EXPIRY;
        let mut ticks = false;
        loop {
            let now = Clock::now();
            let wake = if ticks {
                expiry.min(now + TICK)
            } else {
                expiry
            };
            tokio::select! {
                () = poll_fn(|context| self.poll_broker(context)) => {}
                () = self.0.tick.notified(), if !ticks => {}
                () = sleep_until(wake) => {}
            }
            if let Some(mut hub) = self.lock() {
                if Clock::now() >= expiry {
                    let more = hub.expire();
                    expiry = Clock::now() + if more { Duration::ZERO } else { EXPIRY };
                }
                let turn = hub.turn();
                ticks = turn.ticks;
                self.0.ticking.store(ticks, Ordering::Relaxed);
                drop(hub);
                self.took(&turn);
            }
            self.work();
        }
    }

    /// Counts what a turn took; gives how many inputs waited before.
    fn took(&self, turn: &Turn) -> usize {
        self.0.queued.fetch_sub(turn.bytes, Ordering::Relaxed);
        self.0.waiting.fetch_sub(turn.inputs, Ordering::Relaxed)
    }

    fn poll_broker(&self, context: &mut Context<'_>) -> Poll<()> {
        match self.lock() {
            Some(mut hub) => hub.poll_broker(context),
            None => Poll::Pending,
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, Box<dyn Drive>>> {
        let hub = self.0.hub.get()?;
        Some(hub.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, input: Input) -> bool {
        self.0.waiting.fetch_add(1, Ordering::Relaxed);
        let _ = self.0.inputs.send(input); // fails only at the process's end
        self.work()
    }
}

impl<B: Broker, O: Outlet + Send> Drive for Driven<B, O> {
    fn turn(&mut self) -> Turn {
        let now = Instant::now();
        self.inputs
            .extend(self.inbox.try_iter().take(INPUTS_PER_TURN));
        let count = self.inputs.len();
        let mut bytes = 0;
        let first = self.inputs.iter().find_map(|input| match input {
            Input::Turn { at, .. } => Some(*at),
            Input::Configure(_) => None,
        });
        self.hub.begin(first.unwrap_or(now));
        for input in self.inputs.drain(..) {
            match input {
                Input::Turn {
                    commands, weight, ..
                } => {
                    bytes += weight;
                    for command in commands {
                        self.hub.command(command);
                    }
                }
                Input::Configure(channel) => self.hub.configure(channel, now),
            }
        }
        take_events(&mut self.hub, &mut self.events, now, &self.waker);
        self.hub.tick(now);
        self.hub.end();
        Turn {
            inputs: count,
            bytes,
            ticks: self.hub.waits_for_clock(),
        }
    }

    fn poll_broker(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.waker.clone_from(context.waker());
        self.hub.broker().poll_events(context, &mut self.events)
    }

    fn top(&self, most: usize) -> Top {
        self.hub.top(most)
    }

    fn rooms(&self, prefix: &str, after: &str, limit: usize) -> (Vec<TopRoom>, bool) {
        self.hub.list_rooms(prefix, after, limit)
    }

    fn expire(&mut self) -> bool {
        self.hub.expire()
    }
}

/// Takes what the broker has already, answers to answers included, so that they leave in the same
/// turn.
fn take_events<B: Broker, O: Outlet>(
    hub: &mut Hub<B, O>,
    events: &mut VecDeque<Event>,
    now: Instant,
    waker: &Waker,
) {
    let mut context = Context::from_waker(waker);
    loop {
        while let Some(event) = events.pop_front() {
            hub.event(event, now);
        }
        if hub.broker().poll_events(&mut context, events) == Poll::Pending {
            return;
        }
    }
}
