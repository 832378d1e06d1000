//! Socket.IO clients, against bare loops of write(2) and Node's Socket.IO server: CPU time per delivery, memory.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};

use super::{
    Settings,
    fanout::{self, ROOM, Sample, Traffic},
    manifest::Channel,
    progress,
};
use crate::{
    load::{Plan, Protocol, Schedule},
    process::{Load, Reference, Target},
    reference::Send,
    report::{Report, Row, Unit},
    stats::Summary,
};

/// Whose CPU time is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Gateway,
    /// So many bare loops.
    Bare(usize),
    Node,
}

impl Subject {
    fn name(self) -> String {
        match self {
            Self::Gateway => "gateway".to_owned(),
            Self::Bare(1) => "bare loop".to_owned(),
            Self::Bare(loops) => format!("{loops} bare loops"),
            Self::Node => "Node's socket.io".to_owned(),
        }
    }
}

/// Measures deliveries, then idle connections.
pub fn run(settings: &Settings) -> Result<Report> {
    let mut report = Report::new("socketio", "Socket.IO clients");
    let frame_bytes = deliveries(settings, &mut report)?;
    polling(settings, &mut report, frame_bytes)?;
    memory(settings, &mut report)?;
    Ok(report)
}

fn manifest() -> String {
    let channel = Channel {
        socket_io: true,
        ..Channel::default()
    };
    channel.to_yaml()
}

/// Over WebSocket. Gives the length of the frames.
fn deliveries(settings: &Settings, report: &mut Report) -> Result<usize> {
    let traffic = Traffic {
        subscribers: settings.pick(1000, 50),
        schedule: Schedule {
            per_second: settings.pick(20.0, 200.0),
            burst: 1,
            seconds: settings.pick(6.0, 0.3),
            data_bytes: 128,
        },
    };
    let shards = settings.shards()?;
    let mut subjects = vec![Subject::Gateway, Subject::Bare(1), Subject::Node];
    if shards > 1 {
        subjects.push(Subject::Bare(shards));
    }
    // Learns the length of the frames; its timing is thrown away.
    let frame_bytes = of_gateway(settings, Protocol::SocketIo, traffic)?.frame_bytes;
    report.method = format!(
        "{} clients in one room, 128 bytes of data, {} messages/s, user + system time of the server over the deliveries \
         of a window, which starts after a second of warm-up; fresh processes each time, in turns. Frames of all servers \
         have {frame_bytes} bytes on the wire. The gateway also reads and acknowledges each publish; the references send \
         by a timer. Node is {} with socket.io as it comes.",
        traffic.subscribers,
        traffic.schedule.per_second,
        node_version()?,
    );
    let mut series: Vec<Vec<f64>> = vec![Vec::new(); subjects.len()];
    let mut late: Vec<Vec<f64>> = vec![Vec::new(); subjects.len()];
    let mut busiest: f64 = 0.0;
    for pair in 0..settings.pairs {
        progress(&format!(
            "deliveries: pair {} of {}",
            pair + 1,
            settings.pairs
        ));
        // No side always runs on the machine that another has just warmed or tired.
        let mut order: Vec<usize> = (0..subjects.len()).collect();
        order.rotate_left(pair % subjects.len());
        for index in order {
            let sample = match subjects[index] {
                Subject::Gateway => of_gateway(settings, Protocol::SocketIo, traffic)?,
                Subject::Bare(loops) => fanout::reference(traffic, frame_bytes, loops, false)?,
                Subject::Node => of_node(Protocol::SocketIo, traffic, frame_bytes)?,
            };
            series[index].push(sample.cpu_us_per_delivery);
            late[index].push(sample.p99_us);
            busiest = busiest.max(sample.cores);
        }
    }
    let ours = &series[0];
    for (subject, theirs) in subjects.iter().zip(&series).skip(1) {
        report
            .rows
            .extend(Summary::of_ratios(ours, theirs).map(|value| {
                let row = Row::new(format!("delivery / {}", subject.name()), Unit::Ratio, value);
                match subject {
                    Subject::Bare(_) => row.at_most(1.25),
                    _ => row,
                }
            }));
    }
    for ((subject, cost), late) in subjects.iter().zip(&series).zip(&late) {
        for (what, values) in [("CPU per delivery", cost), ("p99 latency", late)] {
            report.rows.extend(Summary::of(values.clone()).map(|value| {
                Row::new(
                    format!("{}: {what}", subject.name()),
                    Unit::Microseconds,
                    value,
                )
            }));
        }
    }
    report.notes.push(format!(
        "Over WebSocket server and clients together took {busiest:.2} cores at most."
    ));
    Ok(frame_bytes)
}

/// By long-polling, where each delivery is an answer and the next question.
fn polling(settings: &Settings, report: &mut Report, frame_bytes: usize) -> Result<()> {
    let traffic = Traffic {
        subscribers: settings.pick(1000, 50),
        schedule: Schedule {
            per_second: settings.pick(1.0, 20.0),
            burst: 1,
            seconds: settings.pick(20.0, 0.5),
            data_bytes: 128,
        },
    };
    let (mut ours, mut nodes) = (Vec::new(), Vec::new());
    for pair in 0..settings.pairs {
        progress(&format!("polling: pair {} of {}", pair + 1, settings.pairs));
        for turn in 0..2 {
            if (pair + turn) % 2 == 0 {
                ours.push(of_gateway(settings, Protocol::Polling, traffic)?.cpu_us_per_delivery);
            } else {
                let sample = of_node(Protocol::Polling, traffic, frame_bytes)?;
                nodes.push(sample.cpu_us_per_delivery);
            }
        }
    }
    report
        .rows
        .extend(Summary::of_ratios(&ours, &nodes).map(|value| {
            let what = "delivery by long-polling / Node's socket.io";
            Row::new(what, Unit::Ratio, value).at_most(1.0 / 3.0)
        }));
    for (whose, values) in [("gateway", ours), ("Node's socket.io", nodes)] {
        report.rows.extend(Summary::of(values).map(|value| {
            let what = format!("{whose}: CPU per delivery by long-polling");
            Row::new(what, Unit::Microseconds, value)
        }));
    }
    report.notes.push(format!(
        "Long-polling: {} clients, {} messages/s for {} s, one connection each on which they poll and post.",
        traffic.subscribers, traffic.schedule.per_second, traffic.schedule.seconds
    ));
    Ok(())
}

fn of_gateway(settings: &Settings, protocol: Protocol, traffic: Traffic) -> Result<Sample> {
    let server = settings.start_gateway(&manifest())?;
    fanout::window(server.target, protocol, traffic, |load, schedule| {
        Ok(load
            .publish(server.target.address, ROOM, schedule)?
            .messages)
    })
}

fn of_node(protocol: Protocol, traffic: Traffic, frame_bytes: usize) -> Result<Sample> {
    let mut server = Reference::node()?;
    fanout::window(server.target, protocol, traffic, |_, schedule| {
        let sent = server.send(&Send {
            schedule,
            frame_bytes,
            joined: false,
        })?;
        Ok(sent.messages)
    })
}

fn memory(settings: &Settings, report: &mut Report) -> Result<()> {
    let connections = settings.pick(10_000, 200);
    let rest = settings.pick(30.0, 0.5);
    let kinds = [
        (Protocol::SocketIo, "over WebSocket", Some(6.0)),
        (Protocol::Polling, "by long-polling", None),
    ];
    for (protocol, how, target) in kinds {
        let (mut ours, mut nodes) = (Vec::new(), Vec::new());
        for repetition in 0..settings.pairs {
            progress(&format!(
                "memory {how}: {} of {}",
                repetition + 1,
                settings.pairs
            ));
            let gateway = settings.start_gateway(&manifest())?;
            ours.push(grown(gateway.target, protocol, connections, rest)?);
            drop(gateway);
            let node = Reference::node()?;
            nodes.push(grown(node.target, protocol, connections, rest)?);
        }
        for (whose, samples, target) in
            [("gateway", ours, target), ("Node's socket.io", nodes, None)]
        {
            report.rows.extend(Summary::of(samples).map(|value| {
                let what = format!("{whose}: resident memory per idle connection {how}");
                Row {
                    target,
                    ..Row::new(what, Unit::Kilobytes, value)
                }
            }));
        }
    }
    report.notes.push(format!(
        "Memory: (resident memory {rest} s after {connections} connections had joined a room − before the first) / \
         {connections}, from smaps_rollup. Kernel memory for the sockets comes on top, for any server."
    ));
    Ok(())
}

/// Kilobytes of resident memory for each of so many idle connections.
fn grown(target: Target, protocol: Protocol, connections: usize, rest: f64) -> Result<f64> {
    let before = target.resident()?;
    let mut load = Load::start()?;
    let plan = Plan {
        verify_every: 0,
        ..Plan::new(target.address, protocol, "idle", connections)
    };
    let group = load.open(plan)?.group;
    thread::sleep(Duration::from_secs_f64(rest));
    load.settle_exactly(group, 0, connections as u64)?;
    let grown = target.resident()?.saturating_sub(before);
    Ok(grown as f64 / 1024.0 / connections as f64)
}

fn node_version() -> Result<String> {
    let node = std::process::Command::new("node")
        .arg("--version")
        .output()?;
    ensure!(node.status.success(), "node --version failed");
    Ok(format!(
        "Node {}",
        String::from_utf8_lossy(&node.stdout).trim()
    ))
}
