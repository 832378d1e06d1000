//! How long 64 publishers wait for the ack of a stream, against bare async-nats with the same window.

use std::time::Instant;

use anyhow::Result;

use super::{Settings, manifest::Channel, nats::relay_way, progress};
use crate::{
    load::{Latency, Schedule},
    nats::{WINDOW, Way, acked::Publishers},
    process::{NatsServer, Reference},
    report::{Curve, Report, Row, Unit},
    stats::Summary,
};

const PUBLISHERS: usize = 64;
const TARGET: f64 = 1.5;
/// Publishes per second, where it is looked for what a core can take.
const RUSH: f64 = 8000.0;

/// Measures acks at a fixed rate.
pub fn run(settings: &Settings) -> Result<Report> {
    let schedule = Schedule {
        per_second: settings.pick(2000.0, 640.0),
        burst: 1,
        seconds: settings.pick(8.0, 0.5),
        data_bytes: 128,
    };
    let rush = Schedule {
        per_second: settings.pick(RUSH, 1280.0),
        seconds: settings.pick(3.0, 0.5),
        ..schedule
    };
    let mut report = Report::new("nats-publish", "Acked publishes into streams");
    report.method = format!(
        "{PUBLISHERS} publishers send {} messages/s of 128 bytes in all, each into a room with history of its own; from \
         each publish to its ack, in windows of {} s after a second of warm-up. Over the gateway each has a WebSocket \
         connection; the reference is as many tasks that share one client of async-nats, with {WINDOW} acks under \
         way at most as in the gateway, and a stream of the gateway's configuration. So the gateway's acks make two \
         hops more, which the bare relay (tokio and async-nats, no JSON) makes too. The reference sends no \
         Nats-Msg-Id, which the gateway does. Each window has a fresh gateway and relay; the NATS server stays, and \
         the order alternates. A rush of {} messages/s follows on the gateway; 'saturates' is a second over its time \
         per message.",
        schedule.per_second, schedule.seconds, rush.per_second
    );
    let nats = NatsServer::start()?;
    let manifest = Channel {
        history: true,
        nats: Some(nats.port),
        ..Channel::default()
    }
    .to_yaml();
    // Makes the stream that the reference's is a copy of.
    drop(settings.start_gateway_on_nats(&manifest, "a")?);
    let way = relay_way(&nats, true, "all")?;
    let mut series: [Vec<Latency>; 3] = Default::default();
    let (mut costs, mut rush_costs) = (Vec::new(), Vec::new());
    let mut busiest: f64 = 0.0;
    for pair in 0..settings.pairs {
        progress(&format!(
            "nats-publish: pair {} of {}",
            pair + 1,
            settings.pairs
        ));
        let mut order = [0, 1, 2];
        // Neither side always runs on the machine that the other has just warmed or tired.
        order.rotate_left(pair % 3);
        for of in order {
            series[of].push(match of {
                0 => {
                    let gateway = settings.start_gateway_on_nats(&manifest, "a")?;
                    let mut publishers = Publishers::connect(gateway.target.address, PUBLISHERS)?;
                    publishers.publish(warm_up(schedule))?;
                    let (begun, nats_before) = (Instant::now(), nats.cpu()?);
                    let before = gateway.target.cpu()?;
                    let latency = publishers.publish(schedule)?;
                    let cpu = (gateway.target.cpu()? - before).as_secs_f64();
                    let served = cpu + (nats.cpu()? - nats_before).as_secs_f64();
                    busiest = busiest.max(served / begun.elapsed().as_secs_f64());
                    costs.push(cpu * 1e6 / latency.count as f64);
                    let before = gateway.target.cpu()?;
                    let rushed = publishers.publish(rush)?.count;
                    let cpu = (gateway.target.cpu()? - before).as_secs_f64();
                    rush_costs.push(cpu * 1e6 / rushed as f64);
                    latency
                }
                1 => bare(&way, schedule)?,
                _ => relay(&way, schedule)?,
            });
        }
    }
    add_rows(&mut report, &series, costs, rush_costs);
    report.notes.push(format!(
        "Gateway and NATS together took {busiest:.2} cores at most; the publishers come on top."
    ));
    Ok(report)
}

fn bare(way: &Way, schedule: Schedule) -> Result<Latency> {
    let subject = way.subject.rsplit_once('.').map(|(before, _)| before);
    let way = Way {
        subject: subject.unwrap_or(&way.subject).to_owned(),
        ..way.clone()
    };
    let mut publishers = Publishers::on_nats(way, PUBLISHERS)?;
    publishers.publish(warm_up(schedule))?;
    publishers.publish(schedule)
}

fn relay(way: &Way, schedule: Schedule) -> Result<Latency> {
    let mut arguments = vec!["relay-in".to_owned()];
    arguments.extend(way.arguments());
    let relay = Reference::start(&arguments)?;
    let mut publishers = Publishers::connect(relay.target.address, PUBLISHERS)?;
    publishers.publish(warm_up(schedule))?;
    publishers.publish(schedule)
}

fn warm_up(schedule: Schedule) -> Schedule {
    Schedule {
        seconds: schedule.seconds.min(1.0),
        ..schedule
    }
}

fn add_rows(
    report: &mut Report,
    series: &[Vec<Latency>; 3],
    costs: Vec<f64>,
    rush_costs: Vec<f64>,
) {
    let p50 = |of: usize| -> Vec<f64> { series[of].iter().map(|latency| latency.p50).collect() };
    let p99 = |of: usize| -> Vec<f64> { series[of].iter().map(|latency| latency.p99).collect() };
    report
        .rows
        .extend(Summary::of_ratios(&p99(0), &p99(1)).map(|value| {
            Row::new("gateway / bare async-nats: ack, p99", Unit::Ratio, value).at_most(TARGET)
        }));
    report.rows.extend(
        Summary::of_ratios(&p99(0), &p99(2))
            .map(|value| Row::new("gateway / bare relay: ack, p99", Unit::Ratio, value)),
    );
    for (of, name) in ["gateway", "bare async-nats", "bare relay"]
        .iter()
        .enumerate()
    {
        for (what, values) in [("p50", p50(of)), ("p99", p99(of))] {
            report.rows.extend(
                Summary::of(values).map(|value| {
                    Row::new(format!("{name}: ack, {what}"), Unit::Microseconds, value)
                }),
            );
        }
        let curves: Vec<_> = series[of]
            .iter()
            .map(|latency| latency.curve.clone())
            .collect();
        report.curves.push(Curve::median(name, &curves));
    }
    report.rows.extend(
        Summary::of(costs)
            .map(|value| Row::new("gateway: CPU per publish", Unit::Microseconds, value)),
    );
    let saturating: Vec<f64> = rush_costs.iter().map(|cost| 1e6 / cost).collect();
    report.rows.extend(Summary::of(rush_costs).map(|value| {
        Row::new(
            "gateway: CPU per publish in a rush",
            Unit::Microseconds,
            value,
        )
    }));
    report.rows.extend(
        Summary::of(saturating)
            .map(|value| Row::new("a gateway's core saturates at", Unit::PerSecond, value)),
    );
}
