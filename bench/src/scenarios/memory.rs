//! Resident memory per idle connection.

use std::{thread, time::Duration};

use anyhow::Result;

use super::{Settings, manifest::Channel, progress};
use crate::{
    load::{Plan, Protocol},
    process::Load,
    report::{Report, Row, Unit},
    stats::Summary,
};

/// Measures plain and JSON connections, each time on a fresh gateway.
pub fn run(settings: &Settings) -> Result<Report> {
    let connections = settings.pick(10_000, 200);
    let rest = settings.pick(30.0, 0.5);
    let mut report = Report::new("memory", "Memory per idle connection");
    report.method = format!(
        "(resident memory {rest} s after {connections} connections were opened − before the first) / {connections}, \
         from smaps_rollup, a fresh gateway each time. JSON connections have subscribed to a room; plain ones are in \
         their room by the handshake. Kernel memory for the sockets comes on top, for any server."
    );
    for (protocol, what, target) in [
        (Protocol::Plain, "plain connection", Some(4.0)),
        (Protocol::Json, "JSON connection", Some(4.0)),
    ] {
        let mut samples = Vec::new();
        for repetition in 0..settings.pairs {
            progress(&format!(
                "memory, {what}: {} of {}",
                repetition + 1,
                settings.pairs
            ));
            let gateway = settings.start_gateway(&Channel::default().to_yaml())?;
            let before = gateway.target.resident()?;
            let mut load = Load::start()?;
            let plan = Plan {
                verify_every: 0,
                ..Plan::new(gateway.target.address, protocol, "idle", connections)
            };
            let group = load.open(plan)?.group;
            thread::sleep(Duration::from_secs_f64(rest));
            load.settle_exactly(group, 0, connections as u64)?;
            let grown = gateway.target.resident()?.saturating_sub(before);
            samples.push(grown as f64 / 1024.0 / connections as f64);
        }
        report.rows.extend(Summary::of(samples).map(|value| {
            let row = Row::new(
                format!("resident memory per {what}"),
                Unit::Kilobytes,
                value,
            );
            Row { target, ..row }
        }));
    }
    Ok(report)
}
