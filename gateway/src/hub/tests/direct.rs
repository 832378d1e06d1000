//! Messages to users, and how many connections a user may have.

use std::sync::Arc;

use super::support::*;
use crate::broker::{Close, Event, Request};
use crate::hub::{Command, CommandKind};
use crate::names::{ConnectionId, Epoch, UserId};

#[test]
fn a_direct_message_reaches_every_connection_of_a_user() {
    let mut stage = Stage::new(channel(""));
    let (ann, too, bob) = (
        client(0, 1).named("ann"),
        client(2, 2).named("ann"),
        client(1, 3).named("bob"),
    );
    stage.turn([ann.connect(), too.connect(), bob.connect()]);
    assert_eq!(
        lines(&stage.turn([bob.send("ann", "hi")])),
        ["1 direct [hi]", "2 direct [hi]", "3 sent to 2"]
    );
    assert_eq!(
        lines(&stage.turn([ann.send("ann", "me")])).len(),
        3,
        "to oneself as well"
    );
}

#[test]
fn an_anonymous_connection_is_reached_by_its_id_and_others_are_not() {
    let mut stage = Stage::new(channel(""));
    let (anonymous, ann) = (client(0, 1), client(1, 2).named("ann"));
    stage.turn([anonymous.connect(), ann.connect()]);
    let said = stage.turn([ann.send(&anonymous.connection.to_string(), "hi")]);
    assert_eq!(lines(&said), ["1 direct [hi]", "2 sent to 1"]);
    assert_eq!(
        lines(&stage.turn([anonymous.send(&ann.connection.to_string(), "hi")])),
        ["1 sent to 0"]
    );
}

#[test]
fn nobody_is_offline() {
    let (mut stage, ann) = (Stage::new(channel("")), client(0, 1).named("ann"));
    stage.turn([ann.connect()]);
    let long = "x".repeat(257);
    for to in [
        "bob",
        "",
        "~",
        "~bob",
        "a\nb",
        &long,
        &client(0, 2).connection.to_string(),
    ] {
        assert_eq!(
            lines(&stage.turn([ann.send(to, "hi")])),
            ["1 sent to 0"],
            "{to}"
        );
    }
}

#[test]
fn who_has_disconnected_is_offline() {
    let mut stage = Stage::new(channel(""));
    let (ann, anonymous) = (client(0, 1).named("ann"), client(0, 2));
    stage.turn([ann.connect(), anonymous.connect()]);
    stage.turn([ann.disconnect(&[]), anonymous.disconnect(&[])]);
    let bob = client(1, 3);
    assert_eq!(lines(&stage.turn([bob.send("ann", "hi")])), ["3 sent to 0"]);
    assert_eq!(
        lines(&stage.turn([bob.send(&anonymous.connection.to_string(), "hi")])),
        ["3 sent to 0"]
    );
}

#[test]
fn a_direct_message_has_a_time_and_its_sender() {
    let (mut stage, ann) = (Stage::new(channel("")), client(0, 1).named("ann"));
    stage.turn([ann.connect()]);
    let said = stage.turn([ann.send("ann", "hi")]);
    let Said::Sent(delivery) = &said[0] else {
        panic!("{said:?}")
    };
    let crate::hub::Delivery::Direct { message, .. } = &**delivery else {
        panic!("{said:?}")
    };
    assert_eq!(message.from, crate::names::UserId::from_token("ann"));
    assert!(message.timestamp > 1_700_000_000_000);
}

#[test]
fn over_the_limit_the_oldest_connection_is_replaced() {
    let mut stage = Stage::new(channel("limits: {connectionsPerUser: 2}"));
    let ann: Vec<Client> = (1..=4)
        .map(|slot| client(slot as u16 % 3, slot).named("ann"))
        .collect();
    assert!(
        stage
            .turn([
                ann[0].connect(),
                ann[1].connect(),
                client(0, 9).named("bob").connect()
            ])
            .is_empty()
    );
    assert_eq!(lines(&stage.turn([ann[2].connect()])), ["1 close replaced"]);
    assert_eq!(
        lines(&stage.turn([ann[3].connect(), ann[0].disconnect(&[])])),
        ["2 close replaced", "1 detached"]
    );
    assert_eq!(
        lines(&stage.turn([ann[2].send("ann", "hi")])),
        ["3 direct [hi]", "4 direct [hi]", "3 sent to 2"]
    );
}

#[test]
fn anonymous_connections_count_as_one_user_each() {
    let mut stage = Stage::new(channel("limits: {connectionsPerUser: 1}"));
    assert!(
        stage
            .turn((0..5).map(|slot| client(0, slot).connect()))
            .is_empty()
    );
}

#[test]
fn the_broker_knows_who_has_a_user_and_says_whose_place_was_taken_elsewhere() {
    let mut stage = Stage::manual(channel(""), &Epoch::random(), 0);
    let (ann, anonymous) = (client(0, 1).named("ann"), client(0, 2));
    stage.turn([ann.connect(), anonymous.connect()]);
    let requests = std::mem::take(&mut stage.hub.broker().requests);
    let [Request::Connect { user, connection }] = &requests[..] else {
        panic!("{requests:?}")
    };
    assert_eq!(
        (Some(user), *connection),
        (ann.user.as_ref(), ann.connection)
    );
    let replaced = || Event::Replaced {
        user: user.clone(),
        connection: ann.connection,
    };
    assert_eq!(lines(&stage.events([replaced()])), ["1 close replaced"]);
    assert!(stage.events([replaced()]).is_empty(), "once");
    stage.turn([ann.disconnect(&[]), anonymous.disconnect(&[])]);
    let requests = std::mem::take(&mut stage.hub.broker().requests);
    assert!(
        matches!(&requests[..], [Request::Disconnect { connection, .. }] if *connection == ann.connection),
        "{requests:?}"
    );
}

fn expel(from: &Client, to: &str) -> Command {
    let to = match ConnectionId::parse(to) {
        Some(connection) => UserId::anonymous(connection),
        None => UserId::from_token(to).unwrap(),
    };
    let close = Arc::new(Close {
        code: 4321,
        reason: "why".into(),
    });
    from.ask(1, CommandKind::Expel { to, close })
}

#[test]
fn connections_are_closed_by_their_user_or_by_their_own_id_whoevers_they_are() {
    let mut stage = Stage::new(channel(""));
    let (ann, too, anonymous) = (
        client(0, 1).named("ann"),
        client(1, 2).named("ann"),
        client(0, 3),
    );
    stage.turn([ann.connect(), too.connect(), anonymous.connect()]);
    for (to, closed) in [
        ("ann".to_owned(), vec!["1 expel 4321", "2 expel 4321"]),
        (too.connection.to_string(), vec!["2 expel 4321"]),
        (anonymous.connection.to_string(), vec!["3 expel 4321"]),
        (ConnectionId::random().to_string(), vec![]),
        ("bob".to_owned(), vec![]),
    ] {
        let mut expected = closed.clone();
        let sent = format!("3 sent to {}", closed.len());
        expected.push(&sent);
        expected.sort_unstable();
        let mut said = lines(&stage.turn([expel(&anonymous, &to)]));
        said.sort_unstable();
        assert_eq!(said, expected, "{to}");
    }
}

#[test]
fn whoever_may_know_is_told_where_a_user_is() {
    let mut stage = Stage::new(channel(""));
    let (ann, too, anonymous) = (
        client(0, 1).named("ann"),
        client(1, 2).named("ann"),
        client(0, 3),
    );
    stage.turn([ann.connect(), too.connect(), anonymous.connect()]);
    let user = |name| UserId::from_token(name).unwrap();
    for (user, expected) in [
        (user("ann"), "1 2 of 2 here"),
        (user("bob"), "1 0 of 0 here"),
        (UserId::anonymous(anonymous.connection), "1 1 of 1 here"),
        (UserId::anonymous(ann.connection), "1 0 of 0 here"),
    ] {
        let ask = ann.ask(1, CommandKind::Whereabouts { user });
        assert_eq!(lines(&stage.turn([ask])), [expected]);
    }
}
