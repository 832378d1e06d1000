//! How many connections a user may have on all gateways together, which no client can try while nobody has a token: two
//! brokers on one server are asked what the hub asks.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_gateway::broker::nats::presence::link::LinkHandle;
use linnet_gateway::broker::{Event, Member, Request};
use linnet_gateway::message::unix_milliseconds;
use linnet_gateway::names::{ConnectionId, UserId};
use linnet_tests::conformance::driver::room;
use linnet_tests::conformance::{Driver, Started};
use linnet_tests::nats;
use linnet_tests::prelude::*;
use tokio::runtime::Runtime;

fn manifest(server: &NatsServer, per_user: u32) -> Manifest {
    let limits = json!({"limits": {"connectionsPerUser": per_user}});
    let manifest = Manifest::unhurried().history(10).spec(limits);
    manifest.nats(&[server.url()])
}

fn ann() -> UserId {
    UserId::from_token("ann").unwrap()
}

/// A gateway as far as its broker goes, on a runtime of its own.
struct Side {
    driver: Driver,
    presence: LinkHandle,
    /// Ends with all its tasks, as a process does.
    runtime: Runtime,
}

impl Side {
    async fn start(server: &NatsServer, per_user: u32) -> Self {
        let manifest = manifest(server, per_user);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let starting = runtime.spawn(async move { nats::broker(&manifest).await });
        let broker = starting.await.unwrap();
        let presence = broker.presence();
        let started = Started {
            broker: Box::new(broker),
            keep: Box::new(()),
        };
        let driver = Driver::over(started).connected().await;
        Self {
            driver,
            presence,
            runtime,
        }
    }

    /// Somebody connects as Ann.
    async fn connect(&mut self) -> ConnectionId {
        let (user, connection) = (ann(), ConnectionId::random());
        self.driver.submit(Request::Connect { user, connection });
        let begun = unix_milliseconds();
        while unix_milliseconds() == begun {
            tokio::task::yield_now().await; // gateways count milliseconds: who comes next is newer
        }
        connection
    }

    /// The next connection of this gateway that is too many.
    async fn replaced(&mut self) -> ConnectionId {
        let test = |event: &Event| match event {
            Event::Replaced { user, connection } => Some((user.clone(), *connection)),
            _ => None,
        };
        let (user, connection) = self
            .driver
            .take("a connection that is too many", test)
            .await;
        assert_eq!(user, ann());
        connection
    }

    /// What has happened on `other` before is known here, and made nobody here too many.
    async fn is_content(&mut self, other: &mut Side) {
        let (name, connection) = (room("content"), ConnectionId::random());
        self.driver.watch("content").await;
        other.driver.submit(Request::Join {
            room: name.clone(),
            member: Member {
                connection,
                user: None,
                info: None,
            },
        });
        loop {
            match self.driver.next().await {
                Event::Joined { member, .. } if member.connection == connection => break,
                Event::Replaced { connection, .. } => panic!("{connection} is not too many"),
                _ => {}
            }
        }
        self.driver.submit(Request::Unwatch(name));
    }

    /// Ends as a process that is killed does.
    fn kill(self) {
        self.runtime.shutdown_background();
    }
}

#[test]
fn the_oldest_connection_of_a_user_is_too_many_wherever_it_is() {
    scenario(60, async {
        let server = NatsServer::jetstream().await;
        let mut one = Side::start(&server, 2).await;
        let mut two = Side::start(&server, 2).await;
        let first = one.connect().await;
        let second = two.connect().await;
        one.is_content(&mut two).await;
        two.is_content(&mut one).await;
        two.connect().await;
        assert_eq!(one.replaced().await, first);
        one.connect().await;
        assert_eq!(two.replaced().await, second);
        for side in [one, two] {
            side.kill();
        }
    });
}

#[test]
fn one_that_has_left_makes_room() {
    scenario(60, async {
        let server = NatsServer::jetstream().await;
        let mut one = Side::start(&server, 1).await;
        let mut two = Side::start(&server, 1).await;
        let connection = two.connect().await;
        let user = ann();
        two.driver.submit(Request::Disconnect { user, connection });
        one.connect().await;
        one.is_content(&mut two).await;
        for side in [one, two] {
            side.kill();
        }
    });
}

#[test]
fn connections_of_a_gateway_that_drains_do_not_count() {
    scenario(60, async {
        let server = NatsServer::jetstream().await;
        let mut one = Side::start(&server, 1).await;
        let mut two = Side::start(&server, 1).await;
        one.connect().await;
        one.presence.drain();
        two.connect().await;
        one.is_content(&mut two).await;
        two.is_content(&mut one).await;
        for side in [one, two] {
            side.kill();
        }
    });
}

#[test]
fn connections_of_a_gateway_that_is_lost_do_not_count() {
    scenario(120, async {
        let server = NatsServer::jetstream().await;
        let mut one = Side::start(&server, 2).await;
        let mut two = Side::start(&server, 2).await;
        let mut three = Side::start(&server, 2).await;
        one.connect().await;
        two.connect().await;
        one.driver.watch("there").await;
        let (room, connection) = (room("there"), ConnectionId::random());
        let member = Member {
            connection,
            user: None,
            info: None,
        };
        two.driver.submit(Request::Join { room, member });
        let joined = |event: &Event| matches!(event, Event::Joined { .. }).then_some(());
        one.driver.take("a join", joined).await;
        two.kill();
        let mut presence = one.presence.clone();
        let gone = async {
            while presence.alive().len() > 2 {
                presence.changed().await;
            }
        };
        within("the lost gateway to be known as such", 60, gone).await;
        let left = |event: &Event| matches!(event, Event::Left { .. }).then_some(());
        one.driver
            .take("the lost gateway to be taken for dead", left)
            .await;
        three.connect().await;
        one.is_content(&mut three).await;
        for side in [one, three] {
            side.kill();
        }
    });
}
