//! Rates, and floods that end in a close.

use super::*;

#[track_caller]
fn limited(outcome: Outcome) -> u64 {
    let refusal = refusal(outcome);
    assert_eq!(refusal.code, ErrorCode::RateLimited);
    refusal.retry_after_ms.unwrap()
}

/// What the connection must close for.
#[track_caller]
fn worn_out(outcome: Outcome) -> ErrorCode {
    match outcome {
        Outcome::WornOut(code) => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn publish_send_and_request_share_one_rate() {
    let mut scene = Scene::new(open("limits: {messagesPerSecond: 10, messageBurst: 4}"));
    hub(scene.ask(publish("r")));
    hub(scene.ask(publish("r")));
    hub(scene.ask(send("u")));
    assert_eq!(code(scene.ask(question(1))), ErrorCode::NoHandler);
    for command in [publish("r"), send("u"), question(1)] {
        assert_eq!(limited(scene.ask(command)), 100);
    }
    scene.now_ms = 100;
    hub(scene.ask(publish("r")));
}

#[test]
fn other_requests_are_not_messages() {
    let mut scene = Scene::new(open("limits: {messagesPerSecond: 1, messageBurst: 1}"));
    hub(scene.ask(publish("r")));
    for _ in 0..50 {
        hub(scene.ask(subscribe("r")));
        hub(scene.ask(unsubscribe("r")));
        assert!(matches!(scene.ask(Command::Ping), Outcome::Pong(_)));
    }
}

#[test]
fn questions_share_a_rate_that_grows_with_the_rooms_of_a_connection() {
    let mut scene = Scene::new(open(
        "limits: {messagesPerSecond: 2, messageBurst: 2, roomsPerConnection: 4}",
    ));
    let history = || Command::History {
        room: room("r"),
        range: HistoryRange::Newest,
        limit: 1,
    };
    let presence = || Command::Presence {
        room: room("r"),
        after: None,
    };
    hub(scene.ask(publish("r")));
    hub(scene.ask(publish("r")));
    for _ in 0..4 {
        hub(scene.ask(history()));
        hub(scene.ask(presence()));
    }
    assert!(matches!(
        scene.ask(unsubscribe("r")),
        Outcome::Done(Some(RequestId::Number(1)))
    ));
    assert!(matches!(scene.ask(Command::Ping), Outcome::Pong(_)));
    let waits = [history(), presence(), unsubscribe("r"), Command::Ping].map(|question| {
        let wait = limited(scene.ask(question));
        scene.now_ms += 1000; // patience comes back
        for _ in 0..10 {
            hub(scene.ask(history()));
        }
        wait
    });
    assert_eq!(waits, [100; 4]);
}

#[test]
fn what_is_over_the_rate_has_no_effect_and_keeps_its_id() {
    let mut scene = Scene::new(open(
        "limits: {messagesPerSecond: 1, messageBurst: 1, subscribesPerSecond: 1}",
    ));
    hub(scene.ask(subscribe("a")));
    let refused = refusal(scene.ask(subscribe("b")));
    assert_eq!(
        (refused.code, refused.id),
        (ErrorCode::RateLimited, Some(RequestId::Number(1)))
    );
    assert!(!scene.session.rooms.contains_key("b"));
}

#[test]
fn subscribes_have_a_burst_of_one_second() {
    let mut scene = Scene::new(open("limits: {subscribesPerSecond: 4}"));
    for _ in 0..4 {
        hub(scene.ask(subscribe("r")));
    }
    assert_eq!(limited(scene.ask(subscribe("r"))), 250);
    scene.now_ms = 250;
    hub(scene.ask(subscribe("r")));
    limited(scene.ask(subscribe("r")));
}

#[test]
fn bytes_of_all_frames_count_and_the_largest_frame_always_fits_a_full_bucket() {
    let mut scene = Scene::new(open("limits: {messageSize: 1000, bytesPerSecond: 1000}"));
    let largest = scene.channel.limits.frame_size();
    assert!(scene.receive(largest).is_ok());
    assert_eq!(limited(scene.receive(100).unwrap_err()), 100);
    scene.now_ms = 100;
    assert!(scene.receive(100).is_ok());
    let mut scene = Scene::new(open("limits: {messageSize: 1, bytesPerSecond: 100000}"));
    assert!(scene.receive(100_000).is_ok(), "one second's worth");
    assert!(scene.receive(1).is_err());
    let mut unlimited = Scene::new(open(""));
    assert!((0..100).all(|_| unlimited.receive(1 << 20).is_ok()));
}

#[test]
fn a_flood_of_faults_ends_in_a_close() {
    let mut scene = Scene::new(open("limits: {messagesPerSecond: 10, messageBurst: 5}"));
    for _ in 0..5 {
        assert_eq!(
            code(scene.fault(ErrorCode::BadRequest)),
            ErrorCode::BadRequest
        );
    }
    assert!(matches!(
        scene.fault(ErrorCode::BadRequest),
        Outcome::WornOut(ErrorCode::BadRequest)
    ));
    scene.now_ms = 1000;
    assert_eq!(
        code(scene.fault(ErrorCode::BadRequest)),
        ErrorCode::BadRequest,
        "patience comes back"
    );
}

#[test]
fn whatever_is_refused_wears_patience_out() {
    let spec = "limits: {messagesPerSecond: 1, messageBurst: 1, messageSize: 1, bytesPerSecond: 1, \
                subscribesPerSecond: 1, roomsPerConnection: 1}, rooms: [{match: no, subscribe: Nobody, publish: Nobody}]";
    let too_large = Command::Publish {
        room: room("r"),
        content: content(2),
        echo: true,
    };
    for (refused, code) in [
        (publish("no"), ErrorCode::Forbidden),
        (too_large, ErrorCode::MessageTooLarge),
        (subscribe("no"), ErrorCode::Forbidden),
        (question(1), ErrorCode::NoHandler),
        (refresh("t"), ErrorCode::Unauthenticated),
        (with_token(), ErrorCode::InvalidToken),
    ] {
        let mut scene = Scene::new(open(spec));
        scene.fault(ErrorCode::BadRequest);
        assert_eq!(worn_out(scene.ask(refused)), code);
    }
    let mut scene = Scene::new(open(spec));
    hub(scene.ask(publish("r")));
    limited(scene.ask(publish("r")));
    assert!(
        matches!(
            scene.ask(publish("r")),
            Outcome::WornOut(ErrorCode::RateLimited)
        ),
        "an insistent publisher"
    );
    assert!(scene.receive(scene.channel.limits.frame_size()).is_ok());
    assert!(
        matches!(
            scene.receive(1),
            Err(Outcome::WornOut(ErrorCode::RateLimited))
        ),
        "an insistent sender of bytes"
    );
}

#[test]
fn a_client_that_waits_as_told_is_served_and_never_closed() {
    let mut scene = Scene::new(open("limits: {messagesPerSecond: 7, messageBurst: 3}"));
    let mut served = 0;
    while scene.now_ms < 60_000 {
        match scene.ask(publish("r")) {
            Outcome::Hub(..) => served += 1,
            other => {
                scene.now_ms += limited(other);
                hub(scene.ask(publish("r")));
                served += 1;
            }
        }
    }
    assert!((60 * 7..=60 * 7 + 3 + 1).contains(&served), "{served}");
}

#[test]
fn a_rate_that_changes_holds_from_the_next_request_on() {
    let mut scene = Scene::new(open("limits: {messagesPerSecond: 1, messageBurst: 1}"));
    hub(scene.ask(publish("r")));
    assert_eq!(limited(scene.ask(publish("r"))), 1000);
    scene.channel = open("limits: {messagesPerSecond: 100, messageBurst: 10}");
    scene.now_ms = 10;
    hub(scene.ask(publish("r")));
}

#[test]
fn a_refusal_by_the_hub_wears_patience_out() {
    for refused in [ErrorCode::NoHistory, ErrorCode::NoPresence] {
        let mut scene = Scene::new(open("limits: {messagesPerSecond: 1, messageBurst: 1}"));
        assert_eq!(code(scene.refused_by_hub(refused)), refused);
        assert_eq!(worn_out(scene.refused_by_hub(refused)), refused);
    }
}

#[test]
fn what_the_gateway_is_to_blame_for_costs_no_patience() {
    let mut scene = Scene::new(open("limits: {messagesPerSecond: 1, messageBurst: 1}"));
    for _ in 0..10 {
        for refused in [
            ErrorCode::Overloaded,
            ErrorCode::Unavailable,
            ErrorCode::OutcomeUnknown,
        ] {
            assert_eq!(code(scene.refused_by_hub(refused)), refused);
        }
    }
    scene.hub_full = true;
    assert_eq!(code(scene.ask(publish("r"))), ErrorCode::Overloaded);
    assert_eq!(
        code(scene.fault(ErrorCode::BadRequest)),
        ErrorCode::BadRequest,
        "the bucket is still full"
    );
}

#[test]
fn frames_that_carry_nothing_are_counted_with_questions_and_a_flood_ends_in_a_close() {
    let spec = "limits: {messagesPerSecond: 2, messageBurst: 2, roomsPerConnection: 4}";
    let mut scene = Scene::new(open(spec));
    let empty = |scene: &mut Scene| {
        let around = Surroundings {
            channel: &scene.channel,
            tokens: &scene.tokens,
            now_ms: scene.now_ms,
            hub_full: false,
            token_wait: None,
        };
        scene.session.empty_frame(&around)
    };
    for _ in 0..10 {
        assert_eq!(empty(&mut scene), EmptyFrame::Fine);
    }
    limited(scene.ask(Command::Ping));
    assert_eq!(empty(&mut scene), EmptyFrame::TooMany);
    assert_eq!(empty(&mut scene), EmptyFrame::Flood);
    scene.now_ms = 1000;
    assert_eq!(empty(&mut scene), EmptyFrame::Fine);
}
