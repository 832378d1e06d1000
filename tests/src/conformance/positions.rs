//! Order, offsets and what is stored.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use linnet_gateway::broker::{Event, PublishError, Range, Request};
use linnet_gateway::names::Offset;

use super::driver::{Driver, at, number, read_number, room};
use super::{Factory, Started};
use crate::manifest::Manifest;

/// How many publishes make a burst.
const BURST: u64 = 1000;

/// A broker says where its store stands before it says anything of it.
pub async fn a_position_is_told_before_anything_else(factory: &impl Factory) {
    let mut driver = Driver::new(factory).await;
    let token = driver.token();
    let room = room("r");
    driver.submit(Request::Watch { token, room });
    driver.publish(number("r", 1), true, None);
    loop {
        match driver.next().await {
            Event::Watched { .. } => {}
            Event::Position { last, .. } => return assert_eq!(last, Offset(0), "it is empty"),
            // One that is not connected yet can't publish.
            Event::Published {
                result: Err(PublishError::Unavailable),
                ..
            } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Receipt, message and position agree.
pub async fn a_stored_message_has_the_offset_of_its_receipt_in_the_epoch_that_was_told(
    factory: &impl Factory,
) {
    let mut driver = Driver::new(factory).await;
    let told = |event: &Event| match event {
        Event::Position { epoch, .. } => Some(epoch.clone()),
        _ => None,
    };
    let epoch = driver.take("a position", told).await;
    driver.watch("r").await;
    let receipt = driver.store(number("r", 1), None).await;
    let (in_epoch, offset) = at(&receipt);
    assert_eq!(in_epoch, epoch);
    assert!(!receipt.duplicate);
    assert_eq!(driver.message("r").await.offset, Some(offset));
}

/// One publisher's messages are numbered as it sent them.
pub async fn offsets_rise_over_all_rooms_in_the_order_of_a_publisher(factory: &impl Factory) {
    let mut driver = Driver::watching(factory, &["a", "b", "c"]).await;
    let mut last = Offset(0);
    for n in 0..30 {
        let name = ["a", "b", "c"][n as usize % 3];
        let (_, offset) = at(&driver.store(number(name, n), None).await);
        assert!(offset > last, "{offset:?} came after {last:?}");
        last = offset;
    }
    for name in ["a", "b", "c"] {
        let mut last = None;
        for n in (0..30).filter(|n| ["a", "b", "c"][*n as usize % 3] == name) {
            let message = driver.message(name).await;
            assert_eq!(read_number(&message), n);
            assert!(message.offset > last, "offsets of {name} rise");
            last = message.offset;
        }
    }
}

/// What is not stored is not numbered.
pub async fn a_message_without_history_has_no_position(factory: &impl Factory) {
    let mut driver = Driver::in_rooms(factory, &["r"], false).await;
    let receipt = driver.pass(number("r", 1)).await;
    assert_eq!((receipt.position, receipt.duplicate), (None, false));
    let message = driver.message("r").await;
    assert_eq!((read_number(&message), message.offset), (1, None));
}

/// With history or without, a message says when it was published.
pub async fn messages_have_the_time_of_their_publication(factory: &impl Factory) {
    let mut driver = Driver::watching(factory, &["kept", "live"]).await;
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let before = now();
    driver.store(number("kept", 1), None).await;
    driver.pass(number("live", 1)).await;
    for name in ["kept", "live"] {
        let at = Duration::from_millis(driver.message(name).await.timestamp);
        // The same machine, but rounded to milliseconds by whoever took the time.
        let slack = Duration::from_millis(2);
        assert!(
            at + slack >= before && at <= now() + slack,
            "{name} at {at:?}, begun at {before:?}"
        );
    }
}

/// No publish is dropped because many are under way.
pub async fn a_burst_of_1000_publishes_is_answered_whole_and_arrives_in_order(
    factory: &impl Factory,
) {
    burst(factory, true).await;
}

/// [`a_burst_of_1000_publishes_is_answered_whole_and_arrives_in_order`], without history.
pub async fn a_burst_without_history_is_answered_whole_and_arrives_in_order(
    factory: &impl Factory,
) {
    burst(factory, false).await;
}

async fn burst(factory: &impl Factory, stored: bool) {
    let mut driver = Driver::in_rooms(factory, &["r"], stored).await;
    let tokens: Vec<_> = (0..BURST)
        .map(|n| driver.publish(number("r", n), stored, None))
        .collect();
    for token in tokens {
        let receipt = driver.receipt(token).await;
        assert_eq!(receipt.position.is_some(), stored);
    }
    for n in 0..BURST {
        assert_eq!(read_number(&*driver.message("r").await), n);
    }
}

/// Interest that ended begins anew.
pub async fn a_room_that_was_unwatched_and_watched_again_is_heard(factory: &impl Factory) {
    for stored in [true, false] {
        let mut driver = Driver::in_rooms(factory, &["r"], stored).await;
        driver.submit(Request::Unwatch(room("r")));
        driver.watch("r").await;
        driver.publish(number("r", 1), stored, None);
        assert_eq!(
            read_number(&*driver.message("r").await),
            1,
            "stored: {stored}"
        );
    }
}

/// What is held back because of full queues comes when they have room again.
pub async fn what_is_held_back_comes_later(factory: &impl Factory) {
    let mut driver = Driver::watching(factory, &["r"]).await;
    driver.hold(true);
    for n in 0..50 {
        driver.store(number("r", n), None).await;
    }
    driver.hold(false);
    for n in 0..50 {
        assert_eq!(read_number(&*driver.message("r").await), n);
    }
}

/// A read is whole, or says that it is not.
pub async fn a_read_has_what_is_stored_or_says_that_it_can_not<F: Factory>(factory: &F) {
    let mut driver = Driver::ready(factory).await;
    let mut offsets = Vec::new();
    for n in 0..10 {
        offsets.push(at(&driver.store(number("r", n), None).await).1);
        driver.store(number("other", n), None).await;
    }
    for (range, limit, expected) in [
        (Range::After(Offset(0)), 100, 0..10),
        (Range::After(offsets[3]), 100, 4..10),
        (Range::After(offsets[3]), 2, 4..6),
        (Range::After(offsets[9]), 100, 10..10),
        (Range::Before(offsets[3]), 100, 0..3),
        (Range::Before(offsets[3]), 2, 1..3),
        (Range::Before(offsets[0]), 100, 0..0),
    ] {
        let wanted = driver.token();
        driver.submit(Request::Read {
            token: wanted,
            room: room("r"),
            range,
            limit,
        });
        let answer = |event: &Event| match event {
            Event::Read { token, complete } if *token == wanted => Some(complete.clone()),
            _ => None,
        };
        let complete = driver.take("the answer to a read", answer).await;
        let numbers = complete.map(|messages| {
            let numbers = messages.iter().map(|message| read_number(message));
            numbers.collect::<Vec<_>>()
        });
        assert_eq!(numbers, F::STORES.then(|| expected.collect()));
    }
}

/// A channel with more streams has more partitions, and every room is in one of them.
pub async fn rooms_are_spread_over_the_partitions(factory: &impl Factory) {
    let manifest = Manifest::unhurried().history(100).partitions(4);
    let Started {
        broker,
        keep: _keep,
    } = factory.start(&manifest).await;
    assert_eq!(broker.partitions(), 4);
    let mut seen = [false; 4];
    for n in 0..100 {
        let name = room(&format!("room {n}"));
        let partition = broker.partition(&name);
        assert_eq!(broker.partition(&name), partition, "it is constant");
        seen[usize::from(partition.0)] = true;
    }
    assert_eq!(seen, [true; 4]);
}
