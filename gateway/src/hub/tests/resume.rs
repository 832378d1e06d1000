//! Going on from a position, out of the ring.

use super::support::*;
use crate::names::Epoch;

/// A stage where messages 1 to `count` were published to `r`.
fn published(
    spec: &str,
    count: usize,
) -> (Stage<crate::broker::embedded::Embedded>, Epoch, Client) {
    let (mut stage, ann) = (Stage::new(channel(spec)), client(0, 1));
    let epoch = stage.epoch();
    stage.turn((0..count).map(|_| ann.publish("r", "x")));
    (stage, epoch, ann)
}

#[test]
fn what_was_missed_is_in_the_ack_and_then_it_is_live() {
    let (mut stage, epoch, ann) = published("history: {}", 5);
    assert_eq!(
        lines(&stage.turn([ann.resume("r", &epoch, 3)])),
        ["1 in r at 5 recovered [4 5]"]
    );
    assert_eq!(
        heard(&stage.turn([ann.publish("r", "x")])),
        ["r [6] to [1, 0, 0]"]
    );
}

#[test]
fn who_missed_nothing_is_live_at_once() {
    let (mut stage, epoch, ann) = published("history: {}", 5);
    assert_eq!(
        lines(&stage.turn([ann.resume("r", &epoch, 5)])),
        ["1 in r at 5 recovered []"]
    );
    let other = stage.turn([ann.resume("empty", &epoch, 0)]);
    assert_eq!(
        lines(&other),
        ["1 in empty at 5 recovered []"],
        "an empty room has a position too"
    );
}

#[test]
fn messages_of_other_rooms_lie_between_the_offsets() {
    let (mut stage, epoch, ann) = published("history: {}", 2);
    stage.turn([
        ann.publish("s", "x"),
        ann.publish("r", "x"),
        ann.publish("s", "x"),
    ]);
    assert_eq!(
        lines(&stage.turn([ann.resume("r", &epoch, 1)])),
        ["1 in r at 5 recovered [2 4]"]
    );
    assert_eq!(
        lines(&stage.turn([ann.resume("r", &epoch, 3)])),
        ["1 in r at 5 recovered [4]"],
        "an ack's offset"
    );
}

#[test]
fn pages_of_100_lead_to_live_without_a_hole() {
    let (mut stage, epoch, ann) = published("history: {maxMessagesPerRoom: 1000}", 250);
    let first = lines(&stage.turn([ann.resume("r", &epoch, 0)])).remove(0);
    assert!(
        first.starts_with("1 in r at 100 recovered [1 2") && first.ends_with("100] more"),
        "{first}"
    );
    assert_eq!(
        heard(&stage.turn([ann.publish("r", "x")])),
        Vec::<String>::new(),
        "catching up: no live messages"
    );
    let second = lines(&stage.turn([ann.resume("r", &epoch, 100)])).remove(0);
    assert!(
        second.starts_with("1 in r at 200 ") && second.ends_with("200] more"),
        "{second}"
    );
    let last = stage.turn([ann.resume("r", &epoch, 200), ann.publish("r", "x")]);
    let heard = heard(&last);
    assert!(
        heard[0].starts_with("1 in r at 251 recovered [201") && heard[0].ends_with(" 251]"),
        "{heard:?}"
    );
    assert_eq!(heard[1..], ["r [252] to [1, 0, 0]"]);
}

#[test]
fn a_page_holds_256_kib_of_payloads_but_at_least_one_message() {
    let (mut stage, ann) = (Stage::new(channel("history: {}")), client(0, 1));
    let epoch = stage.epoch();
    for size in [100_000, 100_000, 100_000, 300_000, 1] {
        stage.turn([ann.publish("r", &"x".repeat(size))]);
    }
    for (since, page) in [
        (0, "2 recovered [1 2] more"),
        (2, "3 recovered [3] more"),
        (3, "4 recovered [4] more"),
    ] {
        assert_eq!(
            lines(&stage.turn([ann.resume("r", &epoch, since)])),
            [format!("1 in r at {page}")]
        );
    }
    assert_eq!(
        lines(&stage.turn([ann.resume("r", &epoch, 4)])),
        ["1 in r at 5 recovered [5]"]
    );
}

#[test]
fn a_page_alone_is_not_too_much_for_a_small_queue() {
    let mut small = channel("history: {maxMessagesPerRoom: 1000}");
    small.limits.send_queue_size = 16 * 1024;
    let (mut stage, ann) = (Stage::new(small), client(0, 1));
    let epoch = stage.epoch();
    let with_info = |mut command: crate::hub::Command| {
        if let crate::hub::CommandKind::Publish { message, .. } = &mut command.kind {
            message.info = Some("7".repeat(1024).into());
        }
        command
    };
    stage.turn((0..100).map(|_| with_info(ann.publish("r", "x"))));
    let said = stage.turn([ann.resume("r", &epoch, 0)]);
    let Said::Sent(delivery) = &said[0] else {
        panic!()
    };
    let crate::hub::Delivery::Subscribed { outcome, .. } = &**delivery else {
        panic!()
    };
    let (mut frame, body) = (Size(0), crate::protocol::AckBody::Subscribed(outcome));
    use crate::protocol::{FrameSink, Protocol};
    struct Size(usize);
    impl FrameSink for Size {
        fn text(&mut self, payload: &[u8]) {
            self.0 += payload.len();
        }
        fn binary(&mut self, _: &[u8]) {}
    }
    let reply = crate::protocol::Reply::Ack { id: None, body };
    let mut memory = crate::protocol::Memory::default();
    crate::protocol::json::Json.encode_reply(&reply, &mut memory, 0, &mut frame);
    assert!(frame.0 <= 16 * 1024, "{} bytes", frame.0);
}

#[test]
fn a_live_subscriber_that_resumes_far_back_stops_being_live() {
    let (mut stage, epoch, ann) = published("history: {maxMessagesPerRoom: 1000}", 101);
    stage.turn([ann.subscribe("r")]);
    assert!(lines(&stage.turn([ann.resume("r", &epoch, 0)]))[0].ends_with(" more"));
    assert!(heard(&stage.turn([ann.publish("r", "x")])).is_empty());
    assert_eq!(
        lines(&stage.turn([ann.subscribe("r")])),
        ["1 in r at 102"],
        "new options replace the old"
    );
    assert_eq!(
        heard(&stage.turn([ann.publish("r", "x")])),
        ["r [103] to [1, 0, 0]"]
    );
}

#[test]
fn another_epoch_or_the_future_is_lost_with_the_current_position() {
    let (mut stage, epoch, ann) = published("history: {}", 5);
    for (epoch, offset) in [
        (&Epoch::random(), 3),
        (&Epoch::from_client(""), 0),
        (&epoch, 6),
        (&epoch, (1 << 53) - 1),
    ] {
        assert_eq!(
            lines(&stage.turn([ann.resume("r", epoch, offset)])),
            ["1 in r at 5 lost []"]
        );
    }
    assert_eq!(
        heard(&stage.turn([ann.publish("r", "x")])),
        ["r [6] to [1, 0, 0]"],
        "and is live"
    );
}

#[test]
fn more_than_the_room_keeps_is_lost() {
    let (mut stage, epoch, ann) = published("history: {maxMessagesPerRoom: 3}", 5);
    assert_eq!(
        lines(&stage.turn([ann.resume("r", &epoch, 1)])),
        ["1 in r at 5 lost []"]
    );
    assert_eq!(
        lines(&stage.turn([ann.resume("r", &epoch, 2)])),
        ["1 in r at 5 recovered [3 4 5]"]
    );
    let (mut stage, _, ann) = published("history: {maxMessagesPerRoom: 3}", 5);
    let said = stage.turn([ann.resume("r", &epoch, 1), ann.publish("r", "x")]);
    assert_eq!(heard(&said), ["1 in r at 5 lost []", "r [6] to [1, 0, 0]"]);
}

#[test]
fn a_catch_up_that_the_room_has_overtaken_is_lost() {
    let (mut stage, epoch, ann) = published("history: {maxMessagesPerRoom: 150}", 150);
    assert!(lines(&stage.turn([ann.resume("r", &epoch, 0)]))[0].ends_with(" more"));
    stage.turn((0..120).map(|_| ann.publish("r", "x")));
    assert_eq!(
        lines(&stage.turn([ann.resume("r", &epoch, 100)])),
        ["1 in r at 270 lost []"]
    );
}

#[test]
fn every_subscribe_is_answered_even_if_it_is_left_in_the_same_breath() {
    let (mut stage, epoch, ann) = published("history: {maxMessagesPerRoom: 3}", 5);
    let said = stage.turn([ann.resume("r", &epoch, 0), ann.unsubscribe("r")]);
    assert_eq!(lines(&said), ["1 in r at 5 lost []", "1 left r"]);
    assert!(heard(&stage.turn([ann.publish("r", "x")])).is_empty());
}

#[test]
fn who_is_gone_before_the_answer_does_not_come_back() {
    let (mut stage, epoch, ann) = published("history: {maxMessagesPerRoom: 3}", 5);
    let bob = client(1, 2);
    stage.turn([bob.subscribe("r")]);
    stage.turn([ann.resume("r", &epoch, 0), ann.disconnect(&["r"])]);
    assert_eq!(
        heard(&stage.turn([bob.publish("r", "x")])),
        ["r [6] to [0, 1, 0]"]
    );
    assert_eq!(stage.metrics.subscriptions.get(), 1);
}

#[test]
fn the_answer_to_an_older_subscribe_does_not_undo_a_newer_one() {
    let (mut stage, epoch, ann) = published("history: {maxMessagesPerRoom: 3}", 5);
    let said = stage.turn([ann.resume("r", &epoch, 0), ann.resume("r", &epoch, 3)]);
    assert_eq!(
        lines(&said),
        ["1 in r at 5 lost []", "1 in r at 5 recovered [4 5]"],
        "answers in order"
    );
    assert_eq!(
        heard(&stage.turn([ann.publish("r", "x")])),
        ["r [6] to [1, 0, 0]"]
    );
}
