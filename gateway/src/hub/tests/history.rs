//! What rooms keep, and what they let go.

use super::support::*;
use crate::names::{Epoch, Offset};
use crate::protocol::HistoryRange::{After, Before, Newest};

const DAY_MS: u64 = 86_400_000;

#[test]
fn history_reads_the_newest_and_pages_both_ways() {
    let (mut stage, ann) = (
        Stage::new(channel("history: {maxMessagesPerRoom: 5}")),
        client(0, 1),
    );
    stage.turn((0..7).map(|_| ann.publish("r", "x")));
    for (range, limit, expected) in [
        (Newest, 100, "[3 4 5 6 7]"),
        (Newest, 2, "[6 7] more"),
        (Before(Offset(6)), 2, "[4 5] more"),
        (Before(Offset(4)), 2, "[3]"),
        (Before(Offset(3)), 2, "[]"),
        (Before(Offset(100)), 1, "[7] more"),
        (After(Offset(0)), 2, "[3 4] more"),
        (After(Offset(5)), 2, "[6 7]"),
        (After(Offset(7)), 2, "[]"),
    ] {
        let said = stage.turn([ann.history("r", range, limit)]);
        assert_eq!(
            lines(&said),
            [format!("1 history {expected}")],
            "{range:?} {limit}"
        );
    }
    assert_eq!(
        lines(&stage.turn([ann.history("other", Newest, 5)])),
        ["1 history []"]
    );
}

#[test]
fn a_history_page_holds_256_kib_but_at_least_one_message() {
    let (mut stage, ann) = (Stage::new(channel("history: {}")), client(0, 1));
    for size in [200_000, 200_000, 300_000] {
        stage.turn([ann.publish("r", &"x".repeat(size))]);
    }
    assert_eq!(
        lines(&stage.turn([ann.history("r", Newest, 100)])),
        ["1 history [3] more"]
    );
    assert_eq!(
        lines(&stage.turn([ann.history("r", Before(Offset(3)), 100)])),
        ["1 history [2] more"]
    );
    assert_eq!(
        lines(&stage.turn([ann.history("r", After(Offset(0)), 100)])),
        ["1 history [1] more"]
    );
}

#[test]
fn a_room_without_history_says_so() {
    let spec = "history: {}, rooms: [{match: live, history: Disabled}]";
    let (mut stage, ann) = (Stage::new(channel(spec)), client(0, 1));
    assert_eq!(
        lines(&stage.turn([ann.history("live", Newest, 1)])),
        ["1 refused no_history"]
    );
    assert_eq!(
        lines(&stage.turn([ann.history("other", Newest, 1)])),
        ["1 history []"]
    );
}

#[test]
fn what_is_too_old_is_neither_read_nor_resumed() {
    let epoch = Epoch::random();
    let (mut stage, ann) = (
        Stage::manual(channel("history: {}"), &epoch, 0),
        client(0, 1),
    );
    stage.turn([ann.subscribe("r")]);
    stage.events([
        aged("r", 1, DAY_MS + 20_000),
        aged("r", 2, DAY_MS + 10_000),
        aged("r", 3, 0),
    ]);
    let said = stage.turn([ann.history("r", Newest, 100)]);
    assert_eq!(lines(&said), ["1 history [3]"], "a day is the default");
    stage.turn([ann.resume("r", &epoch, 1)]);
    assert_eq!(
        stage.reads().len(),
        1,
        "what the ring does not prove is asked of the broker"
    );
    assert_eq!(
        lines(&stage.turn([ann.resume("r", &epoch, 2)]))[1..],
        ["1 in r at 3 recovered [3]"]
    );
}

#[test]
fn a_room_that_only_held_what_is_too_old_is_forgotten() {
    let epoch = Epoch::random();
    let (mut stage, ann) = (
        Stage::manual(channel("history: {}"), &epoch, 0),
        client(0, 1),
    );
    stage.events([
        aged("read", 1, DAY_MS + 1),
        aged("idle", 2, DAY_MS + 1),
        aged("new", 3, 0),
    ]);
    assert_eq!(stage.rooms(), 3);
    stage.turn([ann.history("read", Newest, 100)]);
    assert!(!stage.hub.expire());
    stage.turn([]);
    assert_eq!(stage.rooms(), 1);
    assert_eq!(
        lines(&stage.turn([ann.history("new", Newest, 100)])),
        ["1 history [3]"]
    );
    let ring = stage.metrics.ring_bytes.get();
    assert!((1..2000).contains(&ring), "{ring}");
}

#[test]
fn messages_that_are_too_old_go_in_slices_until_none_is_left() {
    let epoch = Epoch::random();
    let mut stage = Stage::manual(channel("history: {}"), &epoch, 0);
    let old = |offset: u64| aged(&format!("room {offset}"), offset, DAY_MS + 1);
    stage.events((1..=5000).map(old));
    stage.events([aged("new", 5001, 0)]);
    let mut slices = 0;
    while stage.hub.expire() {
        slices += 1;
        stage.turn([]);
        assert!(stage.rooms() + slices * 1000 >= 5001, "a slice is bounded");
    }
    stage.turn([]);
    assert_eq!(stage.rooms(), 1);
}

#[test]
fn an_old_message_goes_although_its_room_has_a_new_one() {
    let epoch = Epoch::random();
    let mut stage = Stage::manual(channel("history: {}"), &epoch, 0);
    stage.events([aged("r", 1, DAY_MS - 60_000), aged("r", 2, 0)]);
    let before = stage.metrics.ring_bytes.get();
    assert!(!stage.hub.expire());
    stage.configure([], channel("history: {maxAgeSeconds: 86000}"));
    assert!(!stage.hub.expire());
    stage.turn([]);
    let after = stage.metrics.ring_bytes.get();
    assert!(0 < after && after < before, "{before} -> {after}");
}

#[test]
fn a_room_that_was_forgotten_proves_nothing_of_before() {
    let epoch = Epoch::random();
    let (mut stage, ann) = (
        Stage::manual(channel("history: {}"), &epoch, 0),
        client(0, 1),
    );
    stage.events([aged("r", 1, DAY_MS + 1), aged("r", 2, DAY_MS + 1)]);
    assert!(!stage.hub.expire());
    stage.turn([]);
    assert_eq!(stage.rooms(), 0);
    stage.turn([ann.resume("r", &epoch, 1)]);
    assert_eq!(stage.reads().len(), 1);
    assert_eq!(
        lines(&stage.turn([client(0, 2).resume("r", &epoch, 2)])),
        ["2 in r at 2 recovered []"]
    );
}

#[test]
fn history_memory_lets_go_of_the_rooms_used_least_recently() {
    let mut small = channel("history: {}");
    small.limits.history_memory = 6 * 2000;
    let (mut stage, ann) = (Stage::new(small), client(0, 1));
    let epoch = stage.epoch();
    let big = "x".repeat(1000);
    for name in ["a", "b", "c", "d"] {
        stage.turn([ann.publish(name, &big)]);
    }
    stage.turn([ann.history("a", Newest, 1)]);
    for name in ["e", "f", "g"] {
        stage.turn([ann.publish(name, &big)]);
    }
    assert!(stage.metrics.ring_bytes.get() <= 6 * 2000);
    let evicted = stage.metrics.rings_evicted.get();
    assert!((1..6).contains(&evicted), "{evicted}");
    assert_eq!(
        lines(&stage.turn([ann.resume("b", &epoch, 1)])),
        ["1 in b at 7 lost []"]
    );
    let kept = stage.turn([client(0, 2).resume("a", &epoch, 0)]);
    assert_eq!(
        lines(&kept),
        ["2 in a at 7 recovered [1]"],
        "a read is a use"
    );
    assert_eq!(
        lines(&stage.turn([client(0, 3).resume("g", &epoch, 6)])),
        ["3 in g at 7 recovered [7]"]
    );
}

#[test]
fn a_room_that_emptied_by_age_counts_for_history_memory_again() {
    let mut small = channel("history: {}");
    small.limits.history_memory = 20_000;
    let epoch = Epoch::random();
    let (mut stage, ann) = (Stage::manual(small, &epoch, 0), client(0, 1));
    stage.turn([ann.subscribe("r")]);
    stage.events([aged("r", 1, DAY_MS + 1)]);
    stage.turn([ann.history("r", Newest, 1)]);
    assert!(!stage.hub.expire());
    for offset in 2..100 {
        stage.events([aged("r", offset, 0)]);
        let bytes = stage.metrics.ring_bytes.get();
        assert!(bytes <= 20_000, "{bytes} bytes at {offset}");
    }
    assert!(stage.metrics.rings_evicted.get() > 0);
}

#[test]
fn a_ring_that_was_let_go_of_begins_again() {
    let mut small = channel("history: {}");
    small.limits.history_memory = 3000;
    let (mut stage, ann) = (Stage::new(small), client(0, 1));
    let epoch = stage.epoch();
    stage.turn([ann.subscribe("r")]);
    let said = stage.turn([ann.publish("r", &"x".repeat(3000)), ann.publish("r", "y")]);
    assert_eq!(
        heard(&said),
        ["r [1 2] to [1, 0, 0]"],
        "live delivery does not depend on it"
    );
    assert_eq!(
        lines(&stage.turn([ann.resume("r", &epoch, 0)])),
        ["1 in r at 2 lost []"]
    );
    assert_eq!(
        lines(&stage.turn([ann.resume("r", &epoch, 1)])),
        ["1 in r at 2 recovered [2]"]
    );
}

#[test]
fn what_publishers_say_of_themselves_takes_memory_too() {
    let (mut stage, ann) = (Stage::new(channel("history: {}")), client(0, 1));
    stage.turn((0..10).map(|_| {
        let mut command = ann.publish("r", "x");
        if let crate::hub::CommandKind::Publish { message, .. } = &mut command.kind {
            message.info = Some("7".repeat(1024).into());
        }
        command
    }));
    assert!(stage.metrics.ring_bytes.get() > 10 * 1024);
}
