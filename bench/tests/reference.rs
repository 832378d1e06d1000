//! The references, driven as the benchmarks drive them.

#![allow(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::time::Duration;

use linnet_bench::{
    load::{Lengths, Plan, Protocol, Schedule},
    process::{Load, NatsServer, Reference},
    reference::Send,
};

fn start(arguments: &str) -> Reference {
    Reference::start(&arguments.split(' ').map(str::to_owned).collect::<Vec<_>>()).unwrap()
}

#[test]
fn the_fan_out_loop_delivers_frames_of_the_asked_length_both_ways_of_writing() {
    let mut server = start("fanout");
    let mut load = Load::start().unwrap();
    let group = load
        .open(Plan::new(server.target.address, Protocol::Plain, "x", 30))
        .unwrap()
        .group;
    let schedule = Schedule {
        per_second: 1000.0,
        burst: 10,
        seconds: 0.05,
        data_bytes: 128,
    };
    for joined in [false, true] {
        load.snapshot(group, true).unwrap();
        let sent = server
            .send(&Send {
                schedule,
                frame_bytes: 260,
                joined,
            })
            .unwrap();
        assert_eq!((sent.messages, sent.short_writes), (50, 0));
        let seen = load.settle_exactly(group, 50, 30).unwrap();
        assert_eq!(
            (seen.bytes, seen.lost + seen.reordered + seen.duplicated),
            (1500 * 260, 0)
        );
    }
}

#[test]
fn the_heartbeat_loop_pings_every_connection_once_an_interval() {
    let server = start("heartbeat --interval 0.3");
    let mut load = Load::start().unwrap();
    // Before there is a connection, or a ping may have come before the clock runs.
    let begun = std::time::Instant::now();
    let group = load
        .open(Plan::new(server.target.address, Protocol::Plain, "x", 20))
        .unwrap()
        .group;
    assert!(load.receive(group, 0, 40).unwrap().pings >= 40);
    assert!(
        begun.elapsed() > Duration::from_millis(300),
        "the second ping comes an interval after the first"
    );
    assert_eq!(load.snapshot(group, false).unwrap().failed, 0);
}

#[test]
fn the_connect_server_answers_with_the_asked_lengths_and_closes() {
    let server = start("connect --head 180 --greeting 300 --ack 40");
    let mut load = Load::start().unwrap();
    let opened = load
        .open(Plan::new(server.target.address, Protocol::Json, "x", 50))
        .unwrap();
    assert_eq!(
        (opened.ready, opened.lengths),
        (
            50,
            Lengths {
                head: 180,
                greeting: 300,
                ack: 40
            }
        )
    );
    load.close(opened.group).unwrap();
    assert!(server.target.cpu().unwrap() > Duration::ZERO && server.target.resident().unwrap() > 0);
}

#[test]
#[ignore = "needs nats-server on PATH or in LINNET_NATS_SERVER"]
fn the_relay_passes_on_what_is_published_in_frames_of_the_asked_length() {
    let nats = NatsServer::start().unwrap();
    let way = format!("--url={} --subject=x", nats.url());
    let exit = start(&format!("relay-out {way} --frame-bytes=240"));
    let entry = start(&format!("relay-in {way}"));
    let mut load = Load::start().unwrap();
    let group = load
        .open(Plan::new(exit.target.address, Protocol::Plain, "x", 1))
        .unwrap()
        .group;
    let schedule = Schedule {
        per_second: 1000.0,
        burst: 1,
        seconds: 0.05,
        data_bytes: 128,
    };
    load.publish(entry.target.address, "x", schedule).unwrap();
    let seen = load.settle_exactly(group, 50, 1).unwrap();
    assert_eq!(
        (seen.bytes, seen.lost + seen.reordered + seen.duplicated),
        (50 * 240, 0)
    );
}
