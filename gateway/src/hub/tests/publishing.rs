//! Publishing again, and what a publisher is told.

use super::support::*;
use crate::broker::{Event, PublishError, Receipt, Request};
use crate::names::{Epoch, Offset};

#[test]
fn the_same_id_makes_one_message() {
    let (mut stage, ann) = (Stage::new(channel("history: {}")), client(0, 1));
    stage.turn([ann.subscribe("r")]);
    let said = stage.turn([
        ann.repeat("r", "x", "m"),
        ann.publish("r", "y"),
        ann.repeat("r", "x", "m"),
    ]);
    let expected = [
        "1 published 1",
        "1 published 2",
        "1 published 1 again",
        "r [1 2] to [1, 0, 0]",
    ];
    assert_eq!(lines(&said), expected);
    let said = stage.turn([
        ann.repeat("r", "z", "m"),
        ann.repeat("s", "x", "m"),
        ann.repeat("r", "x", "n"),
    ]);
    assert_eq!(
        lines(&said)[..3],
        ["1 published 1 again", "1 published 3", "1 published 4"]
    );
    assert_eq!(
        (
            stage.metrics.published.get(),
            stage.metrics.duplicates.get()
        ),
        (4, 2)
    );
}

#[test]
fn a_repeat_has_the_first_time() {
    let (mut stage, ann) = (Stage::new(channel("history: {}")), client(0, 1));
    let time = |said: Vec<Said>| match answer(&said) {
        Some(crate::hub::Answer::Published { timestamp, .. }) => *timestamp,
        other => panic!("{other:?}"),
    };
    let first = time(stage.turn([ann.repeat("r", "x", "m")]));
    assert_eq!(time(stage.turn([ann.repeat("r", "x", "m")])), first);
}

#[test]
fn a_room_without_history_does_not_deduplicate_and_says_so() {
    let (mut stage, ann) = (Stage::new(channel("")), client(0, 1));
    stage.turn([ann.subscribe("r")]);
    let said = stage.turn([
        ann.repeat("r", "x", "m"),
        ann.repeat("r", "x", "m"),
        ann.publish("r", "y"),
    ]);
    let no = "1 published - not deduplicated";
    assert_eq!(
        lines(&said),
        [no, no, "1 published -", "r [x x y] to [1, 0, 0]"]
    );
}

#[test]
fn what_the_broker_says_of_a_publish_is_what_its_publisher_hears() {
    let (mut stage, ann) = (
        Stage::manual(channel("history: {}"), &Epoch::random(), 0),
        client(0, 1),
    );
    for (result, expected) in [
        (Err(PublishError::Unavailable), "1 refused unavailable"),
        (
            Err(PublishError::OutcomeUnknown),
            "1 refused outcome_unknown",
        ),
        (Err(PublishError::StorageFull), "1 refused storage_full"),
        (Err(PublishError::StorageLimit), "1 refused storage_limit"),
        (Err(PublishError::NoStorage), "1 refused no_storage"),
        (
            Err(PublishError::Unauthorized),
            "1 refused broker_unauthorized",
        ),
        (Err(PublishError::Denied), "1 refused broker_denied"),
        (Err(PublishError::Overloaded), "1 refused overloaded"),
        (
            Ok(Receipt {
                position: Some((Epoch::random(), Offset(4))),
                timestamp: Some(5),
                duplicate: false,
                deduplicated: true,
            }),
            "1 published 4",
        ),
        (
            Ok(Receipt {
                position: Some((Epoch::random(), Offset(3))),
                timestamp: Some(5),
                duplicate: true,
                deduplicated: true,
            }),
            "1 published 3 again",
        ),
    ] {
        assert!(
            stage.turn([ann.publish("r", "x")]).is_empty(),
            "no answer before the broker's"
        );
        let Some(Request::Publish {
            token,
            stored: true,
            ..
        }) = stage.hub.broker().requests.pop()
        else {
            panic!()
        };
        assert_eq!(
            lines(&stage.events([Event::Published {
                token,
                result: result.clone()
            }])),
            [expected]
        );
        assert!(
            stage
                .events([Event::Published { token, result }])
                .is_empty(),
            "one answer"
        );
    }
}

#[test]
fn a_message_goes_to_the_broker_as_it_was_published() {
    let spec = "history: {}, rooms: [{match: live, history: Disabled}]";
    let (mut stage, ann) = (
        Stage::manual(channel(spec), &Epoch::random(), 0),
        client(0, 1),
    );
    stage.turn([ann.publish("live", "x"), ann.repeat("r", "y", "m")]);
    let requests = std::mem::take(&mut stage.hub.broker().requests);
    let [
        Request::Publish {
            stored: false,
            key: None,
            ..
        },
        Request::Publish {
            stored: true,
            key: Some(_),
            message,
            ..
        },
    ] = &requests[..]
    else {
        panic!("{requests:?}")
    };
    assert_eq!((message.offset, message.room.as_str()), (None, "r"));
}
