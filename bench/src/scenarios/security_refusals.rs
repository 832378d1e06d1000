//! A flood of bad handshakes beside live clients: what a refusal costs, and who notices.

use std::thread;

use anyhow::{Context, Result};

use super::{Settings, manifest::Channel, progress};
use crate::{
    load::{Plan, Protocol, Schedule, knocking::knock},
    process::{Load, Reference, Target},
    report::{Report, Row, Unit},
    stats::Summary,
};

/// From a page of another site. Bad tokens would not do: after some the address has to wait, which is cheaper.
const BAD: &[&str] = &[
    "GET /ws HTTP/1.1\r\nHost: chat.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
     Origin: https://evil.example\r\n\r\n",
];

/// One window of live traffic.
struct Window {
    /// CPU time of the gateway.
    gateway_seconds: f64,
    /// Live clients' delay.
    p99_us: f64,
    /// CPU time for each refusal, of whoever refused.
    refusal_us: f64,
    /// KiB that the gateway took more after it.
    grown: f64,
}

/// Whom the bad handshakes go to.
#[derive(Clone, Copy, PartialEq)]
enum Flood {
    Nobody,
    Gateway,
    Reference,
}

/// Adds what a flood of bad handshakes does.
pub fn measure(settings: &Settings, report: &mut Report) -> Result<()> {
    let clients = settings.pick(1000, 50);
    let per_second = settings.pick(2000.0, 200.0);
    report.method.push_str(&format!(
        "Refusals: {clients} JSON connections in one room get 20 messages of 128 bytes a second, meanwhile \
         {per_second} handshakes a second come from a page of another origin, each on a connection of its own, to the \
         gateway or to a bare axum server on one thread that answers 401 to everything. CPU per refusal of the gateway \
         is what it took more than in a window without them. Delay is from the publisher's write to the receiver's parser. "
    ));
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for pair in 0..settings.pairs {
        progress(&format!(
            "refusals: pair {} of {}",
            pair + 1,
            settings.pairs
        ));
        let quiet = window(settings, clients, per_second, Flood::Nobody)?;
        let mut flooded = window(settings, clients, per_second, Flood::Gateway)?;
        flooded.refusal_us -= quiet.gateway_seconds * 1e6 / flooded_count(settings, per_second);
        ours.push(flooded);
        bare.push(window(settings, clients, per_second, Flood::Reference)?);
    }
    let each = |windows: &[Window], value: fn(&Window) -> f64| {
        windows.iter().map(value).collect::<Vec<_>>()
    };
    let ratio = |value| Summary::of_ratios(&each(&ours, value), &each(&bare, value));
    report.rows.extend(
        ratio(|w| w.refusal_us)
            .map(|value| Row::new("CPU per refusal / bare axum", Unit::Ratio, value).at_most(1.3)),
    );
    report.rows.extend(ratio(|w| w.p99_us).map(|value| {
        Row::new(
            "live p99 in a flood / with the flood at bare axum",
            Unit::Ratio,
            value,
        )
        .at_most(1.5)
    }));
    for (what, unit, values) in [
        (
            "gateway: CPU per refusal",
            Unit::Microseconds,
            each(&ours, |w| w.refusal_us),
        ),
        (
            "axum: CPU per refusal",
            Unit::Microseconds,
            each(&bare, |w| w.refusal_us),
        ),
        (
            "live p99 in a flood",
            Unit::Microseconds,
            each(&ours, |w| w.p99_us),
        ),
        (
            "live p99, flood at axum",
            Unit::Microseconds,
            each(&bare, |w| w.p99_us),
        ),
        (
            "gateway: memory grown in a flood",
            Unit::Kilobytes,
            each(&ours, |w| w.grown),
        ),
    ] {
        report
            .rows
            .extend(Summary::of(values).map(|value| Row::new(what, unit, value)));
    }
    Ok(())
}

fn seconds(settings: &Settings) -> f64 {
    settings.pick(10.0, 1.0)
}

fn flooded_count(settings: &Settings, per_second: f64) -> f64 {
    seconds(settings) * per_second
}

fn window(settings: &Settings, clients: usize, per_second: f64, flood: Flood) -> Result<Window> {
    let gateway = settings.start_gateway(&Channel::default().to_yaml())?;
    let reference = Reference::start(&["refuse".to_owned()])?;
    let address = gateway.target.address;
    let mut load = Load::start()?;
    let plan = Plan::new(address, Protocol::Json, "live", clients);
    let group = load.open(plan)?.group;
    let warm_up = Schedule {
        per_second: 20.0,
        burst: 1,
        seconds: settings.pick(2.0, 0.5),
        data_bytes: 128,
    };
    let schedule = Schedule {
        seconds: seconds(settings),
        ..warm_up
    };
    let warmed = load.publish(address, "live", warm_up)?.messages;
    load.settle(group, warmed * clients as u64)?;
    load.snapshot(group, true)?;
    let refuser: Option<Target> = match flood {
        Flood::Nobody => None,
        Flood::Gateway => Some(gateway.target),
        Flood::Reference => Some(reference.target),
    };
    if let Some(refuser) = refuser {
        knock(refuser.address, BAD, per_second, 0.5)?; // its memory has its shape now
    }
    let grown = gateway.target.resident()?;
    let cpu = gateway.target.cpu()?;
    let refuser_cpu = refuser.map(Target::cpu).transpose()?;
    let knocking = refuser.map(|refuser| {
        let seconds = seconds(settings);
        thread::spawn(move || knock(refuser.address, BAD, per_second, seconds))
    });
    let published = load.publish(address, "live", schedule)?;
    let knocked = knocking
        .map(|thread| {
            thread
                .join()
                .ok()
                .context("the knocking thread has ended")?
        })
        .transpose()?;
    let received = load.settle(group, published.messages * clients as u64)?;
    let refusal_us = match (refuser, refuser_cpu, knocked) {
        (Some(refuser), Some(before), Some(knocked)) => {
            (refuser.cpu()? - before).as_secs_f64() * 1e6 / knocked.refused as f64
        }
        _ => 0.0,
    };
    Ok(Window {
        gateway_seconds: (gateway.target.cpu()? - cpu).as_secs_f64(),
        p99_us: received.latency.p99,
        refusal_us,
        grown: gateway.target.resident()?.saturating_sub(grown) as f64 / 1024.0,
    })
}
