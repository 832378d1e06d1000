//! CPU time per delivery of a fan-out to 1000 subscribers, against a bare loop of write(2).

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

const ROOM: &str = "fanout";

/// One kind of traffic.
#[derive(Debug, Clone, Copy)]
struct Traffic {
    subscribers: usize,
    schedule: Schedule,
}

/// One measured window.
#[derive(Debug, Clone, Copy)]
struct Sample {
    cpu_us_per_delivery: f64,
    frame_bytes: usize,
    /// CPU time of server and clients over duration, in cores: whether the machine was saturated.
    cores: f64,
    p99_us: f64,
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
    let mut report = Report::new("fanout", "CPU time per delivery in a fan-out");
    report.method = format!(
        "{} subscribers of one room, 128 bytes of data, JSON protocol, {} messages/s; user + system time of the \
         server over the deliveries of a window, which starts after a second of warm-up. Each window has fresh \
         processes; the order alternates. The reference writes frames of the length that the gateway's frames were \
         measured to have; it has no publisher, while the gateway also reads and acknowledges each publish.",
        single.subscribers, single.schedule.per_second
    );
    let mut busiest: f64 = 0.0;
    for history in [false, true] {
        let which = if history {
            "with history"
        } else {
            "without history"
        };
        // Learns the length of the frames; its timing is thrown away.
        let frame_bytes = gateway(settings, single, history)?.frame_bytes;
        let mut series: [Series; 5] = Default::default();
        for pair in 0..settings.pairs {
            progress(&format!(
                "fanout {which}: pair {} of {}",
                pair + 1,
                settings.pairs
            ));
            let mut order = [0, 1, 2, 3, 4];
            // Neither side always runs on the machine that the other has just warmed or tired.
            order.rotate_left(pair % 5);
            for which in order {
                series[which].0.push(match which {
                    0 => gateway(settings, single, history)?,
                    1 => reference(single, frame_bytes, false)?,
                    2 => gateway(settings, bursts, history)?,
                    3 => reference(bursts, frame_bytes, false)?,
                    _ => reference(bursts, frame_bytes, true)?,
                });
            }
        }
        let [
            ours_single,
            bare_single,
            ours_bursts,
            bare_bursts,
            bare_joined,
        ] = &series;
        let mut ratio = |what: &str, ours: &Series, bare: &Series, target| {
            report
                .rows
                .extend(Summary::of_ratios(&ours.cost(), &bare.cost()).map(|value| {
                    Row::new(format!("{what}, {which}"), Unit::Ratio, value).at_most(target)
                }));
        };
        ratio(
            "single messages / write(2) each",
            ours_single,
            bare_single,
            1.15,
        );
        ratio(
            "bursts of ten / write(2) a message",
            ours_bursts,
            bare_bursts,
            0.2,
        );
        ratio(
            "bursts of ten / write(2) a burst",
            ours_bursts,
            bare_joined,
            1.25,
        );
        for (what, values) in [
            ("gateway, single: CPU per delivery", ours_single.cost()),
            ("reference, single: CPU per delivery", bare_single.cost()),
            ("gateway, bursts: CPU per delivery", ours_bursts.cost()),
            (
                "reference, bursts, a write a message: CPU per delivery",
                bare_bursts.cost(),
            ),
            (
                "reference, bursts, a write a burst: CPU per delivery",
                bare_joined.cost(),
            ),
            ("gateway, single: p99 latency", ours_single.p99()),
            ("reference, single: p99 latency", bare_single.p99()),
        ] {
            report.rows.extend(
                Summary::of(values)
                    .map(|value| Row::new(format!("{what}, {which}"), Unit::Microseconds, value)),
            );
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

fn reference(traffic: Traffic, frame_bytes: usize, joined: bool) -> Result<Sample> {
    let mut server = Reference::start(&["fanout".to_owned()])?;
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
fn window(
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
