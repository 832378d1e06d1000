//! CPU time per connect: upgrade, greeting, one subscribe, its ack; and then the close.

use anyhow::Result;

use super::{Settings, manifest::Channel, progress};
use crate::{
    load::{Lengths, Plan, Protocol},
    process::{Load, Reference, Target},
    report::{Report, Row, Unit},
    stats::Summary,
};

/// One measured window.
struct Sample {
    connect_us: f64,
    with_close_us: f64,
    setup_p99_us: f64,
    lengths: Lengths,
    cores: f64,
}

/// Measures connects at a steady pace against bare tokio.
pub fn run(settings: &Settings) -> Result<Report> {
    let (connections, per_second) = (settings.pick(4000, 100), settings.pick(1000.0, 500.0));
    let mut report = Report::new("connect", "CPU time per connect");
    report.method = format!(
        "{connections} connects at {per_second} per second: TCP, upgrade, greeting, one subscribe, ack; user + system \
         time of the server, until the last is ready. 'With close' goes on to the end of a close handshake. A tenth \
         as many connects go before as warm-up. The reference is tokio on one thread that reads and writes as many \
         bytes in the same steps, and neither parses HTTP nor hashes the key."
    );
    let gateway_sample = || -> Result<Sample> {
        let server = settings.start_gateway(&Channel::default().to_yaml())?;
        window(server.target, connections, per_second)
    };
    // Learns what the gateway sends.
    let lengths = gateway_sample()?.lengths;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for pair in 0..settings.pairs {
        progress(&format!("connect: pair {} of {}", pair + 1, settings.pairs));
        for ours_now in if pair % 2 == 0 {
            [true, false]
        } else {
            [false, true]
        } {
            if ours_now {
                ours.push(gateway_sample()?);
            } else {
                let server = Reference::start(&arguments(lengths))?;
                bare.push(window(server.target, connections, per_second)?);
            }
        }
    }
    let each = |samples: &[Sample], value: fn(&Sample) -> f64| {
        samples.iter().map(value).collect::<Vec<_>>()
    };
    let ratio = |value| Summary::of_ratios(&each(&ours, value), &each(&bare, value));
    report.rows.extend(
        ratio(|s| s.connect_us)
            .map(|value| Row::new("connect / bare tokio", Unit::Ratio, value).at_most(1.5)),
    );
    report.rows.extend(
        ratio(|s| s.with_close_us)
            .map(|value| Row::new("connect with close / bare tokio", Unit::Ratio, value)),
    );
    for (what, values) in [
        ("gateway: CPU per connect", each(&ours, |s| s.connect_us)),
        ("reference: CPU per connect", each(&bare, |s| s.connect_us)),
        (
            "gateway: p99 from connect to ack",
            each(&ours, |s| s.setup_p99_us),
        ),
        (
            "reference: p99 from connect to ack",
            each(&bare, |s| s.setup_p99_us),
        ),
    ] {
        report
            .rows
            .extend(Summary::of(values).map(|value| Row::new(what, Unit::Microseconds, value)));
    }
    let busiest = ours
        .iter()
        .chain(&bare)
        .map(|sample| sample.cores)
        .fold(0.0, f64::max);
    report.notes.push(format!(
        "Server and clients together took {busiest:.2} cores at most."
    ));
    let Lengths {
        head,
        greeting,
        ack,
    } = lengths;
    report.notes.push(format!(
        "Both sent {head} bytes of head, {greeting} of greeting and {ack} of ack."
    ));
    Ok(report)
}

fn arguments(lengths: Lengths) -> Vec<String> {
    let Lengths {
        head,
        greeting,
        ack,
    } = lengths;
    format!("connect --head {head} --greeting {greeting} --ack {ack}")
        .split(' ')
        .map(str::to_owned)
        .collect()
}

fn window(target: Target, connections: usize, per_second: f64) -> Result<Sample> {
    let mut load = Load::start()?;
    let plan = |connections| Plan {
        per_second,
        verify_every: 0,
        in_flight: 256,
        ..Plan::new(target.address, Protocol::Json, "lobby", connections)
    };
    let warm_up = load.open(plan(connections / 10))?.group;
    load.close(warm_up)?;
    let (before, load_before) = (target.cpu()?, load.cpu()?);
    let opened = load.open(plan(connections))?;
    let (connected, load_connected) = (target.cpu()? - before, load.cpu()? - load_before);
    load.close(opened.group)?;
    let closed = target.cpu()? - before;
    let each = |cpu: std::time::Duration| cpu.as_secs_f64() * 1e6 / connections as f64;
    Ok(Sample {
        connect_us: each(connected),
        with_close_us: each(closed),
        setup_p99_us: opened.setup.p99,
        lengths: opened.lengths,
        cores: (connected + load_connected).as_secs_f64() / opened.seconds,
    })
}
