//! Presence on a NATS connection: a task that feeds the state machine and does what it says.
//!
//! Leases are read with a watch of the library, which notices late when it was lost and begins again out of sight. So it
//! is made anew at each connection, and whenever a renewal that the server has confirmed does not show in it.

pub mod bucket;
mod leases;

use std::time::Duration;

use async_nats::{Client, Subject, Subscriber};
use futures_util::StreamExt;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use self::bucket::Bucket;
pub use self::bucket::LeaseError;
use self::leases::{LeaseEvent, Leases};
use super::entry::{Attendee, Incarnation, ProcessId, Topic};
pub use super::state::{Config, Members, News as LinkEvent};
use super::state::{Effect, State};
use crate::broker::nats::subjects::Subjects;
use crate::names::ConnectionId;

/// How long the connection may take a message before the rest of them is dropped; digests heal that.
const PUBLISH: Duration = Duration::from_secs(1);
/// Commands taken in one turn, so that others have theirs.
const TURN: usize = 1024;

/// Starts presence.
#[derive(Debug)]
pub struct Link;

/// The gateway's side of presence. No call waits; after the task has ended they do nothing. Dropping all handles ends it
/// without a goodbye, as a crash does.
#[derive(Debug, Clone)]
pub struct LinkHandle {
    commands: UnboundedSender<Command>,
    view: watch::Receiver<View>,
}

/// What can be asked at any time.
#[derive(Debug, Clone, PartialEq)]
struct View {
    me: Incarnation,
    alive: Vec<Incarnation>,
    lease: Result<(), LeaseError>,
}

enum Command {
    Join(Topic, Attendee),
    Leave(Topic, ConnectionId),
    Watch(Topic),
    Unwatch(Topic),
    Look {
        topic: Topic,
        after: Option<ConnectionId>,
        limit: usize,
        tell: Box<dyn FnOnce(Members) + Send>,
    },
    Drain,
    Goodbye,
}

impl Link {
    /// Spawns the task on the current tokio runtime. `replicas` are those of the bucket of leases where it must be made;
    /// `config.lease` is in whole seconds; `connection` says whether `client` is connected, and changes at each connection
    /// made or lost. What happens in the topics that are watched comes on the receiver; dropping it ends the task.
    pub fn start(
        client: Client,
        subjects: &Subjects,
        replicas: u8,
        config: Config,
        connection: watch::Receiver<bool>,
    ) -> (LinkHandle, UnboundedReceiver<LinkEvent>) {
        let (commands, inbox) = mpsc::unbounded_channel();
        let (events, news) = mpsc::unbounded_channel();
        let process = ProcessId::random();
        let state = State::new(process, config, Duration::ZERO);
        let (view, shown) = watch::channel(View {
            me: state.incarnation(),
            alive: state.alive(),
            lease: Err(LeaseError::Disconnected),
        });
        let bucket = Bucket::new(client.clone(), subjects, replicas, config.lease);
        let task = Task {
            client,
            subjects: subjects.clone(),
            state,
            leases: Leases::new(process, bucket),
            commands: inbox,
            events,
            view,
            start: Instant::now(),
            connection,
            connected: false,
            over: false,
        };
        tokio::spawn(task.run(process));
        let view = shown;
        (LinkHandle { commands, view }, news)
    }
}

impl LinkHandle {
    /// A connection of this gateway is in a topic, or has other facts than before.
    pub fn join(&self, topic: Topic, attendee: Attendee) {
        self.send(Command::Join(topic, attendee));
    }

    /// It is no longer.
    pub fn leave(&self, topic: Topic, connection: ConnectionId) {
        self.send(Command::Leave(topic, connection));
    }

    /// From now on events of this topic come, of all gateways including this one; first, who is there already.
    pub fn watch(&self, topic: Topic) {
        self.send(Command::Watch(topic));
    }

    /// None come any more, but for those on their way. What they told of the topic is void.
    pub fn unwatch(&self, topic: Topic) {
        self.send(Command::Unwatch(topic));
    }

    /// Calls `tell`, which must not wait, with who is in a topic, watched or not: at most `limit` whose connection comes
    /// after `after`.
    pub fn look(
        &self,
        topic: Topic,
        after: Option<ConnectionId>,
        limit: usize,
        tell: impl FnOnce(Members) + Send + 'static,
    ) {
        self.send(Command::Look {
            topic,
            after,
            limit,
            tell: Box::new(tell),
        });
    }

    /// From now on this gateway's connections do not count for their users, on any gateway.
    pub fn drain(&self) {
        self.send(Command::Drain);
    }

    /// This gateway ends: its entries leave everywhere at once. See [`Self::ended`].
    pub fn goodbye(&self) {
        self.send(Command::Goodbye);
    }

    /// Awaits that the task has ended, after a goodbye was sent if there was a connection.
    pub async fn ended(&self) {
        self.commands.closed().await;
    }

    /// All gateways that are not known to be gone, this one included, in order.
    pub fn alive(&self) -> Vec<Incarnation> {
        self.view.borrow().alive.clone()
    }

    /// Which incarnation this gateway is at present.
    pub fn incarnation(&self) -> Incarnation {
        self.view.borrow().me
    }

    /// Whether this gateway holds its lease, and otherwise why not.
    ///
    /// # Errors
    /// What keeps it from holding one. Presence is then still told, but no gateway is taken for dead here.
    pub fn status(&self) -> Result<(), LeaseError> {
        self.view.borrow().lease.clone()
    }

    /// Awaits that one of [`Self::alive`], [`Self::incarnation`] and [`Self::status`] has changed since the last call.
    /// Gives whether the task still runs.
    pub async fn changed(&mut self) -> bool {
        self.view.changed().await.is_ok()
    }

    fn send(&self, command: Command) {
        // Whoever has not noticed yet that the task has ended has nothing to gain from it.
        let _ = self.commands.send(command);
    }
}

struct Task {
    client: Client,
    subjects: Subjects,
    state: State,
    leases: Leases,
    commands: UnboundedReceiver<Command>,
    events: UnboundedSender<LinkEvent>,
    view: watch::Sender<View>,
    /// The origin of the state's time.
    start: Instant,
    connection: watch::Receiver<bool>,
    connected: bool,
    over: bool,
}

impl Task {
    async fn run(mut self, process: ProcessId) {
        let broadcast = Subject::from(self.subjects.presence());
        let inbox = Subject::from(self.subjects.presence_inbox(process));
        let (Ok(mut all), Ok(mut own)) = (
            self.client.subscribe(broadcast.clone()).await,
            self.client.subscribe(inbox).await,
        ) else {
            tracing::error!("presence can't be heard: the NATS client has ended");
            return;
        };
        self.connection.mark_changed();
        let mut connection_told = true;
        loop {
            let wake = self.start + self.state.wake_at(self.start.elapsed());
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.commands(command),
                    None => return,
                },
                () = self.events.closed() => return,
                changed = self.connection.changed(), if connection_told => match changed {
                    Ok(()) => self.reconnected(),
                    Err(_) => connection_told = false,
                },
                Some(message) = all.next() => self.receive(&message.payload),
                Some(message) = own.next() => self.receive(&message.payload),
                event = self.leases.next() => self.lease(event),
                () = sleep_until(wake) => {}
            }
            self.state.tick(self.start.elapsed());
            self.effects(&broadcast).await;
            self.show();
            if self.over {
                end(all, own).await;
                return;
            }
        }
    }

    fn commands(&mut self, first: Command) {
        self.command(first);
        for _ in 0..TURN {
            match self.commands.try_recv() {
                Ok(command) if !self.over => self.command(command),
                _ => return,
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Join(topic, attendee) => self.state.join(topic, attendee),
            Command::Leave(topic, connection) => self.state.leave(topic, connection),
            Command::Watch(topic) => self.state.watch(topic),
            Command::Unwatch(topic) => self.state.unwatch(&topic),
            Command::Look {
                topic,
                after,
                limit,
                tell,
            } => tell(self.state.look(&topic, after, limit)),
            Command::Drain => self.state.drain(),
            Command::Goodbye => {
                self.state.goodbye();
                self.over = true;
            }
        }
    }

    /// The connection was made or lost, or both.
    fn reconnected(&mut self) {
        let now = self.start.elapsed();
        self.connected = *self.connection.borrow_and_update();
        self.state.connected(false, now);
        self.leases.close();
        if self.connected {
            self.state.connected(true, now);
            self.leases.open();
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.state.receive(bytes, self.start.elapsed());
    }

    fn lease(&mut self, event: LeaseEvent) {
        let now = self.start.elapsed();
        match event {
            LeaseEvent::Seen(of) => self.state.lease_seen(of, now),
            LeaseEvent::Gone(of) => self.state.lease_gone(of, now),
            LeaseEvent::Read(all) => self.state.leases_read(&all, now),
            LeaseEvent::Lost(of) => self.state.lease_lost(of, now),
            LeaseEvent::Failed => self.state.renewal_failed(now),
            LeaseEvent::Nothing => {}
        }
    }

    async fn effects(&mut self, broadcast: &Subject) {
        let mut blocked = !self.connected;
        while let Some(effect) = self.state.effect() {
            match effect {
                Effect::Tell(news) => {
                    // If nobody listens any more, the loop ends for that.
                    let _ = self.events.send(news);
                }
                Effect::Renew(of) => self.leases.renew(of),
                Effect::Release(of) => {
                    if !blocked {
                        self.leases.release(of).await;
                    }
                }
                // Later ones are of no use to whoever missed one, and who waits here hears nothing.
                Effect::Broadcast(_) | Effect::Send { .. } if blocked => {}
                Effect::Broadcast(bytes) => {
                    let sent = self.client.publish(broadcast.clone(), bytes);
                    blocked = !matches!(timeout(PUBLISH, sent).await, Ok(Ok(())));
                }
                Effect::Send { to, bytes } => {
                    let sent = self.client.publish(self.subjects.presence_inbox(to), bytes);
                    blocked = !matches!(timeout(PUBLISH, sent).await, Ok(Ok(())));
                }
            }
        }
        if self.over && !blocked {
            // The process may end right after.
            let _ = timeout(PUBLISH, self.client.flush()).await;
        }
    }

    /// Makes known what can be asked.
    fn show(&mut self) {
        let view = View {
            me: self.state.incarnation(),
            alive: self.state.alive(),
            lease: match self.connected {
                true => self.leases.status().clone(),
                false => Err(LeaseError::Disconnected),
            },
        };
        self.view.send_if_modified(|shown| {
            if shown.lease != view.lease
                && let Err(error) = &view.lease
            {
                tracing::warn!(%error, "this gateway can't hold its lease");
            }
            let changed = *shown != view;
            *shown = view;
            changed
        });
    }
}

async fn end(all: Subscriber, own: Subscriber) {
    for mut subscription in [all, own] {
        let _ = timeout(PUBLISH, subscription.unsubscribe()).await;
    }
}
