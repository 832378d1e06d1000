//! Queues to shards that are full.

use super::support::*;

fn fill(stage: &Stage<impl crate::broker::Broker>, shards: &[u16]) {
    stage.log.borrow_mut().full = shards.iter().copied().collect();
}

#[test]
fn a_room_with_history_refuses_what_its_subscribers_could_not_get() {
    let (mut stage, ann, bob) = (
        Stage::new(channel("history: {}")),
        client(0, 1),
        client(1, 2),
    );
    stage.turn([ann.subscribe("r"), ann.subscribe("s"), bob.subscribe("s")]);
    fill(&stage, &[1]);
    let said = stage.turn([
        ann.publish("s", "x"),
        ann.publish("r", "y"),
        ann.publish("nobody", "z"),
    ]);
    assert_eq!(
        lines(&said),
        [
            "1 refused overloaded",
            "1 published 1",
            "1 published 2",
            "r [1] to [1, 0, 0]"
        ]
    );
    fill(&stage, &[]);
    assert_eq!(
        heard(&stage.turn([ann.publish("s", "x")])),
        ["s [3] to [1, 1, 0]"]
    );
}

#[test]
fn a_room_without_history_drops_for_the_full_shard_and_tells_it_later() {
    let (mut stage, ann, bob) = (Stage::new(channel("")), client(0, 1), client(1, 2));
    stage.turn([ann.subscribe("r"), bob.subscribe("r")]);
    fill(&stage, &[1]);
    assert_eq!(
        heard(&stage.turn([ann.publish("r", "x")])),
        ["r [x] to [1, 0, 0]"]
    );
    assert_eq!(
        heard(&stage.turn([ann.publish("r", "y")])),
        ["r [y] to [1, 0, 0]"]
    );
    fill(&stage, &[]);
    assert_eq!(
        heard(&stage.turn([ann.publish("r", "z")])),
        ["r gap overload at -", "r [z] to [1, 1, 0]"]
    );
    assert!(stage.turn([]).is_empty(), "told once");
    assert_eq!(stage.metrics.gaps.get(), 1);
}

#[test]
fn the_gap_is_told_when_nothing_else_happens() {
    let (mut stage, ann) = (Stage::new(channel("")), client(1, 1));
    stage.turn([ann.subscribe("r"), ann.subscribe("s")]);
    fill(&stage, &[1]);
    let said = stage.turn([ann.publish("r", "x"), ann.publish("s", "y")]);
    assert!(heard(&said).is_empty(), "nobody takes them");
    fill(&stage, &[]);
    assert_eq!(
        heard(&stage.turn([])),
        ["r gap overload at -", "s gap overload at -"]
    );
}

#[test]
fn no_message_comes_between_what_was_dropped_and_its_gap() {
    let (mut stage, ann) = (Stage::new(channel("")), client(0, 1));
    stage.turn([ann.subscribe("r")]);
    fill(&stage, &[0]);
    stage.turn([ann.publish("r", "lost")]);
    fill(&stage, &[]);
    // The shard empties its queue between two looks of one turn.
    stage.log.borrow_mut().looks.extend([true, false]);
    let mut heard_all = heard(&stage.turn([ann.publish("r", "x")]));
    heard_all.extend(heard(&stage.turn([ann.publish("r", "y")])));
    let gap = heard_all
        .iter()
        .position(|line| line.contains("gap"))
        .expect("a gap");
    let taken = heard_all
        .iter()
        .position(|line| line.ends_with("[1, 0, 0]"))
        .expect("a message");
    assert!(gap < taken, "{heard_all:?}");
}

#[test]
fn a_direct_message_goes_to_all_connections_of_a_user_or_is_refused() {
    let mut stage = Stage::new(channel(""));
    let (ann, too, bob) = (
        client(0, 1).named("ann"),
        client(1, 2).named("ann"),
        client(2, 3).named("bob"),
    );
    stage.turn([ann.connect(), too.connect(), bob.connect()]);
    fill(&stage, &[1]);
    assert_eq!(
        lines(&stage.turn([bob.send("ann", "hi"), bob.send("bob", "me")])),
        ["3 direct [me]", "3 refused overloaded", "3 sent to 1"]
    );
    fill(&stage, &[]);
    assert_eq!(
        lines(&stage.turn([bob.send("ann", "hi")])),
        ["1 direct [hi]", "2 direct [hi]", "3 sent to 2"]
    );
}
