//! A hub on a stage: a broker behind it, an outlet that writes everything down, a clock that is moved by hand.

mod lines;
mod manual;

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant, UNIX_EPOCH};

use crate::broker::embedded::Embedded;
use crate::broker::{Broker, DeduplicationKey, Event, Member};
use crate::config::Channel;
use crate::hub::state::Hub;
use crate::hub::{Address, Answer, Command, CommandKind, Delivery, Outlet};
use crate::message::{Message, Payload};
use crate::metrics::HubMetrics;
use crate::names::{ConnectionId, Epoch, Offset, RoomName, UserId};
pub use lines::{answer, heard, lines};
pub use manual::Manual;

use crate::protocol::{HistoryRange, RequestId, Since};

/// A channel with history and the given further fields of `spec`.
pub fn channel(spec: &str) -> Channel {
    let text = format!(
        "apiVersion: realtime.linnet.dev/v1alpha1\nkind: RealtimeChannel\nmetadata: {{name: t}}\n\
         spec: {{authentication: {{anonymous: Allow}}, {spec}}}\n"
    );
    let manifest =
        linnet_crds::parse(&text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
    Channel::compile(&manifest)
}

/// What the hub said to shards.
#[derive(Debug, Clone)]
pub enum Said {
    Messages {
        room: RoomName,
        messages: Vec<Arc<Message>>,
        shards: Vec<u32>,
    },
    Sent(Rc<Delivery>),
}

#[derive(Default)]
pub struct Log {
    said: Vec<Said>,
    /// Shards whose queue is full.
    pub full: HashSet<u16>,
    /// Answers of the next looks at a queue, before `full` holds.
    pub looks: VecDeque<bool>,
    pub flushes: usize,
}

/// The outlet.
#[derive(Clone, Default)]
pub struct Recorder(pub Rc<RefCell<Log>>);

impl Outlet for Recorder {
    fn messages(
        &mut self,
        room: &RoomName,
        messages: Vec<Arc<Message>>,
        _: Instant,
        shards: &[u32],
    ) {
        let said = Said::Messages {
            room: room.clone(),
            messages,
            shards: shards.to_vec(),
        };
        self.0.borrow_mut().said.push(said);
    }

    fn send(&mut self, shard: u16, delivery: Delivery) {
        if let Delivery::Answer { to, .. }
        | Delivery::Subscribed { to, .. }
        | Delivery::Direct { to, .. } = &delivery
        {
            assert_eq!(to.shard, shard, "sent to the shard of the connection");
        }
        self.0.borrow_mut().said.push(Said::Sent(Rc::new(delivery)));
    }

    fn is_full(&self, shard: u16) -> bool {
        let mut log = self.0.borrow_mut();
        log.looks
            .pop_front()
            .unwrap_or_else(|| log.full.contains(&shard))
    }

    fn flush(&mut self) {
        self.0.borrow_mut().flushes += 1;
    }
}

pub const SHARDS: usize = 3;

pub struct Stage<B> {
    pub hub: Hub<B, Recorder>,
    pub log: Rc<RefCell<Log>>,
    pub metrics: Arc<HubMetrics>,
    now: Instant,
}

impl Stage<Embedded> {
    /// With the broker of one process.
    pub fn new(channel: Channel) -> Self {
        let broker = Embedded::new(&channel);
        let mut stage = Self::with(channel, broker);
        stage.turn([]);
        stage
    }

    /// The epoch that acks tell.
    pub fn epoch(&mut self) -> Epoch {
        let probe = client(0, 999);
        let said = self.turn([probe.history("probe", HistoryRange::Newest, 1)]);
        let Some(Answer::History(page)) = answer(&said) else {
            panic!("{said:?}")
        };
        page.epoch.clone()
    }
}

impl<B: Broker> Stage<B> {
    pub fn with(channel: Channel, broker: B) -> Self {
        let (recorder, metrics) = (Recorder::default(), Arc::new(HubMetrics::default()));
        let log = recorder.0.clone();
        let hub = Hub::new(Arc::new(channel), broker, recorder, SHARDS, metrics.clone());
        Self {
            hub,
            log,
            metrics,
            now: Instant::now(),
        }
    }

    /// One turn, as the actor takes it.
    pub fn turn(&mut self, commands: impl IntoIterator<Item = Command>) -> Vec<Said> {
        self.hub.begin(self.now);
        for command in commands {
            self.hub.command(command);
        }
        self.finish()
    }

    /// A turn with a new configuration after commands.
    pub fn configure(
        &mut self,
        commands: impl IntoIterator<Item = Command>,
        channel: Channel,
    ) -> Vec<Said> {
        self.hub.begin(self.now);
        for command in commands {
            self.hub.command(command);
        }
        self.hub.configure(Arc::new(channel), self.now);
        self.finish()
    }

    /// Lets time pass, then takes a turn.
    pub fn pass(&mut self, milliseconds: u64) -> Vec<Said> {
        self.now += Duration::from_millis(milliseconds);
        self.turn([])
    }

    fn finish(&mut self) -> Vec<Said> {
        let (mut context, mut events) = (Context::from_waker(Waker::noop()), VecDeque::new());
        while self
            .hub
            .broker()
            .poll_events(&mut context, &mut events)
            .is_ready()
        {
            while let Some(event) = events.pop_front() {
                self.hub.event(event, self.now);
            }
        }
        self.hub.tick(self.now);
        self.hub.end();
        std::mem::take(&mut self.log.borrow_mut().said)
    }

    /// Rooms in memory.
    pub fn rooms(&self) -> u64 {
        self.metrics.rooms.get()
    }
}

/// One connection.
#[derive(Debug, Clone)]
pub struct Client {
    pub address: Address,
    pub connection: ConnectionId,
    pub user: Option<UserId>,
}

pub fn client(shard: u16, slot: u32) -> Client {
    let address = Address {
        shard,
        slot,
        generation: 0,
    };
    Client {
        address,
        connection: ConnectionId::random(),
        user: None,
    }
}

/// A message that the broker has kept since `age_ms` milliseconds.
pub fn aged(name: &str, offset: u64, age_ms: u64) -> Event {
    let now = UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let message = client(0, 9).message(room(name), "x");
    Event::Message(Arc::new(Message {
        offset: Some(Offset(offset)),
        timestamp: now - age_ms,
        ..message
    }))
}

pub fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

impl Client {
    /// The same with a user.
    pub fn named(self, user: &str) -> Self {
        Self {
            user: UserId::from_token(user),
            ..self
        }
    }

    pub fn ask(&self, id: u64, kind: CommandKind) -> Command {
        Command {
            from: self.address,
            id: Some(RequestId::Number(id)),
            kind,
        }
    }

    pub fn member(&self) -> Member {
        Member {
            connection: self.connection,
            user: self.user.clone(),
            info: None,
        }
    }

    pub fn subscribe(&self, name: &str) -> Command {
        let kind = CommandKind::Subscribe {
            room: room(name),
            since: None,
            presence: true,
            member: self.member(),
        };
        self.ask(1, kind)
    }

    pub fn resume(&self, name: &str, epoch: &Epoch, offset: u64) -> Command {
        let since = Some(Since {
            epoch: epoch.clone(),
            offset: Offset(offset),
        });
        let kind = CommandKind::Subscribe {
            room: room(name),
            since,
            presence: true,
            member: self.member(),
        };
        self.ask(1, kind)
    }

    pub fn join(&self, name: &str) -> Command {
        let (room, member) = (room(name), self.member());
        self.ask(1, CommandKind::Join { room, member })
    }

    pub fn unsubscribe(&self, name: &str) -> Command {
        self.ask(
            1,
            CommandKind::Unsubscribe {
                room: room(name),
                connection: self.connection,
            },
        )
    }

    pub fn connect(&self) -> Command {
        self.ask(
            1,
            CommandKind::Connect {
                connection: self.connection,
                user: self.user.clone(),
            },
        )
    }

    pub fn disconnect(&self, rooms: &[&str]) -> Command {
        let rooms = rooms.iter().map(|name| room(name)).collect();
        let (connection, user) = (self.connection, self.user.clone());
        self.ask(
            1,
            CommandKind::Disconnect {
                connection,
                user,
                rooms,
                notify: true,
            },
        )
    }

    pub fn publish(&self, name: &str, data: &str) -> Command {
        self.ask(
            1,
            CommandKind::Publish {
                message: Box::new(self.message(room(name), data)),
                key: None,
            },
        )
    }

    pub fn repeat(&self, name: &str, data: &str, message_id: &str) -> Command {
        let key = Some(DeduplicationKey::new(&room(name), b"scope", message_id));
        self.ask(
            1,
            CommandKind::Publish {
                message: Box::new(self.message(room(name), data)),
                key,
            },
        )
    }

    pub fn send(&self, to: &str, data: &str) -> Command {
        let message = Box::new(self.message(RoomName::direct(), data));
        self.ask(
            1,
            CommandKind::Send {
                to: to.into(),
                message,
            },
        )
    }

    pub fn history(&self, name: &str, range: HistoryRange, limit: usize) -> Command {
        self.ask(
            1,
            CommandKind::History {
                room: room(name),
                range,
                limit,
            },
        )
    }

    pub fn presence(&self, name: &str, after: Option<ConnectionId>) -> Command {
        self.ask(
            1,
            CommandKind::Presence {
                room: room(name),
                after,
            },
        )
    }

    pub fn message(&self, room: RoomName, data: &str) -> Message {
        let from = self
            .user
            .clone()
            .unwrap_or_else(|| UserId::anonymous(self.connection));
        let data = Payload::Text(data.into());
        Message {
            room,
            offset: None,
            timestamp: 0,
            from: Some(from),
            event: None,
            data,
            info: None,
            skip: None,
            trace: None,
        }
    }
}
