//! CPU time per delivery of a fan-out over two gateways on NATS, against one gateway that is its own broker.

use anyhow::{Result, ensure};

use super::{Settings, manifest::Channel, progress};
use crate::{
    load::{Plan, Protocol, Schedule},
    process::{Load, NatsServer, Target},
    report::{Report, Row, Unit},
    stats::Summary,
};

const ROOM: &str = "fanout";
const TARGET: f64 = 1.1;

/// Measures rooms without history and with it.
pub fn run(settings: &Settings) -> Result<Report> {
    let subscribers = settings.pick(1000, 50);
    let schedule = Schedule {
        per_second: settings.pick(20.0, 200.0),
        burst: 1,
        seconds: settings.pick(6.0, 0.3),
        data_bytes: 128,
    };
    let mut report = Report::new("nats-fanout", "CPU time per delivery on two gateways");
    report.method = format!(
        "{subscribers} subscribers of one room, 128 bytes of data, {} messages/s; half of them on each of two gateways \
         that meet on NATS, against all of them on one gateway with the embedded broker. User + system time of the \
         gateways, without NATS's, over the deliveries of a window that starts after a second of warm-up. Each window \
         has fresh processes; the order alternates.",
        schedule.per_second
    );
    for history in [false, true] {
        let which = match history {
            true => "with history",
            false => "without history",
        };
        let (mut two, mut one) = (Vec::new(), Vec::new());
        for pair in 0..settings.pairs {
            progress(&format!(
                "nats-fanout {which}: pair {} of {}",
                pair + 1,
                settings.pairs
            ));
            let mut order = [true, false];
            order.rotate_left(pair % 2);
            for on_nats in order {
                match on_nats {
                    true => two.push(on_two(settings, schedule, subscribers, history)?),
                    false => one.push(on_one(settings, schedule, subscribers, history)?),
                }
            }
        }
        report
            .rows
            .extend(Summary::of_ratios(&two, &one).map(|value| {
                let what = format!("two gateways on NATS / embedded broker, {which}");
                Row::new(what, Unit::Ratio, value).at_most(TARGET)
            }));
        for (what, values) in [("two gateways on NATS", two), ("embedded broker", one)] {
            report.rows.extend(Summary::of(values).map(|value| {
                let what = format!("{what}: CPU per delivery, {which}");
                Row::new(what, Unit::Microseconds, value)
            }));
        }
    }
    Ok(report)
}

fn on_two(
    settings: &Settings,
    schedule: Schedule,
    subscribers: usize,
    history: bool,
) -> Result<f64> {
    let nats = NatsServer::start()?;
    let manifest = Channel {
        history,
        nats: Some(nats.port),
        ..Channel::default()
    }
    .to_yaml();
    let a = settings.start_gateway_on_nats(&manifest, "a")?;
    let b = settings.start_gateway_on_nats(&manifest, "b")?;
    window(&[a.target, b.target], schedule, subscribers)
}

fn on_one(
    settings: &Settings,
    schedule: Schedule,
    subscribers: usize,
    history: bool,
) -> Result<f64> {
    let manifest = Channel {
        history,
        ..Channel::default()
    };
    let gateway = settings.start_gateway(&manifest.to_yaml())?;
    window(&[gateway.target], schedule, subscribers)
}

/// CPU time per delivery in microseconds, of all gateways together.
fn window(gateways: &[Target], schedule: Schedule, subscribers: usize) -> Result<f64> {
    let mut load = Load::start()?;
    let each = subscribers / gateways.len();
    let mut groups = Vec::new();
    for gateway in gateways {
        let plan = Plan {
            verify_every: 50,
            ..Plan::new(gateway.address, Protocol::Json, ROOM, each)
        };
        groups.push(load.open(plan)?.group);
    }
    let entry = gateways[0].address;
    let warm_up = Schedule {
        seconds: schedule.seconds.min(1.0),
        ..schedule
    };
    let warmed = load.publish(entry, ROOM, warm_up)?.messages;
    for group in &groups {
        load.settle_exactly(*group, warmed, each as u64)?;
        load.snapshot(*group, true)?;
    }
    let before = cpu(gateways)?;
    let sent = load.publish(entry, ROOM, schedule)?.messages;
    let mut delivered = 0;
    for group in groups {
        let received = load.settle_exactly(group, sent, each as u64)?;
        ensure!(
            received.lost + received.reordered + received.duplicated == 0,
            "messages lost, reordered or doubled"
        );
        delivered += received.messages;
    }
    Ok((cpu(gateways)? - before) * 1e6 / delivered as f64)
}

/// CPU time of all so far, in seconds.
fn cpu(gateways: &[Target]) -> Result<f64> {
    let mut all = 0.0;
    for gateway in gateways {
        all += gateway.cpu()?.as_secs_f64();
    }
    Ok(all)
}
