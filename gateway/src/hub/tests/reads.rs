//! Going on from a position that is older than the ring, with a broker that stores.

use std::sync::Arc;

use super::support::*;
use crate::broker::{Event, GapReason, Partition, Range, Request, Scope};
use crate::message::Message;
use crate::names::{Epoch, Offset};
use crate::protocol::HistoryRange;

fn message(offset: u64, size: usize) -> Arc<Message> {
    let message = client(0, 9).message(room("r"), &"x".repeat(size));
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64;
    Arc::new(Message {
        offset: Some(Offset(offset)),
        timestamp: now,
        ..message
    })
}

/// A gateway that began at position 50.
fn stage() -> (Stage<Manual>, Epoch) {
    let epoch = Epoch::random();
    (Stage::manual(channel("history: {}"), &epoch, 50), epoch)
}

/// Resumes and lets the broker answer.
fn resumed(
    stage: &mut Stage<Manual>,
    epoch: &Epoch,
    since: u64,
    complete: Option<Vec<Arc<Message>>>,
) -> Vec<String> {
    assert!(
        stage
            .turn([client(0, 1).resume("r", epoch, since)])
            .is_empty(),
        "no answer before the broker's"
    );
    let [token] = stage.reads()[..] else {
        panic!("one read")
    };
    lines(&stage.events([Event::Read { token, complete }]))
}

#[test]
fn what_the_ring_does_not_hold_is_asked_of_the_broker() {
    let (mut stage, epoch) = stage();
    stage.turn([client(0, 1).resume("r", &epoch, 7)]);
    let requests = std::mem::take(&mut stage.hub.broker().requests);
    let reads: Vec<_> = requests
        .iter()
        .filter(|request| matches!(request, Request::Read { .. }))
        .collect();
    let [
        Request::Read {
            room, range, limit, ..
        },
    ] = reads[..]
    else {
        panic!("{requests:?}")
    };
    assert_eq!(
        (room.as_str(), *range, *limit),
        ("r", Range::After(Offset(7)), 101)
    );
}

#[test]
fn a_complete_read_is_the_page() {
    let (mut stage, epoch) = stage();
    let all = vec![message(7, 1), message(9, 1), message(30, 1)];
    assert_eq!(
        resumed(&mut stage, &epoch, 7, Some(all)),
        ["1 in r at 50 recovered [9 30]"]
    );
    assert_eq!(
        lines(&stage.events([Event::Message(message(51, 1))])),
        ["r [51] to [1, 0, 0]"]
    );
}

#[test]
fn a_read_that_is_not_complete_is_lost() {
    let (mut stage, epoch) = stage();
    assert_eq!(
        resumed(&mut stage, &epoch, 7, None),
        ["1 in r at 50 lost []"]
    );
    assert_eq!(
        lines(&stage.events([Event::Message(message(51, 1))])),
        ["r [51] to [1, 0, 0]"]
    );
}

#[test]
fn a_long_read_goes_on_with_the_next_page() {
    let epoch = Epoch::random();
    let mut stage = Stage::manual(channel("history: {}"), &epoch, 250);
    let all = (8..=49)
        .chain(100..=200)
        .take(101)
        .map(|offset| message(offset, 1))
        .collect();
    let said = resumed(&mut stage, &epoch, 7, Some(all));
    assert!(
        said[0].starts_with("1 in r at 157 recovered [8 9") && said[0].ends_with("157] more"),
        "{said:?}"
    );
    assert!(
        stage.events([Event::Message(message(300, 1))]).is_empty(),
        "catching up"
    );
}

#[test]
fn a_page_of_a_read_holds_256_kib_too() {
    let (mut stage, epoch) = stage();
    let all = (8..=12).map(|offset| message(offset, 100_000)).collect();
    assert_eq!(
        resumed(&mut stage, &epoch, 7, Some(all)),
        ["1 in r at 9 recovered [8 9] more"]
    );
}

#[test]
fn a_read_leads_to_the_ring() {
    let (mut stage, epoch) = stage();
    stage.events([
        Event::Message(message(51, 1)),
        Event::Message(message(52, 1)),
    ]);
    assert_eq!(
        resumed(&mut stage, &epoch, 7, Some(vec![message(9, 1)])),
        ["1 in r at 9 recovered [9] more"]
    );
    assert_eq!(
        resumed(&mut stage, &epoch, 9, Some(vec![])),
        ["1 in r at 52 recovered [51 52]"],
        "never an empty page"
    );
    assert_eq!(
        lines(&stage.events([Event::Message(message(53, 1))])),
        ["r [53] to [1, 0, 0]"]
    );
}

#[test]
fn while_it_is_read_nothing_is_live() {
    let (mut stage, epoch) = stage();
    stage.turn([client(0, 1).resume("r", &epoch, 7)]);
    assert!(stage.events([Event::Message(message(51, 1))]).is_empty());
    let token = stage.reads()[0];
    let said = stage.events([Event::Read {
        token,
        complete: Some(vec![message(9, 1)]),
    }]);
    assert_eq!(
        lines(&said),
        ["1 in r at 9 recovered [9] more"],
        "51 comes with a page"
    );
}

#[test]
fn who_has_left_while_it_was_read_is_answered_first_and_stays_away() {
    let (mut stage, epoch) = stage();
    let (ann, bob) = (client(0, 1), client(1, 2));
    stage.turn([bob.subscribe("r"), ann.resume("r", &epoch, 7)]);
    let token = stage.reads()[0];
    assert_eq!(
        lines(&stage.turn([ann.unsubscribe("r")])),
        ["1 in r at 50 lost []", "1 left r"]
    );
    assert!(
        stage
            .events([Event::Read {
                token,
                complete: Some(vec![message(9, 1)])
            }])
            .is_empty()
    );
    assert_eq!(
        lines(&stage.events([Event::Message(message(51, 1))])),
        ["r [51] to [0, 1, 0]"]
    );
}

#[test]
fn a_newer_subscribe_while_it_is_read_holds() {
    let (mut stage, epoch) = stage();
    let ann = client(0, 1);
    stage.turn([ann.resume("r", &epoch, 7)]);
    let token = stage.reads()[0];
    assert_eq!(
        lines(&stage.turn([ann.subscribe("r")])),
        ["1 in r at 50 lost []", "1 in r at 50"]
    );
    let many = (8..=120).map(|offset| message(offset, 1)).collect();
    assert!(
        stage
            .events([Event::Read {
                token,
                complete: Some(many)
            }])
            .is_empty()
    );
    assert_eq!(
        lines(&stage.events([Event::Message(message(51, 1))])),
        ["r [51] to [1, 0, 0]"]
    );
}

#[test]
fn a_read_of_an_epoch_that_has_ended_is_lost() {
    let (mut stage, epoch) = stage();
    stage.turn([client(0, 1).resume("r", &epoch, 7)]);
    let token = stage.reads()[0];
    let said = stage.events([
        Event::Position {
            partition: Partition(0),
            epoch: Epoch::random(),
            last: Offset(3),
            whole: false,
        },
        Event::Read {
            token,
            complete: Some(vec![message(9, 1)]),
        },
    ]);
    assert_eq!(lines(&said), ["1 in r at 3 lost []"]);
}

#[test]
fn a_ring_that_was_let_go_of_while_it_was_read_is_no_hole() {
    for (read, expected) in [
        (vec![message(9, 1)], "1 in r at 9 recovered [9] more"),
        (vec![], "1 in r at 52 lost []"),
    ] {
        let epoch = Epoch::random();
        let mut small = channel("history: {}");
        small.limits.history_memory = 3000;
        let mut stage = Stage::manual(small, &epoch, 50);
        stage.turn([client(0, 1).resume("r", &epoch, 7)]);
        let token = stage.reads()[0];
        stage.events([51, 52].map(|offset| Event::Message(message(offset, 3000))));
        assert_eq!(stage.metrics.ring_bytes.get(), 0);
        let said = stage.events([Event::Read {
            token,
            complete: Some(read),
        }]);
        assert_eq!(lines(&said), [expected]);
    }
}

#[test]
fn history_that_memory_does_not_hold_is_asked_of_the_broker() {
    let (mut stage, _) = stage();
    let ann = client(0, 1);
    stage.events([51, 52].map(|offset| Event::Message(message(offset, 1))));
    let held = stage.turn([ann.history("r", HistoryRange::Newest, 2)]);
    assert_eq!(lines(&held), ["1 history [51 52]"], "the ring is enough");
    let mut asked = |range, limit, read: Option<Vec<u64>>| {
        assert!(stage.turn([ann.history("r", range, limit)]).is_empty());
        let token = stage.reads()[0];
        let complete = read.map(|read| read.into_iter().map(|at| message(at, 1)).collect());
        lines(&stage.events([Event::Read { token, complete }]))
    };
    let newest = asked(HistoryRange::Newest, 3, Some(vec![40, 45, 51, 52]));
    assert_eq!(newest, ["1 history [45 51 52] more"]);
    let after = asked(HistoryRange::After(Offset(7)), 2, Some(vec![9, 45, 51]));
    assert_eq!(after, ["1 history [9 45] more"]);
    let before = asked(HistoryRange::Before(Offset(51)), 5, Some(vec![9, 45]));
    assert_eq!(before, ["1 history [9 45]"]);
    let alone = asked(HistoryRange::Newest, 5, None);
    assert_eq!(
        alone,
        ["1 history [51 52]"],
        "what there is, where no more can be had"
    );
}

#[test]
fn a_position_that_this_gateway_has_not_reached_is_waited_for() {
    let (mut stage, epoch) = stage();
    stage.turn([client(0, 2).subscribe("r")]);
    stage.turn([client(0, 1).resume("r", &epoch, 52)]);
    let token = stage.reads()[0];
    let known = Event::Read {
        token,
        complete: Some(vec![message(53, 1)]),
    };
    assert!(
        stage.events([known]).is_empty(),
        "it is known, but not here"
    );
    let said = lines(&stage.events([51].map(|offset| Event::Message(message(offset, 1)))));
    assert_eq!(said, ["r [51] to [1, 0, 0]"]);
    let said = lines(&stage.events([52, 53].map(|offset| Event::Message(message(offset, 1)))));
    let expected = ["r [52 53] to [1, 0, 0]", "1 in r at 53 recovered [53]"];
    assert_eq!(said, expected, "to those who were there, then the answer");
    let said = lines(&stage.events([Event::Message(message(54, 1))]));
    assert_eq!(said, ["r [54] to [2, 0, 0]"]);
}

#[test]
fn a_position_that_nobody_has_reached_is_not_recovered() {
    let (mut stage, epoch) = stage();
    let said = resumed(&mut stage, &epoch, 52, None);
    assert_eq!(said, ["1 in r at 50 lost []"]);
}

#[test]
fn messages_that_came_before_a_page_in_the_same_turn_do_not_follow_it() {
    let (mut stage, epoch) = stage();
    stage.turn([client(0, 1).resume("r", &epoch, 7)]);
    let token = stage.reads()[0];
    let read = Event::Read {
        token,
        complete: Some(vec![message(9, 1)]),
    };
    let said = lines(&stage.events([Event::Message(message(51, 1)), read]));
    assert_eq!(said, ["1 in r at 9 recovered [9] more"]);
}

#[test]
fn what_a_read_has_beyond_this_gateway_s_position_comes_live() {
    let (mut stage, epoch) = stage();
    let read = vec![message(9, 1), message(50, 1), message(51, 1)];
    let said = resumed(&mut stage, &epoch, 7, Some(read));
    assert_eq!(said, ["1 in r at 50 recovered [9 50]"]);
    let said = lines(&stage.events([Event::Message(message(51, 1))]));
    assert_eq!(said, ["r [51] to [1, 0, 0]"]);
}

#[test]
fn who_knows_a_position_that_this_gateway_reaches_by_a_gap_has_missed_nothing() {
    let (mut stage, epoch) = stage();
    stage.turn([client(0, 1).resume("r", &epoch, 60)]);
    let [token] = stage.reads()[..] else {
        panic!("one read")
    };
    // All up to there has gone unread: it was purged, or has aged.
    stage.events([
        Event::Position {
            partition: Partition(0),
            epoch,
            last: Offset(60),
            whole: false,
        },
        Event::Lost {
            scope: Scope::Partition(Partition(0)),
            reason: GapReason::Lagged,
        },
    ]);
    let complete = Some(Vec::new());
    let said = stage.events([Event::Read { token, complete }]);
    assert_eq!(lines(&said), ["1 in r at 60 recovered []"]);
}
