//! Who is in a room, and that nothing stays behind.

use super::support::*;
use crate::broker::Request;
use crate::names::Epoch;

const HISTORY: &str = "history: {maxMessagesPerRoom: 3}";
const NONE: &str = "";

#[test]
fn the_ack_tells_a_position_even_of_an_empty_room() {
    let mut stage = Stage::new(channel(HISTORY));
    assert_eq!(
        lines(&stage.turn([client(0, 1).subscribe("r")])),
        ["1 in r at 0"]
    );
}

#[test]
fn without_history_there_is_no_position_and_nothing_is_recovered() {
    let mut stage = Stage::new(channel(NONE));
    assert_eq!(
        lines(&stage.turn([client(0, 1).subscribe("r")])),
        ["1 in r at -"]
    );
    let resumed = stage.turn([client(0, 2).resume("r", &Epoch::random(), 0)]);
    assert_eq!(lines(&resumed), ["2 in r at - lost []"]);
}

#[test]
fn subscribing_again_is_acked_again_and_counts_once() {
    let (mut stage, ann) = (Stage::new(channel(HISTORY)), client(1, 1));
    stage.turn([ann.subscribe("r")]);
    assert_eq!(lines(&stage.turn([ann.subscribe("r")])), ["1 in r at 0"]);
    assert_eq!(stage.metrics.subscriptions.get(), 1);
    assert_eq!(
        heard(&stage.turn([ann.publish("r", "x")])),
        ["r [1] to [0, 1, 0]"]
    );
}

#[test]
fn after_the_answer_to_unsubscribe_no_message_follows() {
    let (mut stage, ann) = (Stage::new(channel(HISTORY)), client(0, 1));
    stage.turn([ann.subscribe("r")]);
    let said = stage.turn([
        ann.publish("r", "x"),
        ann.unsubscribe("r"),
        ann.publish("r", "y"),
    ]);
    assert_eq!(heard(&said), ["1 left r"]);
    assert_eq!(
        lines(&stage.turn([ann.unsubscribe("r")])),
        ["1 left r"],
        "acked again"
    );
}

#[test]
fn a_disconnect_leaves_no_room_behind() {
    for spec in [NONE, "rooms: [{match: '*', presence: {mode: Full}}]"] {
        let (mut stage, ann, bob) = (Stage::new(channel(spec)), client(0, 1), client(1, 2));
        stage.turn([
            ann.connect(),
            ann.subscribe("a"),
            ann.subscribe("b"),
            bob.subscribe("b"),
            bob.publish("b", "x"),
        ]);
        assert_eq!(stage.rooms(), 2);
        assert_eq!(
            lines(&stage.turn([ann.disconnect(&["a", "b", "other"])])),
            ["1 detached"]
        );
        stage.pass(500);
        assert_eq!(
            (stage.rooms(), stage.metrics.subscriptions.get()),
            (1, 1),
            "{spec}"
        );
        stage.turn([bob.disconnect(&["b"])]);
        stage.pass(500);
        assert_eq!(
            (stage.rooms(), stage.metrics.subscriptions.get()),
            (0, 0),
            "{spec}"
        );
    }
}

#[test]
fn reading_a_room_that_nobody_uses_makes_none() {
    let (mut stage, ann) = (Stage::new(channel(HISTORY)), client(0, 1));
    stage.turn([
        ann.history("a", crate::protocol::HistoryRange::Newest, 1),
        ann.presence("b", None),
    ]);
    assert_eq!(stage.rooms(), 0);
}

#[test]
fn a_publish_into_an_empty_room_without_history_makes_none() {
    let (mut stage, ann) = (Stage::new(channel(NONE)), client(0, 1));
    assert_eq!(
        lines(&stage.turn([ann.publish("r", "x")])),
        ["1 published -"]
    );
    assert_eq!(stage.rooms(), 0);
}

#[test]
fn the_broker_is_told_of_the_first_subscriber_and_of_the_last() {
    let (mut stage, ann, bob) = (
        Stage::manual(channel(HISTORY), &Epoch::random(), 0),
        client(0, 1),
        client(1, 2),
    );
    let watched = |stage: &mut Stage<Manual>| {
        let requests = std::mem::take(&mut stage.hub.broker().requests);
        let told = |request| match request {
            Request::Watch { room, .. } => format!("watch {room}"),
            Request::Unwatch(room) => format!("unwatch {room}"),
            other => format!("{other:?}"),
        };
        requests.into_iter().map(told).collect::<Vec<_>>()
    };
    stage.turn([ann.subscribe("r"), bob.subscribe("r"), ann.subscribe("r")]);
    assert_eq!(watched(&mut stage), ["watch r"]);
    stage.turn([ann.unsubscribe("r"), ann.unsubscribe("r")]);
    assert!(watched(&mut stage).is_empty());
    stage.turn([bob.unsubscribe("r")]);
    assert_eq!(watched(&mut stage), ["unwatch r"]);
}

#[test]
fn a_slot_that_is_used_again_is_another_subscriber() {
    let (mut stage, ann) = (Stage::new(channel(NONE)), client(0, 1));
    let mut bob = client(0, 1);
    bob.address.generation = 1;
    stage.turn([ann.subscribe("r"), bob.subscribe("r")]);
    stage.turn([ann.disconnect(&["r"])]);
    assert_eq!(
        heard(&stage.turn([bob.publish("r", "x")])),
        ["r [x] to [1, 0, 0]"]
    );
}
