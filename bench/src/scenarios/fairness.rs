//! A room of two beside a room of ten thousand: how much later does its message come?
//!
//! What the gateway answers for is that a small room waits for one slice of the large one at most. On a machine
//! where clients share the cores with the server, the large room's traffic also delays the small room's clients; so the same
//! traffic is also sent by the bare reference in another process, which shows what the machine alone adds.

use anyhow::{Result, ensure};

use super::{Settings, manifest::Channel, progress};
use crate::{
    load::{Plan, Protocol, Schedule},
    process::{Load, Reference, Target},
    reference::Send,
    report::{Curve, Report, Row, Unit},
    stats::Summary,
};

/// Writes of a slice and its longest duration.
const SLICE_WRITES: f64 = 256.0;
const SLICE_LONGEST_US: f64 = 1000.0;

const SMALL: &str = "pair";
const LARGE: &str = "crowd";

/// What is going on beside the small room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// The fan-out of the large room, by the bare reference.
    Elsewhere,
    /// The fan-out of the large room, by the same gateway.
    Here,
}

/// All that is open during the scenario.
struct Stage {
    gateway: Target,
    small: (Load, usize),
    large: (Load, usize),
    elsewhere: (Load, usize, Reference),
    connections: u64,
    frame_bytes: usize,
    /// CPU time of the gateway per delivery to the large room.
    cost_us: Vec<f64>,
}

/// Alone, beside the same traffic elsewhere, and beside it here, in turns.
pub fn run(settings: &Settings) -> Result<Report> {
    let connections = settings.pick(10_000, 200);
    let seconds = settings.pick(15.0, 1.0);
    // Rates without a common period: the small room's messages meet every phase of the large room's.
    let small = Schedule {
        per_second: 47.0,
        burst: 1,
        seconds,
        data_bytes: 128,
    };
    let large = Schedule {
        per_second: 5.0,
        ..small
    };
    let mut report = Report::new("fairness", "A room of two beside a room of 10,000");
    report.method = format!(
        "Two subscribers of one room get {} messages a second; in turns of {seconds} s nothing else happens, or the \
         same gateway sends {} messages a second to a room of {connections}, or the bare write(2) loop does so in \
         another process (what the machine alone adds, since the clients share its cores). The small room's \
         clients run before everything else on these cores where that is permitted, those of the large rooms after \
         it: what is timed is the gateway, not the scheduler. A slice is 256 writes at the measured CPU time per delivery, and 1 ms at most.",
        small.per_second, large.per_second
    );
    progress("fairness: opening");
    let gateway = settings.start_gateway(&Channel::default().to_yaml())?;
    let mut stage = Stage::open(gateway.target, connections)?;
    stage.warm_up(small, large)?;
    let turns = [Beside::Nothing, Beside::Elsewhere, Beside::Here];
    let mut p99: [Vec<f64>; 3] = Default::default();
    let mut curves: [Vec<Vec<(f64, f64)>>; 3] = Default::default();
    for pair in 0..settings.pairs {
        progress(&format!(
            "fairness: turn {} of {}",
            pair + 1,
            settings.pairs
        ));
        for step in 0..3 {
            let which = (step + pair) % 3;
            let latency = stage.turn(turns[which], small, large)?;
            p99[which].push(latency.p99);
            curves[which].push(latency.curve);
        }
    }
    let cost = Summary::of(stage.cost_us);
    let slice = cost.as_ref().map_or(SLICE_LONGEST_US, |cost| {
        (cost.median * SLICE_WRITES).min(SLICE_LONGEST_US)
    });
    let [alone, elsewhere, here] = &p99;
    report
        .rows
        .extend(Summary::of_differences(here, alone).map(|value| {
            Row::new(
                "p99 beside the large room − p99 alone",
                Unit::Microseconds,
                value,
            )
            .at_most(slice)
        }));
    report
        .rows
        .extend(Summary::of_differences(here, elsewhere).map(|value| {
            Row::new(
                "p99 beside the large room − beside the same elsewhere",
                Unit::Microseconds,
                value,
            )
        }));
    let names = [
        "alone",
        "beside the same traffic elsewhere",
        "beside the large room",
    ];
    for ((name, values), curves) in names.into_iter().zip(&p99).zip(&curves) {
        report.rows.extend(
            Summary::of(values.as_slice())
                .map(|value| Row::new(format!("p99 {name}"), Unit::Microseconds, value)),
        );
        report.curves.push(Curve::median(name, curves));
    }
    report.rows.extend(cost.map(|value| {
        Row::new(
            "CPU per delivery to the large room",
            Unit::Microseconds,
            value,
        )
    }));
    report.notes.push(format!(
        "The bound is one slice: {}.",
        Unit::Microseconds.show(slice)
    ));
    Ok(report)
}

impl Stage {
    fn open(gateway: Target, connections: usize) -> Result<Self> {
        let crowd = |address, protocol| Plan {
            verify_every: 0,
            ..Plan::new(address, protocol, LARGE, connections)
        };
        let reference = Reference::start(&["fanout".to_owned()])?;
        let mut small = Load::start_at_priority(-15)?;
        let pair = small
            .open(Plan::new(gateway.address, Protocol::Json, SMALL, 2))?
            .group;
        let mut large = Load::start_at_priority(19)?;
        let here = large.open(crowd(gateway.address, Protocol::Json))?.group;
        let mut elsewhere = Load::start_at_priority(19)?;
        let there = elsewhere
            .open(crowd(reference.target.address, Protocol::Plain))?
            .group;
        Ok(Self {
            gateway,
            small: (small, pair),
            large: (large, here),
            elsewhere: (elsewhere, there, reference),
            connections: connections as u64,
            frame_bytes: 0,
            cost_us: Vec::new(),
        })
    }

    /// Sends a second's worth to both rooms, and learns how long the large room's frames are.
    fn warm_up(&mut self, small: Schedule, large: Schedule) -> Result<()> {
        let second = |schedule| Schedule {
            seconds: 1.0,
            ..schedule
        };
        let (load, group) = &mut self.small;
        let sent = load
            .publish(self.gateway.address, SMALL, second(small))?
            .messages;
        load.settle_exactly(*group, sent, 2)?;
        let (load, group) = &mut self.large;
        let sent = load
            .publish(self.gateway.address, LARGE, second(large))?
            .messages;
        let received = load.settle_exactly(*group, sent, self.connections)?;
        self.frame_bytes = (received.bytes as f64 / received.messages as f64).round() as usize;
        Ok(())
    }

    fn turn(
        &mut self,
        beside: Beside,
        small: Schedule,
        large: Schedule,
    ) -> Result<crate::load::Latency> {
        let address = self.gateway.address;
        let (pair, pair_group) = &mut self.small;
        let (crowd, crowd_group) = &mut self.large;
        let (other, other_group, reference) = &mut self.elsewhere;
        for (load, group) in [
            (&mut *pair, *pair_group),
            (&mut *crowd, *crowd_group),
            (&mut *other, *other_group),
        ] {
            load.snapshot(group, true)?;
        }
        let before = self.gateway.cpu()?;
        pair.begin_publish(address, SMALL, small)?;
        match beside {
            Beside::Nothing => {}
            Beside::Elsewhere => {
                let frame_bytes = self.frame_bytes;
                let sent = reference.send(&Send {
                    schedule: large,
                    frame_bytes,
                    joined: false,
                })?;
                ensure!(
                    sent.short_writes == 0,
                    "{} writes of the reference were short",
                    sent.short_writes
                );
                other.settle_exactly(*other_group, sent.messages, self.connections)?;
            }
            Beside::Here => {
                let sent = crowd.publish(address, LARGE, large)?.messages;
                let received = crowd.settle_exactly(*crowd_group, sent, self.connections)?;
                let cpu = self.gateway.cpu()? - before;
                self.cost_us
                    .push(cpu.as_secs_f64() * 1e6 / received.messages as f64);
            }
        }
        let sent = pair.published()?.messages;
        Ok(pair.settle_exactly(*pair_group, sent, 2)?.latency)
    }
}
