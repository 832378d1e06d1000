//! The order of messages, and how they are batched.

use super::support::*;

const HISTORY: &str = "history: {maxMessagesPerRoom: 100}";

#[test]
fn messages_of_a_turn_are_one_batch_per_room_in_order() {
    let (mut stage, ann, bob) = (Stage::new(channel(HISTORY)), client(0, 1), client(2, 2));
    stage.turn([ann.subscribe("a"), ann.subscribe("b"), bob.subscribe("b")]);
    let said = stage.turn([
        bob.publish("b", "1"),
        ann.publish("a", "2"),
        ann.publish("b", "3"),
        ann.publish("c", "4"),
    ]);
    assert_eq!(heard(&said), ["b [1 3] to [1, 0, 1]", "a [2] to [1, 0, 0]"]);
    assert_eq!(
        stage.log.borrow().flushes,
        3,
        "shards are woken once a turn"
    );
}

#[test]
fn every_publisher_gets_its_answer() {
    let (mut stage, ann, bob) = (Stage::new(channel(HISTORY)), client(0, 1), client(2, 2));
    let said = stage.turn([
        ann.publish("r", "1"),
        bob.publish("s", "2"),
        ann.publish("r", "3"),
    ]);
    assert_eq!(
        lines(&said),
        ["1 published 1", "2 published 2", "1 published 3"]
    );
}

#[test]
fn the_ack_of_a_subscription_comes_before_its_first_message() {
    let (mut stage, ann, bob) = (Stage::new(channel(HISTORY)), client(0, 1), client(1, 2));
    stage.turn([ann.subscribe("r")]);
    let said = stage.turn([
        ann.publish("r", "1"),
        bob.subscribe("r"),
        ann.publish("r", "2"),
    ]);
    assert_eq!(
        heard(&said),
        ["2 in r at 0", "r [1 2] to [1, 1, 0]"],
        "what the ack does not cover follows"
    );
    assert_eq!(
        lines(&stage.turn([client(0, 3).subscribe("r")])),
        ["3 in r at 2"]
    );
}

#[test]
fn a_message_is_live_in_rooms_without_history_and_has_a_time() {
    let (mut stage, ann) = (Stage::new(channel("")), client(0, 1));
    stage.turn([ann.subscribe("r")]);
    let said = stage.turn([ann.publish("r", "x")]);
    let Some(Said::Messages { messages, .. }) = said
        .iter()
        .find(|said| matches!(said, Said::Messages { .. }))
    else {
        panic!("{said:?}")
    };
    assert!(messages[0].timestamp > 1_700_000_000_000 && messages[0].offset.is_none());
}

#[test]
fn the_time_of_a_message_is_the_same_live_in_the_ack_and_in_every_replay() {
    let (mut stage, ann) = (Stage::new(channel(HISTORY)), client(0, 1));
    stage.turn([ann.subscribe("r")]);
    let said = stage.turn([ann.publish("r", "x")]);
    let Some(crate::hub::Answer::Published { timestamp, .. }) = answer(&said) else {
        panic!("{said:?}")
    };
    let Some(Said::Messages { messages, .. }) = said
        .iter()
        .find(|said| matches!(said, Said::Messages { .. }))
    else {
        panic!("{said:?}")
    };
    assert_eq!(messages[0].timestamp, timestamp.unwrap());
    let said = stage.turn([ann.history("r", crate::protocol::HistoryRange::Newest, 1)]);
    let Some(crate::hub::Answer::History(page)) = answer(&said) else {
        panic!("{said:?}")
    };
    assert_eq!(page.messages[0].timestamp, timestamp.unwrap());
}

#[test]
fn a_message_that_the_hub_has_seen_is_not_delivered_again() {
    use crate::broker::Event;
    use crate::names::{Epoch, Offset};
    let epoch = Epoch::random();
    let (mut stage, ann) = (Stage::manual(channel(HISTORY), &epoch, 5), client(0, 1));
    stage.turn([ann.subscribe("r")]);
    let message = |offset| {
        let message = crate::message::Message {
            offset: Some(Offset(offset)),
            ..ann.message(room("r"), "x")
        };
        Event::Message(std::sync::Arc::new(message))
    };
    assert_eq!(
        heard(&stage.events([message(4), message(5), message(6), message(6), message(9)])),
        ["r [6 9] to [1, 0, 0]"]
    );
}
