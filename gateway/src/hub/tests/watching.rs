//! Subscribes to rooms without history wait until the broker hears the room.

use super::support::*;
use crate::broker::{Event, Request};
use crate::names::Epoch;

/// With a broker that hears a room when the test says so.
fn stage() -> Stage<Manual> {
    let mut stage = Stage::manual(channel(""), &Epoch::random(), 0);
    stage.hub.broker().slow_to_watch = true;
    stage
}

/// What the broker was asked to watch.
fn watches(stage: &mut Stage<Manual>) -> Vec<u64> {
    let requests = std::mem::take(&mut stage.hub.broker().requests);
    let token = |request| match request {
        Request::Watch { token, .. } => Some(token),
        _ => None,
    };
    requests.into_iter().filter_map(token).collect()
}

fn message(data: &str) -> Event {
    Event::Message(client(0, 9).message(room("r"), data).into())
}

#[test]
fn all_who_come_before_the_broker_hears_the_room_are_answered_when_it_does() {
    let (mut stage, ann, bob) = (stage(), client(0, 1), client(1, 2));
    assert!(stage.turn([ann.subscribe("r")]).is_empty());
    assert!(
        stage
            .turn([bob.subscribe("r"), ann.subscribe("r")])
            .is_empty()
    );
    let [token] = watches(&mut stage)[..] else {
        panic!("one watch")
    };
    let said = stage.events([Event::Watched { token }]);
    assert_eq!(lines(&said), ["1 in r at -", "2 in r at -", "1 in r at -"]);
    let carl = client(2, 3);
    assert_eq!(lines(&stage.turn([carl.subscribe("r")])), ["3 in r at -"]);
}

#[test]
fn who_waits_gets_what_comes_after_the_ack_and_nothing_before() {
    let (mut stage, ann) = (stage(), client(0, 1));
    stage.turn([ann.subscribe("r")]);
    let [token] = watches(&mut stage)[..] else {
        panic!("one watch")
    };
    let said = stage.events([
        message("before"),
        Event::Watched { token },
        message("after"),
    ]);
    assert_eq!(lines(&said), ["1 in r at -", "r [after] to [1, 0, 0]"]);
}

#[test]
fn who_leaves_while_waiting_gets_both_answers_in_order() {
    let (mut stage, ann, bob) = (stage(), client(0, 1), client(1, 2));
    stage.turn([ann.subscribe("r"), bob.subscribe("r")]);
    let said = stage.turn([ann.unsubscribe("r")]);
    assert_eq!(lines(&said), ["1 in r at -", "1 left r"]);
    let [token] = watches(&mut stage)[..] else {
        panic!("one watch")
    };
    assert_eq!(
        lines(&stage.events([Event::Watched { token }])),
        ["2 in r at -"]
    );
}

#[test]
fn an_answer_to_an_earlier_watch_lets_nobody_in() {
    let (mut stage, ann) = (stage(), client(0, 1));
    stage.turn([ann.subscribe("r"), ann.unsubscribe("r"), ann.subscribe("r")]);
    let [first, second] = watches(&mut stage)[..] else {
        panic!("two watches")
    };
    assert!(stage.events([Event::Watched { token: first }]).is_empty());
    let said = stage.events([Event::Watched { token: second }]);
    assert_eq!(lines(&said), ["1 in r at -"]);
}

#[test]
fn a_room_with_history_waits_for_nothing() {
    let mut stage = Stage::manual(channel("history: {}"), &Epoch::random(), 0);
    stage.hub.broker().slow_to_watch = true;
    assert_eq!(
        lines(&stage.turn([client(0, 1).subscribe("r")])),
        ["1 in r at 0"]
    );
}
