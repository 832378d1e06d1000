//! Clients that follow the protocol's rules, against everything that can happen between them and the hub: each ends
//! with every message exactly once and in order, or is told that some may be lost.

use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;

use super::support::*;
use crate::broker::embedded::Embedded;
use crate::config::Channel;
use crate::hub::{Answer, Command, CommandKind, Delivery};
use crate::names::{Epoch, Offset};
use crate::protocol::{RequestId, Since};

const ROOMS: [&str; 2] = ["a", "b"];
const KEPT: usize = 4;

#[derive(Debug, Clone, Copy)]
enum Step {
    Publish {
        room: usize,
        many: usize,
    },
    /// Without a position, even if the client has one.
    Subscribe {
        client: usize,
        room: usize,
    },
    Resume {
        client: usize,
        room: usize,
    },
    Unsubscribe {
        client: usize,
        room: usize,
    },
    Disconnect {
        client: usize,
    },
    /// Ends a turn: what came before is in one.
    Turn,
}

/// What a client knows of a room.
#[derive(Debug, Clone, PartialEq)]
enum Membership {
    Out,
    CatchingUp,
    Live,
}

struct View {
    membership: Membership,
    /// Everything up to here has reached the application.
    position: Option<(Epoch, u64)>,
}

/// One client per shard, so that a batch for a shard is for that client.
struct World {
    stage: Stage<Embedded>,
    clients: Vec<Client>,
    views: HashMap<(usize, usize), View>,
    /// Offsets of all messages, by room.
    published: [Vec<u64>; ROOMS.len()],
    commands: Vec<Command>,
    next_id: u64,
    /// Subscribes that wait for their answer, and whether they had a position.
    asked: HashMap<u64, bool>,
    /// Requests of a client for a room that wait for their answers, which come in this order.
    order: HashMap<(usize, usize), VecDeque<u64>>,
    /// The first ids of disconnects under way.
    leaving: VecDeque<u64>,
    /// The rooms of publishes that wait for their answer.
    publishing: VecDeque<usize>,
    lost: usize,
}

impl World {
    fn new(channel: Channel) -> Self {
        let clients = (0..SHARDS)
            .map(|shard| client(shard as u16, shard as u32))
            .collect();
        let views = (0..SHARDS).flat_map(|client| (0..ROOMS.len()).map(move |room| (client, room)));
        let views = views
            .map(|key| {
                (
                    key,
                    View {
                        membership: Membership::Out,
                        position: None,
                    },
                )
            })
            .collect();
        let stage = Stage::new(channel);
        let (commands, asked) = Default::default();
        Self {
            stage,
            clients,
            views,
            published: Default::default(),
            commands,
            next_id: 0,
            asked,
            lost: 0,
            publishing: VecDeque::new(),
            leaving: VecDeque::new(),
            order: HashMap::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Publish { room, many } => {
                let publisher = client(0, 99);
                self.publishing.extend(std::iter::repeat_n(room, many));
                self.commands
                    .extend((0..many).map(|_| publisher.publish(ROOMS[room], &"x".repeat(200))));
            }
            Step::Subscribe { client, room } => self.subscribe(client, room, None),
            Step::Resume { client, room } => {
                let since = self.views[&(client, room)].position.clone();
                self.subscribe(client, room, since);
            }
            Step::Unsubscribe { client, room } => {
                let id = self.ask(client, room);
                let mut command = self.clients[client].unsubscribe(ROOMS[room]);
                command.id = Some(RequestId::Number(id));
                self.commands.push(command);
            }
            Step::Disconnect { client } => {
                // What it had asked for before is answered before `detached`.
                let id = self.next_id + 1;
                (0..ROOMS.len()).for_each(|room| _ = self.ask(client, room));
                let mut command = self.clients[client].disconnect(&ROOMS);
                command.id = Some(RequestId::Number(id));
                self.commands.push(command);
                self.leaving.push_back(id);
            }
            Step::Turn => self.turn(),
        }
    }

    fn ask(&mut self, client: usize, room: usize) -> u64 {
        self.next_id += 1;
        self.order
            .entry((client, room))
            .or_default()
            .push_back(self.next_id);
        self.next_id
    }

    fn answered(&mut self, client: usize, room: usize, id: u64) {
        let first = self
            .order
            .get_mut(&(client, room))
            .and_then(VecDeque::pop_front);
        assert_eq!(
            first,
            Some(id),
            "client {client} in {room}: answered in order"
        );
    }

    fn subscribe(&mut self, client: usize, room: usize, since: Option<(Epoch, u64)>) {
        let id = self.ask(client, room);
        self.asked.insert(id, since.is_some());
        let since = since.map(|(epoch, offset)| Since {
            epoch,
            offset: Offset(offset),
        });
        let (who, room) = (&self.clients[client], super::support::room(ROOMS[room]));
        let kind = CommandKind::Subscribe {
            room,
            since,
            presence: false,
            member: who.member(),
        };
        self.commands.push(who.ask(id, kind));
    }

    fn turn(&mut self) {
        let commands = std::mem::take(&mut self.commands);
        for said in self.stage.turn(commands) {
            match said {
                Said::Messages {
                    room,
                    messages,
                    shards,
                } => {
                    let room = index(room.as_str());
                    let offsets: Vec<u64> = messages
                        .iter()
                        .map(|message| message.offset.unwrap().0)
                        .collect();
                    for (client, count) in shards.iter().enumerate() {
                        let live = self.views[&(client, room)].membership == Membership::Live;
                        // One that asks anew gets nothing until the answer, which covers what comes meanwhile.
                        let asks = self.order.get(&(client, room));
                        if asks.is_none_or(VecDeque::is_empty) {
                            assert_eq!(
                                *count,
                                u32::from(live),
                                "client {client} in {room}: the hub knows who is live"
                            );
                        }
                        if *count > 0 {
                            self.take(client, room, &offsets);
                        }
                    }
                }
                Said::Sent(delivery) => self.deliver(&delivery),
            }
        }
        assert!(self.asked.is_empty(), "every subscribe is answered");
        for ((client, room), view) in &self.views {
            if let (Membership::Live, Some((_, position))) = (&view.membership, &view.position) {
                let newest = self.published[*room].last().copied().unwrap_or(0);
                assert!(
                    *position >= newest,
                    "client {client} is live in {room} and has not got {newest}"
                );
            }
        }
    }

    fn deliver(&mut self, delivery: &Delivery) {
        match delivery {
            Delivery::Answer {
                answer: Answer::Published { position, .. },
                ..
            } => {
                let room = self
                    .publishing
                    .pop_front()
                    .expect("one answer for each publish");
                let (_, offset) = position.as_ref().expect("rooms keep messages");
                self.published[room].push(offset.0);
            }
            Delivery::Subscribed {
                to,
                id: Some(RequestId::Number(id)),
                room,
                outcome,
                ..
            } => {
                let (client, room) = (to.slot as usize, index(room.as_str()));
                self.answered(client, room, *id);
                let had_since = self.asked.remove(id).expect("asked once");
                let (epoch, at) = outcome.position.clone().expect("rooms keep messages");
                match outcome.recovered {
                    None => assert!(!had_since),
                    Some(true) => {
                        let page: Vec<u64> = outcome
                            .messages
                            .iter()
                            .map(|message| message.offset.unwrap().0)
                            .collect();
                        self.take(client, room, &page);
                        if !outcome.more {
                            let (_, position) = self.views[&(client, room)]
                                .position
                                .clone()
                                .expect("a position");
                            let hole = self.published[room]
                                .iter()
                                .find(|offset| **offset > position && **offset <= at.0);
                            assert_eq!(
                                hole, None,
                                "client {client} in {room}: live from {at:?} with a hole"
                            );
                        } else {
                            assert!(!page.is_empty(), "a page that leads nowhere");
                        }
                    }
                    Some(false) => {
                        assert!(had_since && outcome.messages.is_empty() && !outcome.more);
                        self.lost += 1;
                    }
                }
                let view = self.views.get_mut(&(client, room)).expect("all are there");
                match (outcome.recovered, outcome.more) {
                    (_, true) => view.membership = Membership::CatchingUp,
                    (recovered, false) => {
                        view.membership = Membership::Live;
                        let position = view.position.as_ref().map_or(0, |(_, position)| *position);
                        let keep = recovered == Some(true) && position > at.0;
                        view.position = Some((epoch, if keep { position } else { at.0 }));
                    }
                }
            }
            Delivery::Unsubscribed {
                to,
                id: Some(RequestId::Number(id)),
                room,
            } => {
                let key = (to.slot as usize, index(room.as_str()));
                self.answered(key.0, key.1, *id);
                self.views.get_mut(&key).expect("all are there").membership = Membership::Out;
            }
            Delivery::Detached { to } => {
                let (client, id) = (
                    to.slot as usize,
                    self.leaving.pop_front().expect("asked for"),
                );
                for room in 0..ROOMS.len() {
                    self.answered(client, room, id + room as u64);
                    self.views
                        .get_mut(&(client, room))
                        .expect("all are there")
                        .membership = Membership::Out;
                }
            }
            other => panic!("{other:?}"),
        }
    }

    /// Drops what has been passed; the rest must be the next ones.
    fn take(&mut self, client: usize, room: usize, offsets: &[u64]) {
        let view = self.views.get_mut(&(client, room)).expect("all are there");
        let Some((_, position)) = &mut view.position else {
            panic!("messages before a position")
        };
        for offset in offsets {
            if offset > position {
                let known = &self.published[room];
                let next = known.iter().find(|offset| **offset > *position);
                assert_eq!(
                    next,
                    Some(offset),
                    "client {client} in {room} after {position}: in order and without a hole"
                );
                *position = *offset;
            }
        }
    }
}

fn index(room: &str) -> usize {
    ROOMS
        .iter()
        .position(|name| *name == room)
        .expect("one of the two")
}

fn step() -> impl Strategy<Value = Step> {
    let (client, room) = (0..SHARDS, 0..ROOMS.len());
    prop_oneof![
        6 => (room.clone(), prop_oneof![4 => 1..4usize, 1 => 100..130usize]).prop_map(|(room, many)| Step::Publish { room, many }),
        2 => (client.clone(), room.clone()).prop_map(|(client, room)| Step::Subscribe { client, room }),
        6 => (client.clone(), room.clone()).prop_map(|(client, room)| Step::Resume { client, room }),
        2 => (client.clone(), room).prop_map(|(client, room)| Step::Unsubscribe { client, room }),
        1 => client.prop_map(|client| Step::Disconnect { client }),
        8 => Just(Step::Turn),
    ]
}

fn play(mut world: World, steps: Vec<Step>) -> World {
    for step in steps {
        world.step(step);
    }
    world.turn();
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn with_few_messages_per_room(steps in prop::collection::vec(step(), 0..80)) {
        play(World::new(channel(&format!("history: {{maxMessagesPerRoom: {KEPT}}}"))), steps);
    }

    #[test]
    fn with_many_messages_per_room_nothing_is_lost(steps in prop::collection::vec(step(), 0..80)) {
        let world = play(World::new(channel("history: {maxMessagesPerRoom: 100000}")), steps);
        prop_assert_eq!(world.lost, 0);
    }

    #[test]
    fn with_little_memory(steps in prop::collection::vec(step(), 0..80), kib in 1..12usize) {
        let mut channel = channel("history: {maxMessagesPerRoom: 1000}");
        channel.limits.history_memory = kib * 1024;
        play(World::new(channel), steps);
    }
}
