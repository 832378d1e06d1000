//! Presence and direct messages, as one gateway sees them.

use linnet_gateway::broker::{Event, Member, PublishError, Request};
use linnet_gateway::message::{Message, Payload};
use linnet_gateway::names::{ConnectionId, UserId};

use super::Factory;
use super::driver::{Driver, message, number, read_number, room};

fn ann() -> UserId {
    UserId::from_token("ann").unwrap()
}

fn join(driver: &mut Driver, name: &str, member: &Member) {
    driver.submit(Request::Join {
        room: room(name),
        member: member.clone(),
    });
}

fn leave(driver: &mut Driver, name: &str, connection: ConnectionId) {
    driver.submit(Request::Leave {
        room: room(name),
        connection,
    });
}

fn anonymous() -> Member {
    Member {
        connection: ConnectionId::random(),
        user: None,
        info: None,
    }
}

async fn joined(driver: &mut Driver, name: &str) -> Member {
    let test = |event: &Event| match event {
        Event::Joined { room, member } if room.as_str() == name => Some(member.clone()),
        _ => None,
    };
    driver.take("a join", test).await
}

async fn left(driver: &mut Driver, name: &str) -> ConnectionId {
    let test = |event: &Event| match event {
        Event::Left { room, connection } if room.as_str() == name => Some(*connection),
        _ => None,
    };
    driver.take("a leave", test).await
}

/// A join is told with all that is known of who joined.
pub async fn one_who_joins_is_told_with_user_and_info(factory: &impl Factory) {
    let mut driver = Driver::watching(factory, &["r"]).await;
    let known = Member {
        user: Some(ann()),
        info: Some(r#"{"name":"Ann \"A\" 🐦","n":9007199254740993}"#.into()),
        ..anonymous()
    };
    for member in [known, anonymous()] {
        join(&mut driver, "r", &member);
        assert_eq!(joined(&mut driver, "r").await, member);
    }
}

/// A leave is told.
pub async fn one_who_leaves_is_told(factory: &impl Factory) {
    let mut driver = Driver::watching(factory, &["a", "b"]).await;
    let member = anonymous();
    for name in ["a", "b"] {
        join(&mut driver, name, &member);
        joined(&mut driver, name).await;
    }
    leave(&mut driver, "b", member.connection);
    assert_eq!(left(&mut driver, "b").await, member.connection);
    leave(&mut driver, "a", member.connection);
    assert_eq!(left(&mut driver, "a").await, member.connection);
}

/// Joins and leaves of one connection are told in their order.
pub async fn the_same_connection_may_come_and_go(factory: &impl Factory) {
    let mut driver = Driver::watching(factory, &["r"]).await;
    let member = anonymous();
    for _ in 0..10 {
        join(&mut driver, "r", &member);
        leave(&mut driver, "r", member.connection);
    }
    let last = anonymous();
    join(&mut driver, "r", &last);
    // Visits may be merged away, but what is told takes turns and ends as it is.
    let mut here = false;
    loop {
        let test = |event: &Event| match event {
            Event::Joined { member, .. } => Some((member.connection, true)),
            Event::Left { connection, .. } => Some((*connection, false)),
            _ => None,
        };
        let (connection, now) = driver.take("a join or a leave", test).await;
        if connection == last.connection {
            break;
        }
        assert_ne!(now, here, "joins and leaves take turns");
        here = now;
    }
    assert!(!here, "who left is gone");
}

/// The count is that of all gateways, of which this is the only one.
pub async fn a_direct_message_comes_here_and_its_count_is_told(factory: &impl Factory) {
    let mut driver = Driver::ready(factory).await;
    for here in [1, 3] {
        let (came, sent) = driver.direct(&ann(), number("r", 7), Some(here)).await;
        assert_eq!(read_number(&came.expect("the message")), 7);
        assert_eq!(sent, Ok(here));
    }
}

/// Nobody there is an answer, not an error.
pub async fn a_direct_message_to_nobody_reaches_0_connections(factory: &impl Factory) {
    let mut driver = Driver::ready(factory).await;
    let (_, sent) = driver.direct(&ann(), number("r", 7), Some(0)).await;
    assert_eq!(sent, Ok(0));
}

/// Who could not be reached because of full queues is not taken for offline.
pub async fn a_direct_message_that_full_queues_refused_is_overloaded(factory: &impl Factory) {
    let mut driver = Driver::ready(factory).await;
    let (_, sent) = driver.direct(&ann(), number("r", 7), None).await;
    assert_eq!(sent, Err(PublishError::Overloaded));
}

/// A direct message is as whole as one to a room.
pub async fn fields_of_a_direct_message_survive(factory: &impl Factory) {
    let mut driver = Driver::ready(factory).await;
    for to in [
        ann(),
        UserId::from_token("a.b > * $JS ünï 🐦").unwrap(),
        UserId::from_token(&"x".repeat(256)).unwrap(),
        UserId::anonymous(ConnectionId::random()),
    ] {
        let sent = Message {
            from: Some(ann()),
            event: Some("line\nbreak\r\nNats-Msg-Id: x".into()),
            info: Some(r#"{"name":"Ann"}"#.into()),
            ..message("r", Payload::Binary(vec![0, 255, 10, 13].into()))
        };
        let (came, count) = driver.direct(&to, sent.clone(), Some(1)).await;
        let came = came.expect("the message");
        assert_eq!(count, Ok(1));
        assert_eq!((&came.from, &came.event), (&sent.from, &sent.event));
        assert_eq!((&came.info, &came.data), (&sent.info, &sent.data));
    }
}
