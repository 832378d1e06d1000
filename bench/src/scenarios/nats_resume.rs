//! Ten thousand open sockets that come back at the same time: how long it takes until all have what they missed.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::{
    Settings,
    manifest::Channel,
    nats::{GATEWAY_STREAM, position, stored_subject},
    progress,
};
use crate::{
    load::{Plan, Protocol, Rooms, Schedule},
    nats::{
        Way,
        send::{one_thread, send},
    },
    process::{Load, NatsServer},
    report::{Report, Row, Unit},
    stats::Summary,
};

/// Rooms that the sockets are spread over.
const ROOMS: u64 = 100;
/// Messages that each socket missed.
const MISSED: u64 = 10;
const ROOM: &str = "resume";
const LIVE: &str = "live";

/// One measured resume.
struct Sample {
    all_us: f64,
    live_p99_us: f64,
    cpu_us: f64,
}

/// Measures from the first request to the last message, and a live room meanwhile.
pub fn run(settings: &Settings) -> Result<Report> {
    let sockets = settings.pick(10_000, 200);
    let mut report = Report::new("nats-resume", "Many sockets resume at the same time");
    report.method = format!(
        "{sockets} open sockets of one gateway, spread over {ROOMS} rooms with history on NATS, subscribe with `since`, \
         {MISSED} messages of 128 bytes behind; from before the first request to the last message. Meanwhile another \
         room of one subscriber gets 100 messages/s from another client; its delay is from just before the publisher's \
         write to the receiver's parser. Each turn has fresh processes. Clients share the machine with the gateway."
    );
    let mut samples = Vec::new();
    for pair in 0..settings.pairs {
        progress(&format!(
            "nats-resume: turn {} of {}",
            pair + 1,
            settings.pairs
        ));
        samples.push(sample(settings, sockets)?);
    }
    let each = |value: fn(&Sample) -> f64| samples.iter().map(value).collect::<Vec<_>>();
    let row = |what: &str, value: fn(&Sample) -> f64| {
        Summary::of(each(value)).map(|value| Row::new(what, Unit::Microseconds, value))
    };
    let within = |row: Option<Row>, bound: f64| row.map(|row| row.at_most(bound));
    report.rows.extend(within(
        row("first request to last message", |sample| sample.all_us),
        2e6,
    ));
    report.rows.extend(within(
        row("live room meanwhile: p99", |sample| sample.live_p99_us),
        50e3,
    ));
    report
        .rows
        .extend(row("gateway: CPU per resume", |sample| sample.cpu_us));
    Ok(report)
}

fn sample(settings: &Settings, sockets: usize) -> Result<Sample> {
    let nats = NatsServer::start()?;
    let manifest = Channel {
        history: true,
        nats: Some(nats.port),
        ..Channel::default()
    }
    .to_yaml();
    let gateway = settings.start_gateway_on_nats(&manifest, "a")?;
    let target = gateway.target;
    let mut load = Load::start()?;
    let group = load
        .open(Plan {
            rooms: Rooms::Spread(ROOMS as usize),
            hold: true,
            verify_every: 0,
            ..Plan::new(target.address, Protocol::Json, ROOM, sockets)
        })?
        .group;
    let since = position(&nats)?;
    miss(&nats)?;
    let mut bystanders = Load::start()?;
    let live = bystanders
        .open(Plan::new(target.address, Protocol::Json, LIVE, 1))?
        .group;
    bystanders.begin_publish(
        target.address,
        LIVE,
        Schedule {
            per_second: 100.0,
            burst: 1,
            seconds: settings.pick(3.0, 0.5),
            data_bytes: 128,
        },
    )?;
    let (begun, before) = (Instant::now(), target.cpu()?);
    load.subscribe(group, Some(since))?;
    load.settle_exactly(group, MISSED, sockets as u64)?;
    let (all, cpu) = (begun.elapsed(), target.cpu()? - before);
    let published = bystanders.published()?.messages;
    let heard = bystanders.settle_exactly(live, published, 1)?;
    ensure!(
        heard.lost + heard.reordered + heard.duplicated == 0,
        "messages of the live room were lost, reordered or doubled"
    );
    Ok(Sample {
        all_us: all.as_secs_f64() * 1e6,
        live_p99_us: heard.latency.p99,
        cpu_us: cpu.as_secs_f64() * 1e6 / sockets as f64,
    })
}

/// Publishes to each room what its sockets will have missed.
fn miss(nats: &NatsServer) -> Result<()> {
    let runtime = one_thread()?;
    let way = Way {
        url: nats.url(),
        subject: stored_subject(ROOM, 1),
        stream: Some(GATEWAY_STREAM.to_owned()),
    };
    let entry = runtime.block_on(way.enter())?;
    let schedule = Schedule {
        per_second: 2000.0,
        burst: 1,
        seconds: (ROOMS * MISSED) as f64 / 2000.0,
        data_bytes: 128,
    };
    send(&runtime, &entry, schedule, |sequence| {
        stored_subject(&format!("{ROOM}-{}", sequence % ROOMS), 1)
    })
}
