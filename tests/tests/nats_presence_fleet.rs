//! Presence over NATS when something is away: nobody is said to have left who did not, and who did is.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::collections::HashMap;
use std::time::Duration;

use linnet_tests::prelude::*;

/// How long NATS is away: four leases.
const AWAY: Duration = Duration::from_secs(60);

/// How long a gateway stands still: two leases.
const STILL: Duration = Duration::from_secs(30);

/// How long a wrong leave could still come afterwards: a lease and a renewal.
const AFTERMATH: Duration = Duration::from_secs(20);

/// Seconds within which the users of a gateway that was killed leave: 20 of them by design, and more for a machine that is
/// busy with other things.
const LEFT: u64 = 30;

/// Seconds that anything else may take: they only bound failures.
const SOON: u64 = 60;

/// Members on each gateway.
const MEMBERS: usize = 5;

/// Where everybody is.
const ROOM: &str = "full.a";

/// Two gateways with members on each, and on each one who watches and is no member himself to be counted.
struct Scene {
    server: NatsServer,
    fleet: Fleet,
    members: [Vec<Client>; 2],
    watchers: Vec<Client>,
}

impl Scene {
    async fn new() -> Self {
        let server = NatsServer::jetstream().await;
        let manifest = Manifest::unhurried()
            .without_pings()
            .room(json!({"match": "full.*", "presence": {"mode": "Full"}}))
            .nats(&[server.url()]);
        let fleet = Fleet::start(&manifest, 2).await;
        let mut members = [Vec::new(), Vec::new()];
        for (number, members) in members.iter_mut().enumerate() {
            for _ in 0..MEMBERS {
                let mut member = fleet[number].client().await;
                member.subscribe(ROOM).await;
                members.push(member);
            }
        }
        let mut watchers = Vec::new();
        for number in 0..2 {
            let mut watcher = fleet[number].client().await;
            let request = json!({"type": "subscribe", "room": ROOM, "presence": true});
            watcher.ack(request).await;
            watchers.push(watcher);
        }
        let mut scene = Self {
            server,
            fleet,
            members,
            watchers,
        };
        for number in 0..2 {
            scene.sees(number, 2 * MEMBERS + 2).await;
            scene.visit(number).await;
        }
        scene
    }

    /// Waits until the watcher on gateway `number` sees `count` members.
    async fn sees(&mut self, number: usize, count: usize) {
        let watcher = &mut self.watchers[number];
        let seen = async {
            loop {
                let request = json!({"type": "presence", "room": ROOM});
                let page = watcher.ack(request).await;
                if page["members"].as_array().map(Vec::len) == Some(count) {
                    return;
                }
            }
        };
        within(("members:", count), SOON, seen).await;
    }

    /// Somebody visits gateway `number`, and both watchers are told; gives all that they were told of others until then.
    async fn visit(&mut self, number: usize) -> Vec<Told> {
        let mut visitor = self.fleet[number].client().await;
        let id = visitor.id();
        visitor.subscribe(ROOM).await;
        let mut told = Vec::new();
        for watcher in &mut self.watchers {
            told.push(told_until(watcher, "join", &id).await);
        }
        visitor
            .ack(json!({"type": "unsubscribe", "room": ROOM}))
            .await;
        for (watcher, told) in self.watchers.iter_mut().zip(&mut told) {
            told.add(told_until(watcher, "leave", &id).await);
            told.0.remove(&id);
        }
        told
    }

    fn ids(&self, number: usize) -> Vec<String> {
        self.members[number].iter().map(Client::id).collect()
    }
}

/// How often each connection was said to join, and to leave.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told(HashMap<String, (usize, usize)>);

impl Told {
    fn add(&mut self, other: Self) {
        for (id, (joins, leaves)) in other.0 {
            let told = self.0.entry(id).or_default();
            *told = (told.0 + joins, told.1 + leaves);
        }
    }

    fn note(&mut self, frame: &Value) {
        for id in ids(&frame["join"]) {
            self.0.entry(id).or_default().0 += 1;
        }
        for id in ids(&frame["leave"]) {
            self.0.entry(id).or_default().1 += 1;
        }
    }
}

fn ids(members: &Value) -> Vec<String> {
    let members = members.as_array().map(Vec::as_slice).unwrap_or_default();
    let id = |member: &Value| member["connection_id"].as_str().unwrap().to_owned();
    members.iter().map(id).collect()
}

/// Reads presence frames until one has `id` under `key`.
async fn told_until(watcher: &mut Client, key: &str, id: &str) -> Told {
    let mut told = Told::default();
    let read = async {
        loop {
            let frame = watcher.skip_to("presence").await;
            told.note(&frame);
            if ids(&frame[key]).iter().any(|other| other == id) {
                return;
            }
        }
    };
    within((key, "of", id), SOON, read).await;
    told
}

#[test]
fn while_nats_is_away_nobody_is_said_to_come_or_go() {
    scenario(180, async {
        let mut scene = Scene::new().await;
        scene.server.stop().await;
        tokio::time::sleep(AWAY).await;
        scene.server.launch().await;
        for number in 0..2 {
            scene.fleet[number].is_well().await;
        }
        tokio::time::sleep(AFTERMATH).await;
        for number in 0..2 {
            let told = scene.visit(number).await;
            assert_eq!(told, [Told::default(), Told::default()]);
        }
    });
}

#[test]
fn who_left_while_nats_was_away_is_gone_when_it_is_back() {
    scenario(180, async {
        let mut scene = Scene::new().await;
        scene.server.stop().await;
        scene.fleet[1].stays_ready_but_says(&["nats"]).await;
        let gone = scene.members[1].remove(0);
        let id = gone.id();
        gone.close().await;
        scene.server.launch().await;
        let told = told_until(&mut scene.watchers[0], "leave", &id).await;
        assert_eq!(told.0.len(), 1, "and nobody else: {told:?}");
        scene.sees(0, 2 * MEMBERS + 1).await;
    });
}

#[test]
fn users_of_a_gateway_that_stood_still_leave_and_come_once_at_most() {
    scenario(180, async {
        let mut scene = Scene::new().await;
        scene.fleet[1].pause();
        tokio::time::sleep(STILL).await;
        scene.fleet[1].resume();
        scene.sees(0, 2 * MEMBERS + 2).await;
        tokio::time::sleep(AFTERMATH).await;
        scene.sees(0, 2 * MEMBERS + 2).await;
        let (here, there) = (scene.ids(0), scene.ids(1));
        let told = scene.visit(0).await;
        for id in &here {
            assert_eq!(told[0].0.get(id), None, "{id} was here all the time");
            assert_eq!(told[1].0.get(id), None, "{id} was here all the time");
        }
        for id in &there {
            let (joins, leaves) = told[0].0.get(id).copied().unwrap_or_default();
            assert!(joins <= 1 && joins == leaves, "{id}: {joins}, {leaves}");
        }
    });
}

#[test]
fn users_of_a_gateway_that_was_killed_leave_once_and_soon() {
    scenario(180, async {
        let mut scene = Scene::new().await;
        let mut gone = scene.ids(1);
        gone.push(scene.watchers.remove(1).id());
        scene.fleet[1].kill().await;
        let mut told = Told::default();
        let watcher = &mut scene.watchers[0];
        let left = async {
            while told.0.len() < gone.len() {
                told.note(&watcher.skip_to("presence").await);
            }
        };
        within("the last leave", LEFT, left).await;
        scene.sees(0, MEMBERS + 1).await;
        tokio::time::sleep(AFTERMATH).await;
        let after = scene.visit(0).await.remove(0);
        told.add(after);
        let once = gone.into_iter().map(|id| (id, (0, 1)));
        assert_eq!(told, Told(once.collect()));
    });
}
