//! Runs the hub on a thread of its own: takes turns of commands, lets the broker answer, sends what came of it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::command::Command;
use super::delivery::Outlet;
use super::directory::Directory;
use super::state::Hub;
use crate::broker::{Broker, Event};
use crate::config::Channel;

/// How often rooms that nobody uses are looked at for messages that are too old.
const EXPIRY: Duration = Duration::from_secs(1);
/// Payload bytes that may wait for the hub; beyond it publishing answers `overloaded`.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// How shards and the configuration reach the hub.
#[derive(Clone)]
pub struct HubHandle {
    turns: UnboundedSender<Input>,
    queued: Arc<AtomicUsize>,
    directory: Arc<Directory>,
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
pub struct Inbox {
    turns: UnboundedReceiver<Input>,
    queued: Arc<AtomicUsize>,
}

/// Makes both ends.
pub fn channel() -> (HubHandle, Inbox) {
    let (sender, receiver) = unbounded_channel();
    let queued = Arc::new(AtomicUsize::new(0));
    (
        HubHandle {
            turns: sender,
            queued: queued.clone(),
            directory: Arc::default(),
        },
        Inbox {
            turns: receiver,
            queued,
        },
    )
}

impl HubHandle {
    /// Hands over what a shard read in one turn.
    pub fn send(&self, commands: Vec<Command>, at: Instant) {
        let weight = commands.iter().map(|command| command.kind.weight()).sum();
        self.queued.fetch_add(weight, Ordering::Relaxed);
        let _ = self.turns.send(Input::Turn {
            commands,
            at,
            weight,
        }); // fails only at the process's end
    }

    /// Where anonymous connections live.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Whether so much waits that publishing must be refused.
    pub fn is_full(&self) -> bool {
        self.queued.load(Ordering::Relaxed) > QUEUE_BYTES
    }

    /// Applies a new configuration.
    pub fn configure(&self, channel: Arc<Channel>) {
        let _ = self.turns.send(Input::Configure(channel)); // fails only at the process's end
    }
}

/// Runs until every handle is gone.
pub async fn run<B: Broker, O: Outlet>(mut hub: Hub<B, O>, mut inbox: Inbox) {
    let mut inputs = Vec::new();
    let mut events = VecDeque::new();
    let mut expiry = tokio::time::interval(EXPIRY);
    expiry.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let deadline = hub.deadline();
        tokio::select! {
            taken = inbox.turns.recv_many(&mut inputs, 64) => if taken == 0 { return },
            () = poll_fn(|context| hub.broker().poll_events(context, &mut events)) => {}
            () = sleep_until(deadline) => {}
            _ = expiry.tick() => hub.expire(),
        }
        let now = Instant::now();
        let first = inputs.iter().find_map(|input| match input {
            Input::Turn { at, .. } => Some(*at),
            Input::Configure(_) => None,
        });
        hub.begin(first.unwrap_or(now));
        for input in inputs.drain(..) {
            match input {
                Input::Turn {
                    commands, weight, ..
                } => {
                    for command in commands {
                        hub.command(command);
                    }
                    inbox.queued.fetch_sub(weight, Ordering::Relaxed);
                }
                Input::Configure(channel) => hub.configure(channel, now),
            }
        }
        take_events(&mut hub, &mut events, now);
        hub.tick(now);
        hub.end();
    }
}

/// Takes what the broker has already, answers to answers included, so that they leave in the same turn.
fn take_events<B: Broker, O: Outlet>(
    hub: &mut Hub<B, O>,
    events: &mut VecDeque<Event>,
    now: Instant,
) {
    let mut context = Context::from_waker(Waker::noop());
    loop {
        while let Some(event) = events.pop_front() {
            hub.event(event, now);
        }
        if hub.broker().poll_events(&mut context, events) == Poll::Pending {
            return;
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
