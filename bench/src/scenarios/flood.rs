//! Ten thousand connections in one room: is anything lost, and how late is it?

use anyhow::{Result, ensure};

use super::{Settings, manifest::Channel, progress};
use crate::{
    load::{Plan, Protocol, Schedule},
    process::Load,
    report::{Curve, Report, Row, Unit},
    stats::Summary,
};

/// Every connection checks every message.
pub fn run(settings: &Settings) -> Result<Report> {
    let connections = settings.pick(10_000, 200);
    let schedule = Schedule {
        per_second: 10.0,
        burst: 1,
        seconds: settings.pick(30.0, 1.0),
        data_bytes: 128,
    };
    let mut report = Report::new("flood10k", "10,000 connections in one room");
    report.method = format!(
        "{connections} JSON connections subscribe to one room; {} messages of 128 bytes, {} a second, after two \
         seconds of warm-up. Every connection checks sequence numbers. Delay is from just before the publisher's \
         write to the receiver's parser, so it holds what the receivers' one thread takes to read what came before.",
        schedule.messages(),
        schedule.per_second
    );
    progress("flood10k: opening");
    let gateway = settings.start_gateway(&Channel::default().to_yaml())?;
    let address = gateway.target.address;
    let mut load = Load::start()?;
    let group = load
        .open(Plan::new(address, Protocol::Json, "flood", connections))?
        .group;
    let warmed = load
        .publish(
            address,
            "flood",
            Schedule {
                seconds: settings.pick(2.0, 0.5),
                ..schedule
            },
        )?
        .messages;
    load.settle(group, warmed * connections as u64)?;
    let before = load.snapshot(group, true)?;
    ensure!(
        before.connections == connections as u64,
        "only {} connections are open",
        before.connections
    );
    progress("flood10k: publishing");
    let (cpu, load_cpu) = (gateway.target.cpu()?, load.cpu()?);
    let published = load.publish(address, "flood", schedule)?;
    let expected = published.messages * connections as u64;
    let received = load.settle(group, expected)?;
    let (cpu, load_cpu) = (gateway.target.cpu()? - cpu, load.cpu()? - load_cpu);

    let duplicated = received.duplicated;
    // Counted from what was published, so that a missing end is seen too.
    let lost = (expected + duplicated).saturating_sub(received.messages);
    for (what, count) in [
        ("lost", lost),
        ("reordered", received.reordered),
        ("doubled", duplicated),
    ] {
        report.rows.extend(Summary::of([count as f64]).map(|value| {
            Row::new(format!("{what} of {expected}"), Unit::Messages, value).at_most(0.0)
        }));
    }
    let latency = received.latency;
    for (what, value) in [
        ("p50", latency.p50),
        ("p99", latency.p99),
        ("p99.9", latency.p999),
        ("max", latency.max),
    ] {
        report.rows.extend(
            Summary::of([value])
                .map(|value| Row::new(format!("delay, {what}"), Unit::Microseconds, value)),
        );
    }
    report.curves.push(Curve {
        name: format!("{connections} subscribers"),
        points: latency.curve,
    });
    report.notes.push(format!(
        "The gateway took {:.2} cores, the clients {:.2}.",
        cpu.as_secs_f64() / published.seconds,
        load_cpu.as_secs_f64() / published.seconds
    ));
    report.notes.push(format!(
        "The publisher was at most {:.1} ms late.",
        published.worst_lag_ms
    ));
    Ok(report)
}
