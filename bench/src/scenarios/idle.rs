//! What ten thousand idle connections cost, beyond a bare loop that keeps as many alive.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::{Settings, manifest::Channel, progress};
use crate::{
    load::{Plan, Protocol},
    process::{Load, Reference, Target},
    report::{Report, Row, Unit},
    stats::Summary,
};

/// A server with its connections.
struct Side {
    target: Target,
    load: Load,
    group: usize,
    /// Percent of a core, by window.
    busy: Vec<f64>,
    /// Pings per connection and interval, by window.
    pings: Vec<f64>,
}

/// Both servers idle at the same time, so that every window of one has its pair in the same seconds.
pub fn run(settings: &Settings) -> Result<Report> {
    let connections = settings.pick(10_000, 100);
    let interval: u32 = settings.pick(25, 1);
    let opening = settings.pick(5.0, 0.5);
    // Whole intervals, so that each connection is pinged equally often in each window.
    let window = Duration::from_secs(u64::from(interval) * 2);
    let mut report = Report::new("idle", "CPU of 10,000 idle connections");
    report.method = format!(
        "{connections} subscribed JSON connections, a ping every {interval} s; user + system time in windows of {} s, \
         the first interval excluded. The reference is one epoll loop that writes a ping to each connection once an \
         interval and reads the pong; it runs at the same time with as many connections.",
        window.as_secs()
    );
    progress("idle: opening");
    let channel = Channel {
        heartbeat_seconds: interval,
        ..Channel::default()
    };
    let gateway = settings.start_gateway(&channel.to_yaml())?;
    let bare = Reference::start(&[
        "heartbeat".to_owned(),
        "--interval".to_owned(),
        interval.to_string(),
    ])?;
    let mut ours = Side::open(gateway.target, Protocol::Json, connections, opening)?;
    let mut reference = Side::open(bare.target, Protocol::Plain, connections, opening)?;
    thread::sleep(Duration::from_secs(u64::from(interval)));
    for pair in 0..settings.pairs {
        progress(&format!("idle: window {} of {}", pair + 1, settings.pairs));
        let begun = [ours.begin()?, reference.begin()?];
        thread::sleep(window);
        ours.end(begun[0], interval, connections)?;
        reference.end(begun[1], interval, connections)?;
    }
    report.rows.extend(
        Summary::of_differences(&ours.busy, &reference.busy).map(|value| {
            Row::new("gateway − bare heartbeat loop", Unit::PercentOfCore, value).at_most(1.0)
        }),
    );
    for (what, unit, values) in [
        ("gateway", Unit::PercentOfCore, &ours.busy),
        ("bare heartbeat loop", Unit::PercentOfCore, &reference.busy),
        (
            "gateway: pings per connection and interval",
            Unit::Pings,
            &ours.pings,
        ),
        (
            "bare heartbeat loop: pings per connection and interval",
            Unit::Pings,
            &reference.pings,
        ),
    ] {
        report
            .rows
            .extend(Summary::of(values.as_slice()).map(|value| Row::new(what, unit, value)));
    }
    Ok(report)
}

impl Side {
    fn open(target: Target, protocol: Protocol, connections: usize, seconds: f64) -> Result<Self> {
        let mut load = Load::start()?;
        // Spread over some seconds, and with them the pings: clients of a real service do not connect as one.
        let per_second = connections as f64 / seconds;
        let plan = Plan {
            per_second,
            verify_every: 0,
            ..Plan::new(target.address, protocol, "idle", connections)
        };
        let group = load.open(plan)?.group;
        Ok(Self {
            target,
            load,
            group,
            busy: Vec::new(),
            pings: Vec::new(),
        })
    }

    fn begin(&mut self) -> Result<(Instant, Duration)> {
        self.load.snapshot(self.group, true)?;
        Ok((Instant::now(), self.target.cpu()?))
    }

    fn end(
        &mut self,
        (begun, before): (Instant, Duration),
        interval: u32,
        connections: usize,
    ) -> Result<()> {
        let (cpu, seconds) = (self.target.cpu()? - before, begun.elapsed().as_secs_f64());
        let received = self.load.snapshot(self.group, false)?;
        ensure!(
            received.connections == connections as u64,
            "{} of {connections} connections are left: {}",
            received.connections,
            received.failures.join("; ")
        );
        self.busy.push(cpu.as_secs_f64() / seconds * 100.0);
        self.pings
            .push(received.pings as f64 / connections as f64 * f64::from(interval) / seconds);
        Ok(())
    }
}
