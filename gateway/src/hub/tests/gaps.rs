//! What a broker has missed, and stores that begin again.

use super::support::*;
use crate::broker::{Event, GapReason, Partition, Scope};
use crate::names::{Epoch, Offset};
use crate::protocol::HistoryRange::Newest;

fn stored(name: &str, offset: u64) -> Event {
    aged(name, offset, 0)
}

fn stage() -> (Stage<Manual>, Epoch) {
    let epoch = Epoch::random();
    (
        Stage::manual(
            channel("history: {}, rooms: [{match: 'live*', history: Disabled}]"),
            &epoch,
            0,
        ),
        epoch,
    )
}

#[test]
fn every_shard_with_live_subscribers_is_told() {
    let (mut stage, _) = stage();
    stage.turn([
        client(0, 1).subscribe("r"),
        client(2, 2).subscribe("r"),
        client(1, 3).subscribe("s"),
    ]);
    let said = stage.events([Event::Lost {
        scope: Scope::Room(room("r")),
        reason: GapReason::Lagged,
    }]);
    assert_eq!(lines(&said), ["r gap lagged at 0", "r gap lagged at 0"]);
    assert!(
        stage
            .events([Event::Lost {
                scope: Scope::Room(room("unknown")),
                reason: GapReason::Lagged
            }])
            .is_empty()
    );
    let mut all = lines(&stage.events([Event::Lost {
        scope: Scope::Everything,
        reason: GapReason::BrokerReset,
    }]));
    all.sort();
    assert_eq!(
        all,
        [
            "r gap broker_reset at 0",
            "r gap broker_reset at 0",
            "s gap broker_reset at 0"
        ]
    );
}

#[test]
fn messages_that_came_before_a_gap_stand_before_it_and_later_ones_after() {
    let (mut stage, _) = stage();
    stage.turn([client(0, 1).subscribe("r")]);
    let said = stage.events([
        stored("r", 1),
        stored("r", 2),
        Event::Lost {
            scope: Scope::Room(room("r")),
            reason: GapReason::Lagged,
        },
        stored("r", 4),
    ]);
    assert_eq!(
        lines(&said),
        [
            "r [1 2] to [1, 0, 0]",
            "r gap lagged at 2",
            "r [4] to [1, 0, 0]"
        ]
    );
}

#[test]
fn without_history_a_gap_has_no_position() {
    let (mut stage, _) = stage();
    stage.turn([client(0, 1).subscribe("live")]);
    let said = stage.events([Event::Lost {
        scope: Scope::Everything,
        reason: GapReason::BrokerReset,
    }]);
    assert_eq!(lines(&said), ["live gap broker_reset at -"]);
}

#[test]
fn after_a_gap_nothing_before_it_is_called_complete() {
    for lost in [
        Scope::Room(room("r")),
        Scope::Partition(Partition(0)),
        Scope::Everything,
    ] {
        let (mut stage, epoch) = stage();
        let ann = client(0, 1);
        stage.turn([ann.subscribe("r")]);
        stage.events([stored("r", 1), stored("r", 2)]);
        // The broker has missed what stands between 2 and 6.
        let said = stage.events([
            Event::Position {
                partition: Partition(0),
                epoch: epoch.clone(),
                last: Offset(6),
                whole: false,
            },
            Event::Lost {
                scope: lost,
                reason: GapReason::Lagged,
            },
            stored("r", 7),
        ]);
        assert_eq!(lines(&said), ["r gap lagged at 6", "r [7] to [1, 0, 0]"]);
        stage.reads();
        assert!(stage.turn([ann.resume("r", &epoch, 2)]).is_empty());
        let token = stage.reads()[0];
        let said = stage.events([Event::Read {
            token,
            complete: None,
        }]);
        assert_eq!(lines(&said), ["1 in r at 7 lost []"]);
        assert_eq!(
            lines(&stage.turn([ann.resume("r", &epoch, 6)])),
            ["1 in r at 7 recovered [7]"]
        );
    }
}

#[test]
fn a_gap_of_a_room_that_is_not_in_memory_is_remembered() {
    let (mut stage, epoch) = stage();
    stage.events([
        stored("s", 1),
        Event::Lost {
            scope: Scope::Room(room("r")),
            reason: GapReason::Lagged,
        },
    ]);
    stage.turn([client(0, 1).resume("r", &epoch, 0)]);
    assert_eq!(stage.reads().len(), 1);
    let said = stage.turn([client(0, 2).resume("s", &epoch, 0)]);
    assert_eq!(
        lines(&said),
        ["2 in s at 1 recovered [1]"],
        "other rooms are as complete as before"
    );
}

#[test]
fn another_epoch_voids_everything_and_is_told() {
    let (mut stage, old) = stage();
    let (ann, bob) = (client(0, 1), client(1, 2));
    stage.turn([ann.subscribe("r"), bob.subscribe("live")]);
    stage.events([stored("r", 1), stored("unused", 2)]);
    let new = Epoch::random();
    let mut said = lines(&stage.events([Event::Position {
        partition: Partition(0),
        epoch: new.clone(),
        last: Offset(40),
        whole: true,
    }]));
    said.sort();
    assert_eq!(
        said,
        ["r gap epoch_changed at 40"],
        "a room without history has nothing in the store"
    );
    assert_eq!(
        (stage.metrics.ring_bytes.get(), stage.rooms()),
        (0, 2),
        "rings are void, unused rooms are gone"
    );
    assert_eq!(
        lines(&stage.turn([ann.history("r", Newest, 5)])),
        ["1 history []"]
    );
    assert_eq!(
        lines(&stage.turn([ann.resume("r", &old, 1)])),
        ["1 in r at 40 lost []"]
    );
    assert_eq!(
        lines(&stage.turn([ann.resume("r", &new, 40)])),
        ["1 in r at 40 recovered []"]
    );
    assert_eq!(
        lines(&stage.events([stored("r", 41)])),
        ["r [41] to [1, 0, 0]"]
    );
}

#[test]
fn partitions_have_epochs_and_positions_of_their_own() {
    let (mut stage, old) = stage();
    let (ann, bob) = (client(0, 1), client(1, 2));
    stage.turn([ann.subscribe("r"), bob.subscribe("other")]);
    stage.events([stored("r", 7), stored("other", 3)]);
    assert_eq!(
        lines(&stage.events([stored("other", 4)])),
        ["other [4] to [0, 1, 0]"],
        "below the first partition's position"
    );
    let lost = stage.events([Event::Lost {
        scope: Scope::Partition(Partition(1)),
        reason: GapReason::Lagged,
    }]);
    assert_eq!(lines(&lost), ["other gap lagged at 4"]);
    let said = stage.events([Event::Position {
        partition: Partition(1),
        epoch: Epoch::random(),
        last: Offset(0),
        whole: false,
    }]);
    assert_eq!(lines(&said), ["other gap epoch_changed at 0"]);
    assert_eq!(
        lines(&stage.turn([ann.resume("r", &old, 6)])),
        ["1 in r at 7 recovered [7]"]
    );
}

#[test]
fn another_epoch_is_told_even_if_nothing_was_ever_stored() {
    let (mut stage, _) = stage();
    stage.turn([client(0, 1).subscribe("r")]);
    let said = stage.events([Event::Position {
        partition: Partition(0),
        epoch: Epoch::random(),
        last: Offset(0),
        whole: false,
    }]);
    assert_eq!(lines(&said), ["r gap epoch_changed at 0"]);
}

#[test]
fn the_same_position_again_is_no_gap() {
    let (mut stage, epoch) = stage();
    stage.turn([client(0, 1).subscribe("r")]);
    stage.events([stored("r", 1)]);
    assert!(
        stage
            .events([Event::Position {
                partition: Partition(0),
                epoch: epoch.clone(),
                last: Offset(1),
                whole: false,
            }])
            .is_empty()
    );
    assert_eq!(
        lines(&stage.turn([client(0, 2).resume("r", &epoch, 0)])),
        ["2 in r at 1 recovered [1]"]
    );
}
