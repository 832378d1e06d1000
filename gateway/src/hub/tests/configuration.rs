//! Edits of the channel, on a hub at work.

use super::support::*;
use crate::protocol::HistoryRange::Newest;

const ON: &str = "history: {maxMessagesPerRoom: 10}";
const EXCEPT: &str = "history: {maxMessagesPerRoom: 10}, rooms: [{match: r, history: Disabled}]";

#[test]
fn a_room_that_begins_to_keep_messages_proves_nothing_of_before() {
    let (mut stage, ann) = (Stage::new(channel(EXCEPT)), client(0, 1));
    let epoch = stage.epoch();
    stage.turn([
        ann.publish("other", "x"),
        ann.publish("r", "live"),
        ann.subscribe("r"),
    ]);
    stage.configure([], channel(ON));
    assert_eq!(
        lines(&stage.turn([ann.resume("r", &epoch, 0)])),
        ["1 in r at 1 lost []"]
    );
    assert_eq!(
        heard(&stage.turn([ann.publish("r", "x")])),
        ["r [2] to [1, 0, 0]"]
    );
    assert_eq!(
        lines(&stage.turn([ann.resume("r", &epoch, 1)])),
        ["1 in r at 2 recovered [2]"]
    );
    let other = stage.turn([client(0, 2).resume("other", &epoch, 0)]);
    assert_eq!(
        lines(&other),
        ["2 in other at 2 recovered [1]"],
        "rooms that kept all along still do"
    );
}

#[test]
fn subscribers_of_a_room_that_begins_to_keep_messages_are_told_their_position() {
    let (mut stage, ann) = (Stage::new(channel(EXCEPT)), client(0, 1));
    stage.turn([
        ann.publish("other", "x"),
        ann.subscribe("r"),
        ann.subscribe("other"),
    ]);
    assert_eq!(
        lines(&stage.configure([], channel(ON))),
        ["r gap epoch_changed at 1"]
    );
}

#[test]
fn a_room_that_is_not_in_memory_when_it_begins_to_keep_messages_proves_nothing_either() {
    let (mut stage, ann) = (Stage::new(channel(EXCEPT)), client(0, 1));
    let epoch = stage.epoch();
    stage.turn([ann.publish("other", "x"), ann.publish("r", "live")]);
    stage.configure([], channel(ON));
    assert_eq!(
        lines(&stage.turn([ann.resume("r", &epoch, 0)])),
        ["1 in r at 1 lost []"]
    );
}

#[test]
fn a_room_that_stops_keeping_messages_lets_them_go() {
    for off in [EXCEPT, ""] {
        let (mut stage, ann) = (Stage::new(channel(ON)), client(0, 1));
        let epoch = stage.epoch();
        stage.turn([
            ann.subscribe("r"),
            ann.publish("r", "x"),
            ann.publish("r", "y"),
        ]);
        stage.configure([], channel(off));
        assert_eq!(stage.metrics.ring_bytes.get(), 0);
        assert_eq!(
            lines(&stage.turn([ann.history("r", Newest, 5)])),
            ["1 refused no_history"]
        );
        assert_eq!(
            lines(&stage.turn([ann.resume("r", &epoch, 1)])),
            ["1 in r at - lost []"]
        );
        assert_eq!(
            heard(&stage.turn([ann.publish("r", "z")])),
            ["r [z] to [1, 0, 0]"]
        );
        stage.configure([], channel(ON));
        assert_eq!(
            lines(&stage.turn([ann.history("r", Newest, 5)])),
            ["1 history []"]
        );
        assert_eq!(
            lines(&stage.turn([ann.resume("r", &epoch, 1)])),
            ["1 in r at 2 lost []"]
        );
    }
}

#[test]
fn rooms_that_nobody_is_in_go_when_they_stop_keeping_messages() {
    let (mut stage, ann) = (Stage::new(channel(ON)), client(0, 1));
    stage.turn([
        ann.publish("a", "x"),
        ann.publish("b", "y"),
        ann.subscribe("b"),
    ]);
    stage.configure([], channel(""));
    assert_eq!(stage.rooms(), 1);
}

#[test]
fn a_message_that_is_under_way_when_its_room_stops_keeping_is_not_kept() {
    let (mut stage, ann) = (Stage::new(channel(ON)), client(0, 1));
    stage.turn([ann.subscribe("r")]);
    let said = stage.configure([ann.publish("r", "x")], channel(EXCEPT));
    assert_eq!(heard(&said), ["r [1] to [1, 0, 0]"]);
    assert_eq!(stage.metrics.ring_bytes.get(), 0);
}

#[test]
fn fewer_messages_per_room_trims_at_once() {
    let (mut stage, ann) = (Stage::new(channel(ON)), client(0, 1));
    let epoch = stage.epoch();
    stage.turn((0..5).map(|_| ann.publish("r", "x")));
    let before = stage.metrics.ring_bytes.get();
    stage.configure([], channel("history: {maxMessagesPerRoom: 2}"));
    assert!(stage.metrics.ring_bytes.get() < before);
    assert_eq!(
        lines(&stage.turn([ann.history("r", Newest, 5)])),
        ["1 history [4 5]"]
    );
    assert_eq!(
        lines(&stage.turn([ann.resume("r", &epoch, 2)])),
        ["1 in r at 5 lost []"]
    );
    assert_eq!(
        lines(&stage.turn([ann.resume("r", &epoch, 3)])),
        ["1 in r at 5 recovered [4 5]"]
    );
}

#[test]
fn more_messages_per_room_holds_from_now_on() {
    let (mut stage, ann) = (
        Stage::new(channel("history: {maxMessagesPerRoom: 2}")),
        client(0, 1),
    );
    stage.turn((0..5).map(|_| ann.publish("r", "x")));
    assert!(stage.configure([], channel(ON)).is_empty());
    stage.turn((0..3).map(|_| ann.publish("r", "x")));
    assert_eq!(
        lines(&stage.turn([ann.history("r", Newest, 100)])),
        ["1 history [4 5 6 7 8]"]
    );
}

#[test]
fn less_history_memory_lets_go_at_once() {
    let (mut stage, ann) = (Stage::new(channel(ON)), client(0, 1));
    stage.turn(["a", "b", "c"].map(|name| ann.publish(name, &"x".repeat(1000))));
    let mut small = channel(ON);
    small.limits.history_memory = 3000;
    stage.configure([], small);
    assert!(stage.metrics.ring_bytes.get() <= 3000);
    assert_eq!(
        lines(&stage.turn([ann.history("c", Newest, 5)])),
        ["1 history [3]"]
    );
    assert_eq!(stage.rooms(), 1);
}

#[test]
fn an_edit_of_something_else_changes_nothing() {
    let (mut stage, ann) = (Stage::new(channel(ON)), client(0, 1));
    let epoch = stage.epoch();
    stage.turn([
        ann.subscribe("r"),
        ann.publish("r", "x"),
        ann.publish("r", "y"),
    ]);
    let other =
        format!("{ON}, limits: {{messageSize: 1Ki}}, rooms: [{{match: '*', publish: Nobody}}]");
    stage.configure([], channel(&other));
    assert_eq!(
        lines(&stage.turn([ann.resume("r", &epoch, 1)])),
        ["1 in r at 2 recovered [2]"]
    );
}
