//! What a message costs a gateway that has nobody in its room: every gateway reads all of a channel's streams.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::{Settings, manifest::Channel, nats::stored_subject, progress};
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
/// What the gateway may need to read the last messages, after they were acknowledged.
const TAIL: Duration = Duration::from_millis(500);

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
    report.method = format!(
        "A bare NATS client publishes {} messages/s of 128 bytes into the streams of a channel, for {ROOMS} rooms; a \
         gateway has one subscriber, in another room. User + system time of the gateway over {} s, after a second of \
         warm-up, less what it takes in the same time without messages, over the messages. Each window has fresh \
         processes and streams.",
        schedule.per_second, schedule.seconds
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
            let (partitions, costs) = &mut series[of];
            costs.push(window(settings, schedule, *partitions)?);
        }
    }
    for (partitions, costs) in series {
        let what = match partitions {
            1 => "1 partition".to_owned(),
            many => format!("{many} partitions"),
        };
        report.rows.extend(Summary::of(costs).map(|value| {
            Row::new(
                format!("gateway: CPU per foreign message, {what}"),
                Unit::Microseconds,
                value,
            )
        }));
    }
    Ok(report)
}

/// CPU time per message in microseconds.
fn window(settings: &Settings, schedule: Schedule, partitions: u32) -> Result<f64> {
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
        .open(Plan::new(target.address, Protocol::Json, "idle", 1))?
        .group;
    let runtime = one_thread()?;
    // Several streams take the messages; which ones is for the subjects to say.
    let way = Way {
        url: nats.url(),
        subject: stored_subject("foreign", partitions),
        stream: Some("linnet_default_bench".to_owned()),
    };
    let entry = runtime.block_on(way.enter())?;
    let publish = |schedule| {
        send(&runtime, &entry, schedule, |sequence| {
            stored_subject(&format!("foreign-{}", sequence % ROOMS), partitions)
        })?;
        thread::sleep(TAIL);
        Ok(())
    };
    publish(Schedule {
        seconds: schedule.seconds.min(1.0),
        ..schedule
    })?;
    let whole = Duration::from_secs_f64(schedule.seconds) + TAIL;
    let (idle, idle_seconds) = cost(target, || {
        thread::sleep(whole);
        Ok(())
    })?;
    let (busy, busy_seconds) = cost(target, || publish(schedule))?;
    let heard = load.snapshot(group, false)?;
    ensure!(
        heard.failed == 0 && heard.messages == 0,
        "the subscriber of another room heard {} messages: {}",
        heard.messages,
        heard.failures.join("; ")
    );
    let beyond = busy - idle * busy_seconds / idle_seconds;
    Ok(beyond * 1e6 / schedule.messages() as f64)
}

/// CPU time that a server takes while something is done, and how long that lasts, in seconds.
fn cost(target: Target, work: impl FnOnce() -> Result<()>) -> Result<(f64, f64)> {
    let (begun, before) = (Instant::now(), target.cpu()?);
    work()?;
    let cpu = target.cpu()? - before;
    Ok((cpu.as_secs_f64(), begun.elapsed().as_secs_f64()))
}
