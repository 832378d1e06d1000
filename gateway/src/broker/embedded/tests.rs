use std::task::Waker;

use super::super::Range;
use super::*;
use crate::message::Payload;
use crate::names::{ConnectionId, RoomName, UserId};

fn channel(deduplication_seconds: u64) -> Channel {
    let text = format!(
        "apiVersion: realtime.linnet.dev/v1alpha1\nkind: RealtimeChannel\nmetadata: {{name: t}}\n\
         spec: {{authentication: {{anonymous: Allow}}, history: {{deduplicationSeconds: {deduplication_seconds}}}}}\n"
    );
    Channel::compile(&linnet_crds::parse(&text).unwrap())
}

fn room() -> RoomName {
    RoomName::parse("r").unwrap()
}

fn key(id: &str) -> DeduplicationKey {
    DeduplicationKey::new(&room(), b"scope", id)
}

fn publish(token: Token, stored: bool, id: Option<&str>) -> Request {
    let message = Message {
        room: room(),
        offset: None,
        timestamp: 0,
        from: Some(UserId::anonymous(ConnectionId::random())),
        event: None,
        data: Payload::Text("x".into()),
        info: None,
        skip: None,
        trace: None,
    };
    Request::Publish {
        token,
        message: Box::new(message),
        stored,
        key: id.map(key),
    }
}

fn events(broker: &mut Embedded) -> Vec<Event> {
    let mut events = VecDeque::new();
    let _ = broker.poll_events(&mut Context::from_waker(Waker::noop()), &mut events);
    events.into()
}

/// Offsets of messages as `m1`, of receipts as `p1`, `-` where there is none, `!` for repeats.
fn outcome(broker: &mut Embedded) -> Vec<String> {
    let at = |offset: Option<Offset>| offset.map_or("-".into(), |offset| offset.0.to_string());
    let one = |event| match event {
        Event::Message(message) => format!("m{}", at(message.offset)),
        Event::Published {
            result: Ok(receipt),
            ..
        } => {
            format!(
                "p{}{}",
                at(receipt.position.map(|(_, offset)| offset)),
                if receipt.duplicate { "!" } else { "" }
            )
        }
        other => format!("{other:?}"),
    };
    events(broker).into_iter().map(one).collect()
}

fn begun(channel: &Channel) -> Embedded {
    let mut broker = Embedded::new(channel);
    events(&mut broker);
    broker
}

#[test]
fn it_begins_with_a_new_epoch_at_position_0() {
    let first = || match &events(&mut Embedded::new(&channel(60)))[..] {
        [
            Event::Position {
                partition: Partition(0),
                epoch,
                last: Offset(0),
                whole: true,
            },
        ] => epoch.clone(),
        other => panic!("{other:?}"),
    };
    assert_ne!(first(), first());
}

#[test]
fn rooms_with_history_share_one_count_of_offsets() {
    let mut broker = begun(&channel(60));
    for (token, stored) in [(1, true), (2, false), (3, true)] {
        broker.submit(publish(token, stored, None));
    }
    assert_eq!(outcome(&mut broker), ["m1", "p1", "m-", "p-", "m2", "p2"]);
}

#[test]
fn the_receipt_has_the_time_of_the_message_and_time_never_goes_back() {
    let mut broker = begun(&channel(60));
    broker.last_timestamp = u64::MAX - 1; // as if the clock had been set back since
    broker.submit(publish(1, true, None));
    let all = events(&mut broker);
    let [
        Event::Message(message),
        Event::Published {
            token: 1,
            result: Ok(receipt),
        },
    ] = &all[..]
    else {
        panic!("{all:?}")
    };
    assert_eq!(
        (message.timestamp, receipt.timestamp),
        (u64::MAX - 1, Some(u64::MAX - 1))
    );
}

#[test]
fn a_repeat_is_answered_with_the_first_and_delivered_once() {
    let mut broker = begun(&channel(60));
    for id in [Some("a"), Some("b"), Some("a"), None, None] {
        broker.submit(publish(1, true, id));
    }
    assert_eq!(
        outcome(&mut broker),
        ["m1", "p1", "m2", "p2", "p1!", "m3", "p3", "m4", "p4"]
    );
}

#[test]
fn without_history_nothing_is_remembered() {
    let mut broker = begun(&channel(60));
    broker.submit(publish(1, false, Some("a")));
    broker.submit(publish(1, false, Some("a")));
    broker.submit(publish(1, true, Some("a")));
    assert_eq!(outcome(&mut broker), ["m-", "p-", "m-", "p-", "m1", "p1"]);
}

#[test]
fn an_id_is_remembered_for_the_window_and_a_repeat_does_not_prolong_it() {
    let mut published = Published::new(&channel(10));
    let receipt = Receipt {
        position: Some((Epoch::random(), Offset(1))),
        timestamp: Some(5),
        duplicate: false,
        deduplicated: true,
    };
    let start = Instant::now();
    let at = |milliseconds| start + Duration::from_millis(milliseconds);
    published.remember(key("a"), receipt.clone(), start);
    for milliseconds in [0, 5_000, 9_999] {
        let repeat = Receipt {
            duplicate: true,
            ..receipt.clone()
        };
        assert_eq!(published.get(&key("a"), at(milliseconds)), Some(repeat));
    }
    assert_eq!(published.get(&key("a"), at(10_000)), None);
    let second = Receipt {
        position: Some((Epoch::random(), Offset(2))),
        ..receipt.clone()
    };
    published.remember(key("a"), second, at(10_000));
    let offset = |receipt: Option<Receipt>| {
        receipt
            .and_then(|receipt| receipt.position)
            .map(|(_, offset)| offset)
    };
    assert_eq!(
        offset(published.get(&key("a"), at(19_999))),
        Some(Offset(2))
    );
    assert_eq!(published.get(&key("a"), at(20_000)), None);
    assert!(published.receipts.is_empty() && published.order.is_empty());
}

#[test]
fn a_new_window_holds_for_what_is_remembered_already() {
    let mut published = Published::new(&channel(100));
    let receipt = Receipt {
        position: None,
        timestamp: Some(5),
        duplicate: false,
        deduplicated: true,
    };
    let start = Instant::now();
    published.remember(key("a"), receipt.clone(), start);
    published.configure(&channel(10));
    assert!(
        published
            .get(&key("a"), start + Duration::from_secs(9))
            .is_some()
    );
    assert!(
        published
            .get(&key("a"), start + Duration::from_secs(10))
            .is_none()
    );
}

#[test]
fn ids_take_an_eighth_of_history_memory_at_most_and_the_oldest_go() {
    let mut small = channel(1000);
    small.limits.history_memory = 8 * KEY_FOOTPRINT * 3;
    let (mut published, now) = (Published::new(&small), Instant::now());
    let receipt = Receipt {
        position: None,
        timestamp: Some(5),
        duplicate: false,
        deduplicated: true,
    };
    for id in ["a", "b", "c", "d"] {
        published.remember(key(id), receipt.clone(), now);
    }
    let known = ["a", "b", "c", "d"].map(|id| published.get(&key(id), now).is_some());
    assert_eq!(known, [false, true, true, true]);
    assert_eq!((published.receipts.len(), published.order.len()), (3, 3));
}

#[test]
fn it_stores_nothing_so_no_read_is_complete() {
    let mut broker = begun(&channel(60));
    broker.submit(Request::Read {
        token: 7,
        room: room(),
        range: Range::After(Offset(0)),
        limit: 1,
    });
    assert!(matches!(
        events(&mut broker)[..],
        [Event::Read {
            token: 7,
            complete: None
        }]
    ));
}
