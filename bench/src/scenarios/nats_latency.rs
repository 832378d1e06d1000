//! Latency from client to client over two gateways and NATS, against a bare relay with the same hops.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::{Settings, manifest::Channel, nats::relay_way, progress};
use crate::{
    load::{Latency, Plan, Protocol, Schedule},
    nats::{Way, pair},
    process::{Load, NatsServer, Reference, Target},
    report::{Curve, Report, Row, Unit},
    stats::Summary,
};

const ROOM: &str = "latency";
const TARGET: f64 = 1.3;
/// Nobody says when NATS core has heard of a new subscription, and what is published before is lost.
const SUBSCRIBING: Duration = Duration::from_millis(200);

/// One measured window.
#[derive(Debug)]
struct Sample {
    latency: Latency,
    frame_bytes: usize,
    /// CPU time of everybody who takes part over duration, in cores: whether the machine was saturated.
    cores: f64,
}

/// Windows of one thing, in the order of the pairs.
#[derive(Debug, Default)]
struct Series(Vec<Latency>);

impl Series {
    fn p50(&self) -> Vec<f64> {
        self.0.iter().map(|latency| latency.p50).collect()
    }

    fn p99(&self) -> Vec<f64> {
        self.0.iter().map(|latency| latency.p99).collect()
    }

    fn curve(&self, name: &str) -> Curve {
        let curves: Vec<_> = self.0.iter().map(|latency| latency.curve.clone()).collect();
        Curve::median(name, &curves)
    }
}

/// One kind of room on one NATS server.
struct Setting<'a> {
    settings: &'a Settings,
    nats: &'a NatsServer,
    schedule: Schedule,
    history: bool,
}

/// Measures a room without history and one with it.
pub fn run(settings: &Settings) -> Result<Report> {
    let schedule = Schedule {
        per_second: settings.pick(1000.0, 200.0),
        burst: 1,
        seconds: settings.pick(8.0, 0.5),
        data_bytes: 128,
    };
    let mut report = Report::new("nats-latency", "Latency over two gateways and NATS");
    report.method = format!(
        "One client publishes {} messages/s of 128 bytes to a gateway; one client of another gateway receives them. \
         Delay is from just before the publisher's write to the receiver's parser, in windows of {} s after a second \
         of warm-up. Each window has fresh gateways and relays; the NATS server stays, and the order alternates. The \
         relay is two processes of tokio and async-nats on one thread each: it parses no JSON, and publishes the \
         client's request as it is, to a stream of the gateway's configuration (up to 256 acks awaited, the same \
         pull consumer) or to core NATS. Its frames have the length of the gateway's. It sends no Nats-Msg-Id, which \
         the gateway does. NATS alone is two clients of async-nats.",
        schedule.per_second, schedule.seconds
    );
    let nats = NatsServer::start()?;
    let mut busiest: f64 = 0.0;
    for history in [false, true] {
        let setting = Setting {
            settings,
            nats: &nats,
            schedule,
            history,
        };
        let which = match history {
            true => "with history",
            false => "without history",
        };
        // Learns the length of the frames, and makes the stream; its timing is thrown away.
        let frame_bytes = setting.gateways()?.frame_bytes;
        let way = relay_way(&nats, history, ROOM)?;
        let mut series: [Series; 3] = Default::default();
        for pair in 0..settings.pairs {
            progress(&format!(
                "nats-latency {which}: pair {} of {}",
                pair + 1,
                settings.pairs
            ));
            let mut order = [0, 1, 2];
            // Neither side always runs on the machine that the other has just warmed or tired.
            order.rotate_left(pair % 3);
            for of in order {
                series[of].0.push(match of {
                    2 => setting.nats_alone(&way)?,
                    _ => {
                        let sample = match of {
                            0 => setting.gateways()?,
                            _ => setting.relay(&way, frame_bytes)?,
                        };
                        busiest = busiest.max(sample.cores);
                        sample.latency
                    }
                });
            }
        }
        add_rows(&mut report, which, &series);
        report
            .notes
            .push(format!("Frames {which}: {frame_bytes} bytes on the wire."));
    }
    report.notes.push(format!(
        "Clients, gateways or relays, and NATS together took {busiest:.2} cores at most."
    ));
    Ok(report)
}

fn add_rows(report: &mut Report, which: &str, series: &[Series; 3]) {
    let [gateways, relay, alone] = series;
    for (what, ours, bare) in [
        ("p50", gateways.p50(), relay.p50()),
        ("p99", gateways.p99(), relay.p99()),
    ] {
        report
            .rows
            .extend(Summary::of_ratios(&ours, &bare).map(|value| {
                Row::new(
                    format!("gateways / bare relay: {what}, {which}"),
                    Unit::Ratio,
                    value,
                )
                .at_most(TARGET)
            }));
    }
    for (name, series) in [
        ("gateways", gateways),
        ("bare relay", relay),
        ("NATS client to client", alone),
    ] {
        for (what, values) in [("p50", series.p50()), ("p99", series.p99())] {
            report.rows.extend(Summary::of(values).map(|value| {
                Row::new(
                    format!("{name}: {what}, {which}"),
                    Unit::Microseconds,
                    value,
                )
            }));
        }
        report
            .curves
            .push(series.curve(&format!("{name}, {which}")));
    }
}

impl Setting<'_> {
    fn gateways(&self) -> Result<Sample> {
        let manifest = Channel {
            history: self.history,
            nats: Some(self.nats.port),
            ..Channel::default()
        }
        .to_yaml();
        let entry = self.settings.start_gateway_on_nats(&manifest, "a")?;
        let exit = self.settings.start_gateway_on_nats(&manifest, "b")?;
        self.window(entry.target, exit.target, Protocol::Json)
    }

    fn relay(&self, way: &Way, frame_bytes: usize) -> Result<Sample> {
        let start = |mode: &str, further: Option<String>| {
            let mut arguments = vec![mode.to_owned()];
            arguments.extend(way.arguments());
            arguments.extend(further);
            Reference::start(&arguments)
        };
        let entry = start("relay-in", None)?;
        let exit = start("relay-out", Some(format!("--frame-bytes={frame_bytes}")))?;
        self.window(entry.target, exit.target, Protocol::Plain)
    }

    fn nats_alone(&self, way: &Way) -> Result<Latency> {
        let warm_up = self.warm_up();
        let schedule = Schedule {
            seconds: warm_up.seconds + self.schedule.seconds,
            ..self.schedule
        };
        pair::measure(way, schedule, warm_up.messages())
    }

    fn warm_up(&self) -> Schedule {
        Schedule {
            seconds: self.schedule.seconds.min(1.0),
            ..self.schedule
        }
    }

    /// Opens a subscriber at `exit`, warms up and measures one window of what is published at `entry`.
    fn window(&self, entry: Target, exit: Target, protocol: Protocol) -> Result<Sample> {
        let mut load = Load::start()?;
        let group = load.open(Plan::new(exit.address, protocol, ROOM, 1))?.group;
        thread::sleep(SUBSCRIBING);
        let warmed = load.publish(entry.address, ROOM, self.warm_up())?.messages;
        load.settle_exactly(group, warmed, 1)?;
        load.snapshot(group, true)?;
        let (begun, before) = (Instant::now(), self.cpu(entry, exit, &load)?);
        let sent = load.publish(entry.address, ROOM, self.schedule)?.messages;
        let received = load.settle_exactly(group, sent, 1)?;
        let (cpu, seconds) = (
            self.cpu(entry, exit, &load)? - before,
            begun.elapsed().as_secs_f64(),
        );
        ensure!(
            received.lost + received.reordered + received.duplicated == 0,
            "messages lost, reordered or doubled"
        );
        Ok(Sample {
            frame_bytes: (received.bytes as f64 / received.messages as f64).round() as usize,
            cores: cpu / seconds,
            latency: received.latency,
        })
    }

    /// CPU time of everybody who takes part, in seconds.
    fn cpu(&self, entry: Target, exit: Target, load: &Load) -> Result<f64> {
        let all = entry.cpu()? + exit.cpu()? + load.cpu()? + self.nats.cpu()?;
        Ok(all.as_secs_f64())
    }
}
