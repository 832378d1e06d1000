//! How the rest of the gateway reaches the shards.

use std::net::{IpAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender};
use std::sync::{Arc, Weak};
use std::time::Duration;

use linnet_telemetry::Context;
use tokio::sync::{Notify, oneshot};

use super::accepting::Door;
use super::arrival::Caller;
use super::command::Command;
use super::thinning::{Thinning, shares};
use super::wire::{NewWire, Pipe, Plug, Wire};
use crate::auth::Identity;
use crate::config::Channel;
use crate::internal::top::Slow;
use crate::metrics::ShardMetrics;
use crate::protocol::{Handshake, ProtocolIndex};
use crate::transport::address::addresses::Seat;
use crate::transport::{Role, Transport};

/// How long a configuration waits for shards that have not taken it.
const CONFIGURED: Duration = Duration::from_secs(5);

/// A socket whose opening handshake was answered with 101, on its way to a shard.
#[derive(Debug)]
pub struct NewConnection {
    /// The bare socket, non-blocking.
    pub stream: TcpStream,
    /// What the client sent after its handshake already.
    pub early: Vec<u8>,
    /// What the handshake agreed on.
    pub opening: Opening,
}

/// So many sockets go to the shard beside the broker before the others get any: what has a core to spare is quickest where
/// no message changes threads. At ten messages a second each, 64 in one room are 41,000 deliveries a second, which a
/// fifth of a core can do.
const BESIDE_FIRST: usize = 64;

/// What an opening handshake agreed on.
#[derive(Debug)]
pub struct Opening {
    /// The protocol.
    pub protocol: ProtocolIndex,
    /// What the handshake said that later frames refer to.
    pub handshake: Handshake,
    /// JSON text of what the client says of itself.
    pub info: Option<Arc<str>>,
    /// The server's window bits, where permessage-deflate was agreed on.
    pub deflate: Option<u8>,
    /// The client's address.
    pub client: IpAddr,
    /// Its place among the connections of that address.
    pub seat: Seat,
    /// The client's own trace, as its `traceparent` says.
    pub caller: Option<Context>,
    /// What the handshake's token says.
    pub identity: Option<Box<Identity>>,
    /// What tells the service apart whose it is, where it came with an API key.
    pub service: Option<Box<[u8]>>,
}

/// All shards of the gateway.
#[derive(Clone)]
pub struct Shards(Arc<[ShardHandle]>);

impl std::fmt::Debug for Shards {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Shards").field(&self.len()).finish()
    }
}

/// All shards, as one of them sees them: none keeps itself alive.
pub struct Peers(Weak<[ShardHandle]>);

impl Peers {
    /// The shard with the least load, and how much that is.
    pub(super) fn with_fewest<T>(&self, then: impl FnOnce(&ShardHandle, usize) -> T) -> Option<T> {
        let shards = Shards(self.0.upgrade()?);
        let fewest = shards.fewest()?;
        Some(then(fewest, fewest.load()))
    }

    /// Whether the shard beside the broker takes all newcomers still.
    pub(super) fn leave_newcomers_to_one(&self) -> bool {
        self.with_one_beside(|shard| shard.load() == 0)
            .unwrap_or(false)
    }

    /// Makes the shard beside the broker look at the door: another has left it.
    pub(super) fn call_one_beside(&self) {
        self.with_one_beside(|shard| shard.send(Command::Resume));
    }

    /// Makes all others look at the door too.
    pub(super) fn call_others(&self) {
        let shards = self.0.upgrade();
        for shard in shards.iter().flat_map(|shards| shards.iter()) {
            if !shard.bell.is_shared() {
                shard.send(Command::Resume);
            }
        }
    }

    fn with_one_beside<T>(&self, then: impl FnOnce(&ShardHandle) -> T) -> Option<T> {
        let shards = self.0.upgrade()?;
        let beside = shards.iter().find(|shard| shard.bell.is_shared())?;
        Some(then(beside))
    }
}

/// One shard, as others see it.
pub struct ShardHandle {
    commands: Sender<Command>,
    bell: Arc<Bell>,
    /// Whether the shard was woken and has not looked yet: saves a system call per command.
    woken: Arc<AtomicBool>,
    /// Connections that the shard owns or that are on their way to it.
    connections: Arc<AtomicUsize>,
    /// Sockets that the shard has or gets and that have not spoken yet.
    arrivals: Arc<AtomicUsize>,
    /// Bytes of commands that the shard has not taken yet.
    queued: Arc<AtomicUsize>,
    /// Connections that are to move away.
    moving: Arc<AtomicUsize>,
    metrics: Arc<ShardMetrics>,
}

/// What wakes a shard.
pub(super) enum Bell {
    /// Its own epoll.
    Epoll(mio::Waker),
    /// The runtime that it is a task of; from the same thread it costs no system call.
    Task(Notify),
}

impl Bell {
    /// Whether the shard shares its thread.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Task(_))
    }

    /// How much that many sockets count where newcomers are given to shards.
    pub(super) fn load(&self, sockets: usize) -> usize {
        match self {
            Self::Epoll(_) => sockets,
            Self::Task(_) => sockets.saturating_sub(BESIDE_FIRST),
        }
    }

    fn ring(&self) {
        match self {
            Self::Epoll(waker) => {
                let _ = waker.wake(); // an eventfd write fails only when the shard is gone
            }
            Self::Task(task) => task.notify_one(),
        }
    }
}

impl Shards {
    /// The shards whose loops run already.
    pub fn new(handles: Vec<ShardHandle>) -> Self {
        Self(handles.into())
    }

    /// Connections of all shards.
    pub fn connections(&self) -> usize {
        self.0
            .iter()
            .map(|shard| shard.connections.load(Ordering::Relaxed))
            .sum()
    }

    /// Accepts newcomers from now on, on whichever shard has time.
    pub fn listen(&self, door: &Arc<dyn Door>) {
        for shard in self.iter() {
            let peers = Peers(Arc::downgrade(&self.0));
            shard.send(Command::Listen(door.clone(), peers));
        }
    }

    /// Goes on to accept where the door was full.
    pub fn resume(&self) {
        for shard in self.iter() {
            shard.send(Command::Resume);
        }
    }

    /// Gives a socket that HTTP has upgraded to the shard with the fewest.
    pub fn adopt(&self, connection: NewConnection) {
        if let Some(shard) = self.fewest() {
            shard.connections.fetch_add(1, Ordering::Relaxed);
            shard.send(Command::Adopt(Box::new(connection)));
        }
    }

    /// Opens a connection without a socket on the shard with the fewest, and gives the client's end of it.
    #[must_use]
    pub fn plug(&self, opening: Opening, transport: Transport, role: Role) -> Option<Wire> {
        let loads = self.0.iter().map(ShardHandle::load).enumerate();
        let (number, _) = loads.min_by_key(|(_, load)| *load)?;
        let pipe = Arc::new(Pipe::new());
        let plug = Plug::new(Arc::clone(&pipe), transport, role);
        let shard = &self.0[number];
        shard.connections.fetch_add(1, Ordering::Relaxed);
        shard.send(Command::Plug(Box::new(NewWire { opening, plug })));
        Some(Wire::new(pipe, self.clone(), number))
    }

    fn fewest(&self) -> Option<&ShardHandle> {
        self.0.iter().min_by_key(|shard| shard.load())
    }

    /// Applies a new configuration on every shard, and returns when it is in force on all of them; but a shard that is
    /// held up for long is not waited for.
    pub fn configure(&self, channel: &Arc<Channel>) {
        let (applied, awaited) = std::sync::mpsc::channel();
        for shard in self.iter() {
            shard.send(Command::Configure(channel.clone(), applied.clone()));
        }
        drop(applied);
        // Nothing is ever sent: it ends when the last shard has dropped its sender.
        if awaited.recv_timeout(CONFIGURED) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("a shard is held up: the new configuration is in force later");
        }
    }

    /// Looks for connections of users who were revoked, and ends them.
    pub fn revoked(&self) {
        for shard in self.iter() {
            shard.send(Command::Revoked);
        }
    }

    /// Begins to move all connections away, spread over `window`; none is left after it.
    pub fn drain(&self, window: Duration) {
        for shard in self.iter() {
            shard.send(Command::Drain(window));
        }
    }

    /// Connections that are to move away: of a gateway that drains, or that has more than its part.
    pub fn moving(&self) -> usize {
        self.0
            .iter()
            .map(|shard| shard.moving.load(Ordering::Relaxed))
            .sum()
    }

    /// Has connections move away, spread over `window`, until `keep` stay; gives how many are on their way. Asking the
    /// same again moves no more, and asking for more to stay takes back moves that nobody was told of yet.
    pub async fn thin(&self, keep: usize, window: Duration) -> usize {
        let connections = self
            .iter()
            .map(|shard| shard.connections.load(Ordering::Relaxed));
        let shares = shares(keep, &connections.collect::<Vec<_>>());
        let mut answers = Vec::with_capacity(self.len());
        for (shard, keep) in self.iter().zip(shares) {
            let (told, answer) = oneshot::channel();
            shard.send(Command::Thin(Thinning { keep, window }, told));
            answers.push(answer);
        }
        let mut moving = 0;
        for answer in answers {
            moving += answer.await.unwrap_or(0); // a shard that is gone has no connections
        }
        moving
    }

    /// The shards, in order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &ShardHandle> {
        self.0.iter()
    }

    /// The shard of that number.
    pub fn get(&self, shard: usize) -> Option<&ShardHandle> {
        self.0.get(shard)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl ShardHandle {
    pub(super) fn new(
        commands: Sender<Command>,
        bell: Arc<Bell>,
        woken: Arc<AtomicBool>,
        [connections, arrivals, queued, moving]: [Arc<AtomicUsize>; 4],
        metrics: Arc<ShardMetrics>,
    ) -> Self {
        Self {
            commands,
            bell,
            woken,
            connections,
            arrivals,
            queued,
            moving,
            metrics,
        }
    }

    /// Sockets that the shard has, or that are on their way to it, as far as they count.
    fn load(&self) -> usize {
        let arrivals = self.arrivals.load(Ordering::Relaxed);
        self.bell
            .load(self.connections.load(Ordering::Relaxed) + arrivals)
    }

    /// Gives it a socket that was just accepted.
    pub(super) fn arrive(&self, socket: mio::net::TcpStream, caller: Box<dyn Caller>) {
        self.arrivals.fetch_add(1, Ordering::Relaxed);
        self.send(Command::Arrive(socket, caller));
    }

    /// Hands a command over and wakes the shard.
    pub fn send(&self, command: Command) {
        self.push(command);
        self.wake();
    }

    /// Hands a command over without waking: for the hub, which wakes once per batch.
    pub fn push(&self, command: Command) {
        self.queued.fetch_add(command.weight(), Ordering::Relaxed);
        let _ = self.commands.send(command); // a shard that is gone has no connections
    }

    /// Makes the shard look at its commands.
    pub fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.bell.ring();
        }
    }

    /// Asks for so many clients that something waits for.
    pub fn ask_slow(&self, most: usize, answer: Sender<Vec<Slow>>) {
        self.send(Command::Slow(most, answer));
    }

    /// Bytes that the shard has not taken yet.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// What the shard counts.
    pub fn metrics(&self) -> &Arc<ShardMetrics> {
        &self.metrics
    }
}
