//! CPU time per delivery of a fan-out to 1000 subscribers, against bare loops of write(2).

use std::time::Instant;

use anyhow::{Result, ensure};

use super::{Settings, manifest::Channel, progress};
use crate::{
    load::{Plan, Protocol, Schedule},
    process::{Load, Reference, Target},
    reference::Send,
    report::{Report, Row, Unit},
    stats::Summary,
};

pub(super) const ROOM: &str = "fanout";

/// One kind of traffic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traffic {
    /// Clients in the room.
    pub subscribers: usize,
    /// What is published there.
    pub schedule: Schedule,
}

/// One measured window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// The server's time.
    pub cpu_us_per_delivery: f64,
    /// Of one frame, header included.
    pub frame_bytes: usize,
    /// CPU time of server and clients over duration, in cores: whether the machine was saturated.
    pub cores: f64,
    /// From publish to receipt.
    pub p99_us: f64,
}

/// Windows of one thing, in the order of the pairs.
#[derive(Debug, Default)]
struct Series(Vec<Sample>);

impl Series {
    fn cost(&self) -> Vec<f64> {
        self.0
            .iter()
            .map(|sample| sample.cpu_us_per_delivery)
            .collect()
    }

    fn busiest(&self) -> f64 {
        self.0.iter().map(|sample| sample.cores).fold(0.0, f64::max)
    }

    fn p99(&self) -> Vec<f64> {
        self.0.iter().map(|sample| sample.p99_us).collect()
    }
}

/// What is measured in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// The gateway, with single messages or bursts.
    Gateway { bursts: bool },
    /// So many bare loops; bursts are a write a message or, joined, a write a burst.
    Bare {
        loops: usize,
        bursts: bool,
        joined: bool,
    },
}

impl Subject {
    fn bare(loops: usize) -> [Self; 3] {
        [(false, false), (true, false), (true, true)].map(|(bursts, joined)| Self::Bare {
            loops,
            bursts,
            joined,
        })
    }

    fn name(self) -> String {
        match self {
            Self::Gateway { bursts: false } => "gateway, single".to_owned(),
            Self::Gateway { bursts: true } => "gateway, bursts".to_owned(),
            Self::Bare {
                loops,
                bursts,
                joined,
            } => {
                let traffic = match (bursts, joined) {
                    (false, _) => "single",
                    (true, false) => "bursts, a write a message",
                    (true, true) => "bursts, a write a burst",
                };
                format!("{}, {traffic}", named(loops))
            }
        }
    }
}

fn named(loops: usize) -> String {
    match loops {
        1 => "bare loop".to_owned(),
        _ => format!("{loops} bare loops"),
    }
}

/// Measures single messages and bursts, without history and with it.
pub fn run(settings: &Settings) -> Result<Report> {
    let traffic = |burst, seconds| Traffic {
        subscribers: settings.pick(1000, 50),
        schedule: Schedule {
            per_second: settings.pick(20.0, 200.0),
            burst,
            seconds,
            data_bytes: 128,
        },
    };
    let single = traffic(1, settings.pick(6.0, 0.3));
    let bursts = traffic(10, settings.pick(10.0, 0.3));
    let shards = settings.shards()?;
    let references = match shards {
        1 => vec![1],
        _ => vec![shards, 1],
    };
    let mut report = Report::new("fanout", "CPU time per delivery in a fan-out");
    report.method = format!(
        "{} subscribers of one room, 128 bytes of data, JSON protocol, {} messages/s; user + system time of the \
         server over the deliveries of a window, which starts after a second of warm-up. Each window has fresh \
         processes; the order alternates. The gateway has {shards} shards; references are as many bare loops, and one. \
         They write frames of the length that the gateway's frames were measured to have; they have no publisher, while \
         the gateway also reads and acknowledges each publish.",
        single.subscribers, single.schedule.per_second
    );
    let mut subjects = vec![
        Subject::Gateway { bursts: false },
        Subject::Gateway { bursts: true },
    ];
    subjects.extend(references.iter().flat_map(|loops| Subject::bare(*loops)));
    let mut busiest: f64 = 0.0;
    for history in [false, true] {
        let which = if history {
            "with history"
        } else {
            "without history"
        };
        // Learns the length of the frames; its timing is thrown away.
        let frame_bytes = gateway(settings, single, history)?.frame_bytes;
        let mut series: Vec<Series> = subjects.iter().map(|_| Series::default()).collect();
        for pair in 0..settings.pairs {
            progress(&format!(
                "fanout {which}: pair {} of {}",
                pair + 1,
                settings.pairs
            ));
            // Neither side always runs on the machine that the other has just warmed or tired.
            let mut order: Vec<usize> = (0..subjects.len()).collect();
            order.rotate_left(pair % subjects.len());
            for index in order {
                series[index].0.push(match subjects[index] {
                    Subject::Gateway { bursts: false } => gateway(settings, single, history)?,
                    Subject::Gateway { bursts: true } => gateway(settings, bursts, history)?,
                    Subject::Bare {
                        loops,
                        bursts: many,
                        joined,
                    } => reference(
                        if many { bursts } else { single },
                        frame_bytes,
                        loops,
                        joined,
                    )?,
                });
            }
        }
        let of = |subject| &series[subjects.iter().position(|one| *one == subject).unwrap_or(0)];
        for loops in &references {
            for bare in Subject::bare(*loops) {
                let Subject::Bare { bursts, joined, .. } = bare else {
                    continue;
                };
                let (what, target) = match (bursts, joined) {
                    (false, _) => ("single messages / write(2) each", 1.15),
                    (true, false) => ("bursts of ten / write(2) a message", 0.2),
                    (true, true) => ("bursts of ten / write(2) a burst", 1.25),
                };
                let ours = of(Subject::Gateway { bursts }).cost();
                let ratio = Summary::of_ratios(&ours, &of(bare).cost());
                report.rows.extend(ratio.map(|value| {
                    let what = format!("{what}, {}, {which}", named(*loops));
                    Row::new(what, Unit::Ratio, value).at_most(target)
                }));
            }
        }
        let microseconds = |what: String, values| {
            Summary::of(values)
                .map(|value| Row::new(format!("{what}, {which}"), Unit::Microseconds, value))
        };
        for (subject, series) in subjects.iter().zip(&series) {
            let what = format!("{}: CPU per delivery", subject.name());
            report.rows.extend(microseconds(what, series.cost()));
        }
        for subject in [
            Subject::Gateway { bursts: false },
            Subject::bare(references[0])[0],
        ] {
            let what = format!("{}: p99 latency", subject.name());
            report.rows.extend(microseconds(what, of(subject).p99()));
        }
        busiest = series.iter().map(Series::busiest).fold(busiest, f64::max);
        report
            .notes
            .push(format!("Frames {which}: {frame_bytes} bytes on the wire."));
    }
    report.notes.push(format!(
        "Server and clients together took {busiest:.2} cores at most."
    ));
    Ok(report)
}

/// CPU per delivery of a gateway that serves `manifest` in this environment, in microseconds, and its memory at the end,
/// in bytes: single messages to as many subscribers as the fan-out's.
pub(super) fn cost_of(
    settings: &Settings,
    manifest: &str,
    variables: &[(&str, &str)],
) -> Result<(f64, u64)> {
    let traffic = Traffic {
        subscribers: settings.pick(1000, 50),
        schedule: Schedule {
            per_second: settings.pick(20.0, 200.0),
            burst: 1,
            seconds: settings.pick(4.0, 0.3),
            data_bytes: 128,
        },
    };
    let server = settings.start_gateway_in(manifest, variables)?;
    let sample = window(server.target, Protocol::Json, traffic, |load, schedule| {
        Ok(load
            .publish(server.target.address, ROOM, schedule)?
            .messages)
    })?;
    Ok((sample.cpu_us_per_delivery, server.target.resident()?))
}

fn gateway(settings: &Settings, traffic: Traffic, history: bool) -> Result<Sample> {
    let server = settings.start_gateway(
        &Channel {
            history,
            ..Channel::default()
        }
        .to_yaml(),
    )?;
    window(server.target, Protocol::Json, traffic, |load, schedule| {
        Ok(load
            .publish(server.target.address, ROOM, schedule)?
            .messages)
    })
}

pub(super) fn reference(
    traffic: Traffic,
    frame_bytes: usize,
    loops: usize,
    joined: bool,
) -> Result<Sample> {
    let mut server = Reference::start(&["fanout".to_owned(), format!("--loops={loops}")])?;
    window(server.target, Protocol::Plain, traffic, |_, schedule| {
        let sent = server.send(&Send {
            schedule,
            frame_bytes,
            joined,
        })?;
        ensure!(
            sent.short_writes == 0,
            "{} writes of the reference were short",
            sent.short_writes
        );
        Ok(sent.messages)
    })
}

/// Opens the subscribers, warms up, and measures one window. `drive` sends by a schedule and says how many messages.
pub(super) fn window(
    target: Target,
    protocol: Protocol,
    traffic: Traffic,
    mut drive: impl FnMut(&mut Load, Schedule) -> Result<u64>,
) -> Result<Sample> {
    let mut load = Load::start()?;
    let subscribers = traffic.subscribers as u64;
    let plan = Plan {
        verify_every: 50,
        ..Plan::new(target.address, protocol, ROOM, traffic.subscribers)
    };
    let group = load.open(plan)?.group;
    let warmed = drive(
        &mut load,
        Schedule {
            seconds: traffic.schedule.seconds.min(1.0),
            ..traffic.schedule
        },
    )?;
    load.settle_exactly(group, warmed, subscribers)?;
    load.snapshot(group, true)?;
    let (begun, before, load_before) = (Instant::now(), target.cpu()?, load.cpu()?);
    let sent = drive(&mut load, traffic.schedule)?;
    let received = load.settle_exactly(group, sent, subscribers)?;
    let (cpu, seconds) = (target.cpu()? - before, begun.elapsed().as_secs_f64());
    ensure!(
        received.lost + received.reordered + received.duplicated == 0,
        "messages lost, reordered or doubled"
    );
    Ok(Sample {
        cpu_us_per_delivery: cpu.as_secs_f64() * 1e6 / received.messages as f64,
        frame_bytes: (received.bytes as f64 / received.messages as f64).round() as usize,
        cores: (cpu + load.cpu()? - load_before).as_secs_f64() / seconds,
        p99_us: received.latency.p99,
    })
}
