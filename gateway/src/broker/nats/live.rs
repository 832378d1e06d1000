//! Rooms without history: a message goes to all gateways that have a subscriber in a room of the same live partition, at
//! most once. One subscription serves all rooms of a partition, for as long as one of them is watched (`partition`).

mod heard;
mod partition;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::spawn;

use self::heard::Heard;
use self::partition::{Partition, Watcher, echo_in_time};
use super::connection::Connection;
use super::health::{Fault, Health};
use super::send::{Job, Sender};
use super::subjects::Subjects;
use crate::broker::{Event, GapReason, Token};
use crate::names::RoomName;

/// What the hub asks for, in order: who has begun to watch a room hears what is published after it.
#[derive(Debug)]
pub enum Ask {
    /// Somebody here is in a room.
    Watch {
        /// The room.
        room: RoomName,
        /// Names the answer that it is heard from now on; `None` where nobody waits for it.
        token: Option<Token>,
    },
    /// Nobody is any more.
    Unwatch(RoomName),
    /// To publish.
    Publish(Job),
}

/// Hears the rooms without history that are watched, and publishes to others.
pub struct Live {
    /// Whose connection to use.
    pub connection: Connection,
    /// Their names.
    pub subjects: Subjects,
    /// What to do.
    pub asks: mpsc::UnboundedReceiver<Ask>,
    /// Publishes.
    pub sender: Sender,
    /// Where messages go; what finds no place there is lost, and said to be.
    pub events: mpsc::Sender<Event>,
    /// Where faults are told.
    pub health: Arc<Health>,
}

/// One subscription, and how many rooms need it.
struct Subscribed {
    rooms: usize,
    watchers: mpsc::UnboundedSender<Watcher>,
}

/// The subscriptions of now.
struct Subscriptions {
    live: Live,
    heard: Arc<Heard>,
    partitions: HashMap<u16, Subscribed>,
}

impl Live {
    /// Hears and publishes until the hub is gone.
    pub async fn run(self) {
        let mut connection = self.connection.clone();
        let mut run = Subscriptions {
            live: self,
            heard: Arc::default(),
            partitions: HashMap::new(),
        };
        let mut generation = connection.state.borrow().generation;
        let dropped = Arc::clone(&connection.dropped);
        loop {
            tokio::select! {
                () = connection.lost(generation) => {
                    if generation > 0 {
                        // Whatever is said from now on may not be heard here.
                        run.heard.lose(GapReason::BrokerReset);
                    }
                    let before = generation;
                    generation = tokio::select! {
                        generation = connection.up() => generation,
                        ask = run.live.asks.recv() => match ask {
                            Some(ask) => {
                                run.take(ask).await;
                                continue;
                            }
                            None => return,
                        },
                    };
                    if before > 0 {
                        // The client subscribes anew by itself; an echo comes once the server has taken that in.
                        echo_in_time(&connection.client).await;
                        run.heard.lose(GapReason::BrokerReset);
                        run.heard.tell(&run.live.events).await;
                    }
                }
                () = dropped.notified() => {
                    run.heard.lose(GapReason::Overload);
                    run.heard.tell(&run.live.events).await;
                }
                ask = run.live.asks.recv() => match ask {
                    Some(ask) => run.take(ask).await,
                    None => return,
                },
            }
        }
    }
}

impl Subscriptions {
    async fn take(&mut self, ask: Ask) {
        match ask {
            Ask::Publish(job) => self.live.sender.publish(job).await,
            Ask::Watch { room, token } => {
                let subjects = &self.live.subjects;
                let (partition, subject) = (subjects.live_partition(&room), subjects.live(&room));
                let new = self.heard.watch(subject.clone(), room);
                let watcher = Watcher { token, subject };
                match self.partitions.get_mut(&partition) {
                    Some(at) => {
                        at.rooms += usize::from(new);
                        let _ = at.watchers.send(watcher); // it ends with its sender, or the client
                    }
                    None => self.hear(partition, watcher).await,
                }
            }
            Ask::Unwatch(room) => {
                let subjects = &self.live.subjects;
                let (partition, subject) = (subjects.live_partition(&room), subjects.live(&room));
                if !self.heard.unwatch(&subject) {
                    return;
                }
                if let Some(at) = self.partitions.get_mut(&partition) {
                    at.rooms -= 1;
                    if at.rooms == 0 {
                        self.partitions.remove(&partition); // its task ends, and with it the subscription
                    }
                }
            }
        }
    }

    /// Hears one partition from now on.
    async fn hear(&mut self, partition: u16, first: Watcher) {
        let connection = self.live.connection.clone();
        let link = *connection.state.borrow();
        let filter = self.live.subjects.live_filter(partition);
        let messages = match connection.client.subscribe(filter).await {
            Ok(messages) => messages,
            Err(error) => {
                self.live.health.set(Fault::Other, error.to_string());
                if let Some(token) = first.token {
                    let _ = self.live.events.send(Event::Watched { token }).await; // the hub is gone
                }
                return;
            }
        };
        let (watchers, waiting) = mpsc::unbounded_channel();
        let _ = watchers.send(first); // both ends are here
        let task = Partition {
            messages,
            watchers: waiting,
            generation: link.up.then_some(link.generation),
            connection,
            heard: Arc::clone(&self.heard),
            events: self.live.events.clone(),
            health: Arc::clone(&self.live.health),
        };
        spawn(task.run());
        let rooms = 1;
        self.partitions
            .insert(partition, Subscribed { rooms, watchers });
    }
}
