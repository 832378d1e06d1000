//! Presence between gateways on a real NATS server that is restarted, frozen, emptied and away.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_nats::{Client, ConnectOptions, Event};
use linnet_gateway::broker::Member;
use linnet_gateway::broker::nats::presence::entry::{Attendee, Topic};
use linnet_gateway::broker::nats::presence::link::{
    Config, LeaseError, Link, LinkEvent, LinkHandle,
};
use linnet_gateway::broker::nats::subjects::Subjects;
use linnet_gateway::names::{ConnectionId, RoomName, UserId};
use linnet_tests::prelude::*;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

/// Seconds that a step may take: it only bounds failures.
const SOON: u64 = 60;

/// Seconds within which the members of a gateway that was killed leave: 20 of them by design, and more for a machine that
/// is busy with other things.
const DEAD: u64 = 30;

/// A gateway as far as presence goes.
struct Gateway {
    client: Client,
    link: LinkHandle,
    events: UnboundedReceiver<LinkEvent>,
    view: BTreeMap<(Topic, ConnectionId), (Attendee, bool)>,
}

impl Gateway {
    /// One that watches the topics.
    async fn start(server: &NatsServer, topics: &[Topic]) -> Self {
        Self::at(server.port, topics).await
    }

    async fn at(port: u16, topics: &[Topic]) -> Self {
        let (connection, connected) = watch::channel(true);
        let client = ConnectOptions::new()
            .reconnect_delay_callback(|_| Duration::from_millis(200))
            .event_callback(move |event| {
                match event {
                    Event::Connected => connection.send_replace(true),
                    Event::Disconnected => connection.send_replace(false),
                    _ => true,
                };
                async {}
            })
            .connect(format!("nats://127.0.0.1:{port}"))
            .await
            .unwrap();
        let subjects = Subjects::new("linnet", "default", "chat", 1);
        let (link, events) =
            Link::start(client.clone(), &subjects, 1, Config::default(), connected);
        for topic in topics {
            link.watch(topic.clone());
        }
        Self {
            client,
            link,
            events,
            view: BTreeMap::new(),
        }
    }

    /// Joins `count` connections. Gives their ids.
    fn join(&self, topic: &Topic, count: usize) -> Vec<ConnectionId> {
        (0..count)
            .map(|number| {
                let connection = ConnectionId::random();
                let member = Member {
                    connection,
                    user: UserId::from_token("ann"),
                    info: Some(format!(r#"{{"number":{number}}}"#).into()),
                };
                let attendee = Attendee {
                    member,
                    connected_ms: 7,
                };
                self.link.join(topic.clone(), attendee);
                connection
            })
            .collect()
    }

    /// The next event, which must be possible.
    async fn next(&mut self) -> LinkEvent {
        let event = self.events.recv().await.unwrap();
        match event.clone() {
            LinkEvent::Joined {
                topic,
                attendee,
                draining,
            } => {
                let new = (attendee, draining);
                let key = (topic, new.0.member.connection);
                assert_ne!(self.view.insert(key, new.clone()), Some(new), "twice");
            }
            LinkEvent::Left { topic, connection } => {
                assert!(self.view.remove(&(topic, connection)).is_some());
            }
            LinkEvent::Watching(_) => {}
        }
        event
    }

    /// Takes events until there are `count` entries.
    async fn sees(&mut self, count: usize, seconds: u64) {
        let what = format!("{count} entries");
        within(what, seconds, async {
            while self.view.len() != count {
                self.next().await;
            }
        })
        .await;
    }

    /// Panics if anything is told for so long.
    async fn is_told_nothing(&mut self, seconds: u64) {
        let event = tokio::time::timeout(Duration::from_secs(seconds), self.next()).await;
        assert!(event.is_err(), "{event:?}");
    }

    /// Awaits that it holds a lease and sees so many gateways.
    async fn lives_with(&self, gateways: usize) {
        until(format!("{gateways} gateways"), || async {
            (self.link.status().is_ok() && self.link.alive().len() == gateways).then_some(())
        })
        .await;
    }
}

fn room(name: &str) -> Topic {
    Topic::Room(RoomName::parse(name).unwrap())
}

/// Gateways that know each other and each other's two members of the lobby, for longer than a lease.
async fn settled(server: &NatsServer, gateways: usize) -> Vec<Gateway> {
    let lobby = room("lobby");
    let mut all = Vec::new();
    for _ in 0..gateways {
        let gateway = Gateway::start(server, std::slice::from_ref(&lobby)).await;
        gateway.join(&lobby, 2);
        all.push(gateway);
    }
    for gateway in &mut all {
        gateway.sees(gateways * 2, SOON).await;
        gateway.lives_with(gateways).await;
    }
    for gateway in &mut all[..1] {
        gateway.is_told_nothing(16).await;
    }
    all
}

#[test]
fn joins_leaves_and_a_drain_are_seen_on_every_gateway() {
    scenario(60, async {
        let server = NatsServer::jetstream().await;
        let (lobby, ann) = (
            room("lobby"),
            Topic::User(UserId::from_token("ann").unwrap()),
        );
        let both = [lobby.clone(), ann.clone()];
        let mut one = Gateway::start(&server, &both).await;
        let mut two = Gateway::start(&server, &both).await;
        let members = one.join(&lobby, 3);
        one.join(&ann, 1);
        one.join(&room("elsewhere"), 1);
        one.sees(4, SOON).await;
        two.sees(4, SOON).await;
        assert_eq!(one.view, two.view);
        one.link.leave(lobby.clone(), members[1]);
        one.sees(3, SOON).await;
        two.sees(3, SOON).await;
        one.lives_with(2).await;
        assert!(one.link.alive().contains(&two.link.incarnation()));

        one.link.drain();
        let told = within("the drain", SOON, two.next()).await;
        assert!(
            matches!(&told, LinkEvent::Joined { topic, draining: true, .. } if *topic == ann),
            "{told:?}"
        );
        one.link.goodbye();
        within("the end", SOON, one.link.ended()).await;
        two.sees(0, SOON).await;
        until("a gateway fewer", || async {
            (two.link.alive() == [two.link.incarnation()]).then_some(())
        })
        .await;
    });
}

#[test]
fn five_thousand_members_arrive_at_a_late_gateway() {
    scenario(60, async {
        let server = NatsServer::jetstream().await;
        let lobby = room("lobby");
        let one = Gateway::start(&server, &[]).await;
        one.join(&lobby, 5_000);
        one.lives_with(1).await;
        let before = Instant::now();
        let mut late = Gateway::start(&server, std::slice::from_ref(&lobby)).await;
        late.sees(5_000, SOON).await;
        eprintln!("5,000 members took {:?}", before.elapsed());
        one.join(&lobby, 1);
        late.sees(5_001, SOON).await;
    });
}

#[test]
fn the_members_of_a_killed_gateway_leave_within_20_s_and_once() {
    scenario(90, async {
        let server = NatsServer::jetstream().await;
        let mut all = settled(&server, 3).await;
        let killed = all.pop().unwrap();
        let before = Instant::now();
        drop((killed.link, killed.client, killed.events));
        for survivor in &mut all {
            survivor.sees(4, DEAD).await;
        }
        eprintln!("they left after {:?}", before.elapsed());
        assert!(before.elapsed() < Duration::from_secs(DEAD));
        let (one, two) = all.split_at_mut(1);
        tokio::join!(one[0].is_told_nothing(20), two[0].is_told_nothing(20));
        one[0].lives_with(2).await;
    });
}

#[test]
fn a_restart_of_nats_is_no_presence_event() {
    scenario(120, async {
        let mut server = NatsServer::jetstream().await;
        let mut all = settled(&server, 2).await;
        let (one, two) = all.split_at_mut(1);
        server.kill().await;
        server.launch().await;
        tokio::join!(one[0].is_told_nothing(25), two[0].is_told_nothing(25));
        one[0].lives_with(2).await;
        one[0].join(&room("lobby"), 1);
        two[0].sees(5, SOON).await;
    });
}

#[test]
fn nats_away_for_longer_than_a_lease_is_no_presence_event_and_a_death_meanwhile_is_one() {
    scenario(180, async {
        let mut server = NatsServer::jetstream().await;
        let mut all = settled(&server, 3).await;
        let dies = all.pop().unwrap();
        server.kill().await;
        let (one, two) = all.split_at_mut(1);
        tokio::join!(one[0].is_told_nothing(25), two[0].is_told_nothing(25));
        assert_eq!(one[0].link.status(), Err(LeaseError::Disconnected));
        one[0].join(&room("lobby"), 1);
        one[0].sees(7, SOON).await;
        drop((dies.link, dies.client, dies.events));
        let launched = Instant::now();
        server.launch().await;
        two[0].sees(7, SOON).await; // the one who joined meanwhile
        one[0].sees(5, SOON).await;
        two[0].sees(5, SOON).await;
        eprintln!("those of the dead one left after {:?}", launched.elapsed());
        // A lease from when these two were connected again, which was no earlier than that.
        assert!(
            launched.elapsed() > Duration::from_secs(14),
            "it had no time to come back"
        );
        tokio::join!(one[0].is_told_nothing(15), two[0].is_told_nothing(15));
        one[0].lives_with(2).await;
    });
}

#[test]
fn a_gateway_stopped_for_30_s_is_one_leave_and_one_join_and_tells_nothing_of_others_itself() {
    scenario(150, async {
        let server = NatsServer::jetstream().await;
        // All of a gateway runs on this one thread, so that blocking it is as good as SIGSTOP.
        let stopped = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let lobby = room("lobby");
        let mut one = Gateway::start(&server, std::slice::from_ref(&lobby)).await;
        one.join(&lobby, 2);
        let port = server.port;
        let (ready, mut started) = tokio::sync::mpsc::channel(1);
        let thread = std::thread::spawn({
            let lobby = lobby.clone();
            move || {
                stopped.block_on(async {
                    let mut two = Gateway::at(port, std::slice::from_ref(&lobby)).await;
                    two.join(&lobby, 2);
                    two.sees(4, SOON).await;
                    two.is_told_nothing(16).await;
                    ready.send(()).await.unwrap();
                    tokio::task::yield_now().await;
                    std::thread::sleep(Duration::from_secs(30));
                    two.is_told_nothing(20).await;
                    two.lives_with(2).await;
                });
                stopped.shutdown_background();
            }
        });
        one.sees(4, SOON).await;
        within("both to be settled", SOON, started.recv())
            .await
            .unwrap();
        one.sees(2, DEAD).await;
        one.sees(4, SOON).await;
        one.is_told_nothing(10).await;
        until("the end of the other", || async {
            thread.is_finished().then_some(())
        })
        .await;
        thread.join().unwrap();
    });
}

#[test]
fn a_nats_server_that_hangs_for_longer_than_a_lease_is_no_presence_event() {
    scenario(120, async {
        let server = NatsServer::jetstream().await;
        let mut all = settled(&server, 2).await;
        let (one, two) = all.split_at_mut(1);
        server.pause();
        tokio::join!(one[0].is_told_nothing(20), two[0].is_told_nothing(20));
        server.resume();
        tokio::join!(one[0].is_told_nothing(25), two[0].is_told_nothing(25));
        one[0].lives_with(2).await;
    });
}

#[test]
fn a_bucket_that_is_deleted_is_made_anew_without_a_presence_event() {
    scenario(120, async {
        let server = NatsServer::jetstream().await;
        let mut all = settled(&server, 2).await;
        let bucket = Subjects::new("linnet", "default", "chat", 1).presence_bucket();
        let admin = async_nats::connect(server.url()).await.unwrap();
        let jetstream = async_nats::jetstream::new(admin);
        let before = all[0].link.incarnation();
        jetstream.delete_key_value(&bucket).await.unwrap();
        let (one, two) = all.split_at_mut(1);
        tokio::join!(one[0].is_told_nothing(25), two[0].is_told_nothing(25));
        one[0].lives_with(2).await;
        assert_ne!(one[0].link.incarnation(), before);
        jetstream.get_key_value(&bucket).await.unwrap();
        // Leases count again.
        let killed = all.pop().unwrap();
        drop((killed.link, killed.client, killed.events));
        all[0].sees(2, DEAD).await;
    });
}

#[test]
fn without_jetstream_members_are_told_and_the_status_says_what_is_missing() {
    scenario(60, async {
        let server = NatsServer::start("").await;
        let lobby = room("lobby");
        let one = Gateway::start(&server, &[]).await;
        one.join(&lobby, 2);
        let mut two = Gateway::start(&server, std::slice::from_ref(&lobby)).await;
        two.sees(2, SOON).await;
        until("the reason", || async {
            (one.link.status() == Err(LeaseError::JetStreamUnavailable)).then_some(())
        })
        .await;
        two.is_told_nothing(20).await;
        assert_eq!(two.link.alive().len(), 2);
    });
}
