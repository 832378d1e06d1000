//! The load generator against a stub that misbehaves on demand.

#![allow(clippy::unwrap_used, reason = "a failed helper fails its test")]

mod stub;

use std::time::{Duration, Instant};

use linnet_bench::load::{Plan, Protocol, Publisher, Schedule, Snapshot, Swarm};
use stub::Fault;

const NEVER: Duration = Duration::from_secs(3600);

/// Publishes 12 messages in bursts of three to ten subscribers and says what they received.
fn receive(fault: Fault, expected_each: u64) -> Snapshot {
    let address = stub::start(fault, NEVER);
    let mut swarm = Swarm::new().unwrap();
    let group = swarm
        .open(Plan::new(address, Protocol::Json, "lobby", 10))
        .unwrap()
        .group;
    let schedule = Schedule {
        per_second: 600.0,
        burst: 3,
        seconds: 0.02,
        data_bytes: 128,
    };
    let published = Publisher::connect(address, "lobby")
        .unwrap()
        .publish(&schedule)
        .unwrap();
    assert_eq!(published.messages, 12);
    serve_until(&mut swarm, |swarm| {
        let seen = swarm.snapshot(group, false).unwrap();
        seen.failed == 10 || seen.fewest == expected_each
    });
    swarm.snapshot(group, false).unwrap()
}

fn serve_until(swarm: &mut Swarm, done: impl Fn(&mut Swarm) -> bool) {
    let begun = Instant::now();
    while !done(swarm) {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "nothing more came"
        );
        swarm.turn(Some(Duration::from_millis(10))).unwrap();
    }
}

#[test]
fn every_subscriber_of_a_sound_server_gets_every_message_once_and_in_order() {
    let seen = receive(Fault::None, 12);
    assert_eq!(
        (seen.connections, seen.messages, seen.fewest, seen.most),
        (10, 120, 12, 12)
    );
    assert_eq!(
        (seen.lost, seen.reordered, seen.duplicated, seen.others),
        (0, 0, 0, 0)
    );
    assert_eq!(seen.latency.count, 120);
    assert!(
        seen.latency.p50 > 0.0 && seen.latency.max < 5e6,
        "{:?}",
        seen.latency
    );
    // All frames are equally long here: header, message, 128 bytes of data.
    assert_eq!(seen.bytes % 120, 0);
}

#[test]
fn lost_messages_are_counted_on_every_connection() {
    let seen = receive(Fault::Drops, 8);
    // The twelfth is missing too, but nothing came after it that would show the hole.
    assert_eq!((seen.lost, seen.reordered, seen.duplicated), (30, 0, 0));
}

#[test]
fn messages_out_of_order_are_told_from_lost_ones() {
    let seen = receive(Fault::Swaps, 11);
    assert_eq!((seen.lost, seen.reordered, seen.duplicated), (0, 30, 0));
}

#[test]
fn doubled_messages_are_counted() {
    let seen = receive(Fault::Doubles, 16);
    assert_eq!((seen.lost, seen.reordered, seen.duplicated), (0, 0, 40));
}

#[test]
fn a_close_by_the_server_is_a_failure_with_its_code_and_reason() {
    let seen = receive(Fault::Closes, 12);
    assert_eq!(seen.connections, 0);
    assert_eq!(
        seen.failures[0],
        "the server closed with 4100 slow_consumer"
    );
}

#[test]
fn a_refused_upgrade_fails_the_opening_with_the_status_line() {
    let address = stub::start(Fault::Refuses, NEVER);
    let error = Swarm::new()
        .unwrap()
        .open(Plan::new(address, Protocol::Json, "lobby", 3))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("HTTP/1.1 503 Service Unavailable"),
        "{error}"
    );
}

#[test]
fn plain_connections_are_ready_with_the_upgrade_and_answer_pings() {
    let address = stub::start(Fault::None, Duration::from_millis(20));
    let mut swarm = Swarm::new().unwrap();
    let opened = swarm
        .open(Plan::new(address, Protocol::Plain, "lobby", 20))
        .unwrap();
    assert_eq!(
        (opened.ready, opened.lengths.head, opened.lengths.greeting),
        (20, 160, 0)
    );
    serve_until(&mut swarm, |swarm| {
        swarm.snapshot(opened.group, false).unwrap().pings >= 40
    });
    swarm.close(opened.group).unwrap();
    assert_eq!(swarm.snapshot(opened.group, false).unwrap().connections, 0);
}

#[test]
fn churn_opens_subscribes_and_closes_each_connection_at_the_asked_pace() {
    let address = stub::start(Fault::None, NEVER);
    let mut swarm = Swarm::new().unwrap();
    let plan = Plan {
        close_when_ready: true,
        in_flight: 8,
        per_second: 500.0,
        ..Plan::new(address, Protocol::Json, "lobby", 100)
    };
    let opened = swarm.open(plan).unwrap();
    assert_eq!((opened.ready, opened.setup.count), (100, 100));
    assert!(
        opened.seconds > 0.19,
        "100 at 500 a second take 0.2 s, not {}",
        opened.seconds
    );
    assert_eq!(swarm.snapshot(opened.group, false).unwrap().failed, 0);
}
