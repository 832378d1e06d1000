//! What a message costs a gateway that has nobody in its room, and how many a second it can take.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::{
    Settings,
    manifest::Channel,
    nats::{GATEWAY_STREAM, stored_subject},
    progress,
};
use crate::{
    load::{Plan, Protocol, Schedule},
    nats::{
        Way,
        send::{one_thread, send},
    },
    process::{Load, NatsServer, Target},
    report::{Report, Row, Unit},
    stats::Summary,
};

/// Rooms without subscribers, which spread over the partitions.
const ROOMS: u64 = 64;
/// The room that somebody is in.
const ROOM: &str = "idle";
/// More than any publisher reaches: as fast as the stream takes them.
const FLOOD: f64 = 1e6;

/// One window.
struct Sample {
    /// At a steady rate, in microseconds per message.
    cpu_us: f64,
    /// In a flood, which the gateway reads in large batches.
    flood_cpu_us: f64,
    /// Messages of the flood per second, until the gateway has read the last.
    per_second: f64,
}

/// Measures one partition and eight.
pub fn run(settings: &Settings) -> Result<Report> {
    let schedule = Schedule {
        per_second: settings.pick(2000.0, 500.0),
        burst: 1,
        seconds: settings.pick(5.0, 0.5),
        data_bytes: 128,
    };
    let mut report = Report::new(
        "nats-foreign",
        "CPU time of a message for a room without local subscribers",
    );
    let flood = Schedule {
        per_second: FLOOD,
        burst: 1,
        seconds: settings.pick(50_000.0, 500.0) / FLOOD,
        data_bytes: 128,
    };
    report.method = format!(
        "A bare NATS client publishes {} messages/s of 128 bytes into the streams of a channel, for {ROOMS} rooms; a \
         gateway has one subscriber, in another room, whose message after the others tells when they were read. User + \
         system time of the gateway over {} s, after a second of warm-up, less what it takes in the same time without \
         messages, over the messages. The flood is {} messages, as fast as the stream takes them (256 acks awaited); \
         'saturates' is a second over the flood's time per message: what a core could take. Each window has fresh \
         processes and streams.",
        schedule.per_second,
        schedule.seconds,
        flood.messages()
    );
    let mut series = [(1, Vec::new()), (8, Vec::new())];
    for pair in 0..settings.pairs {
        progress(&format!(
            "nats-foreign: turn {} of {}",
            pair + 1,
            settings.pairs
        ));
        let mut order = [0, 1];
        order.rotate_left(pair % 2);
        for of in order {
            let (partitions, samples) = &mut series[of];
            samples.push(window(settings, schedule, flood, *partitions)?);
        }
    }
    for (partitions, samples) in series {
        let which = match partitions {
            1 => "1 partition".to_owned(),
            many => format!("{many} partitions"),
        };
        let mut row = |what: &str, unit, value: fn(&Sample) -> f64| {
            let values: Vec<f64> = samples.iter().map(value).collect();
            report.rows.extend(
                Summary::of(values).map(|value| Row::new(format!("{what}, {which}"), unit, value)),
            );
        };
        row(
            "gateway: CPU per foreign message",
            Unit::Microseconds,
            |sample| sample.cpu_us,
        );
        row(
            "gateway: CPU per message of a flood",
            Unit::Microseconds,
            |sample| sample.flood_cpu_us,
        );
        row("a gateway's core saturates at", Unit::PerSecond, |sample| {
            1e6 / sample.flood_cpu_us
        });
        row("flood, all together", Unit::PerSecond, |sample| {
            sample.per_second
        });
    }
    Ok(report)
}

fn window(
    settings: &Settings,
    schedule: Schedule,
    flood: Schedule,
    partitions: u32,
) -> Result<Sample> {
    let nats = NatsServer::start()?;
    let manifest = Channel {
        history: true,
        nats: Some(nats.port),
        partitions,
        ..Channel::default()
    }
    .to_yaml();
    let gateway = settings.start_gateway_on_nats(&manifest, "a")?;
    let target = gateway.target;
    let mut load = Load::start()?;
    let group = load
        .open(Plan::new(target.address, Protocol::Json, ROOM, 1))?
        .group;
    let runtime = one_thread()?;
    // Several streams take the messages; which ones is for the subjects to say.
    let way = Way {
        url: nats.url(),
        subject: stored_subject(ROOM, partitions),
        stream: Some(GATEWAY_STREAM.to_owned()),
    };
    let entry = runtime.block_on(way.enter())?;
    let last = Schedule {
        per_second: 1.0,
        burst: 1,
        seconds: 1.0,
        data_bytes: 128,
    };
    let mut publish = |schedule| {
        send(&runtime, &entry, schedule, |sequence| {
            stored_subject(&format!("foreign-{}", sequence % ROOMS), partitions)
        })?;
        send(&runtime, &entry, last, |_| stored_subject(ROOM, partitions))?;
        let heard = load.settle(group, 1)?;
        ensure!(
            heard.messages == 1,
            "the subscriber of another room heard {} messages instead of its own",
            heard.messages
        );
        load.snapshot(group, true)?;
        Ok(())
    };
    publish(Schedule {
        seconds: schedule.seconds.min(1.0),
        ..schedule
    })?;
    let (busy, busy_seconds) = cost(target, || publish(schedule))?;
    let (idle, idle_seconds) = cost(target, || {
        thread::sleep(Duration::from_secs_f64(busy_seconds));
        Ok(())
    })?;
    let (flooded, flood_seconds) = cost(target, || publish(flood))?;
    let beyond = |cpu: f64, seconds: f64, messages: u64| {
        (cpu - idle * seconds / idle_seconds) * 1e6 / messages as f64
    };
    Ok(Sample {
        cpu_us: beyond(busy, busy_seconds, schedule.messages()),
        flood_cpu_us: beyond(flooded, flood_seconds, flood.messages()),
        per_second: flood.messages() as f64 / flood_seconds,
    })
}

/// CPU time that a server takes while something is done, and how long that lasts, in seconds.
fn cost(target: Target, work: impl FnOnce() -> Result<()>) -> Result<(f64, f64)> {
    let (begun, before) = (Instant::now(), target.cpu()?);
    work()?;
    let cpu = target.cpu()? - before;
    Ok((cpu.as_secs_f64(), begun.elapsed().as_secs_f64()))
}
