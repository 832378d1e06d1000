//! What a scrape of a full gateway costs, against the same text served from memory.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Settings, manifest::Channel, progress};
use crate::{
    load::{Plan, Protocol, Rooms},
    process::{Load, Reference, Target},
    report::{Report, Row, Unit},
    stats::Summary,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Measures windows of scrapes in turn.
pub(super) fn measure(settings: &Settings, report: &mut Report) -> Result<()> {
    let connections = settings.pick(10_000, 50);
    let scrapes = settings.pick(500, 20);
    report.method.push_str(&format!(
        "Scrapes: {connections} idle connections, each in a room of its own; {scrapes} scrapes one after the other on one \
         connection, user + system time of the server over their number. The reference is axum on one thread that \
         answers with the text of one such scrape from memory; windows alternate. "
    ));
    let channel = Channel {
        // Pings would be counted as work of scrapes.
        heartbeat_seconds: 3600,
        ..Channel::default()
    };
    let gateway = settings.start_gateway(&channel.to_yaml())?;
    let mut load = Load::start()?;
    load.open(Plan {
        rooms: Rooms::Own(1),
        verify_every: 0,
        ..Plan::new(gateway.target.address, Protocol::Json, "own", connections)
    })?;
    let internal = gateway.internal()?;
    let text = scrape(internal, 1)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("metrics");
    fs::write(&file, &text)?;
    let memory = Reference::start(&["text".to_owned(), format!("--file={}", file.display())])?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for pair in 0..settings.pairs {
        progress(&format!("scrapes: pair {} of {}", pair + 1, settings.pairs));
        for turn in 0..2 {
            if (turn + pair) % 2 == 0 {
                ours.push(cost(gateway.target, internal, scrapes)?);
            } else {
                bare.push(cost(memory.target, memory.target.address, scrapes)?);
            }
        }
    }
    let what = format!("scrape with {connections} connections and rooms");
    let size = Summary::of([text.len() as f64 / 1024.0]);
    report.rows.extend(
        size.map(|value| Row::new(format!("{what}: size"), Unit::Kilobytes, value).at_most(200.0)),
    );
    let ratio = Summary::of_ratios(&ours, &bare);
    report.rows.extend(ratio.map(|value| {
        Row::new(
            format!("{what}: CPU / the same text from memory"),
            Unit::Ratio,
            value,
        )
        .at_most(2.0)
    }));
    for (whose, values) in [("gateway", ours), ("text from memory", bare)] {
        report.rows.extend(Summary::of(values).map(|value| {
            Row::new(
                format!("{whose}: CPU per scrape"),
                Unit::Microseconds,
                value,
            )
        }));
    }
    Ok(())
}

/// CPU per scrape, in microseconds.
fn cost(target: Target, address: SocketAddr, scrapes: usize) -> Result<f64> {
    scrape(address, scrapes / 10)?; // warm-up
    let before = target.cpu()?;
    scrape(address, scrapes)?;
    Ok((target.cpu()? - before).as_secs_f64() * 1e6 / scrapes as f64)
}

/// Scrapes so many times; gives the last text.
fn scrape(address: SocketAddr, times: usize) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let mut body = Vec::new();
    for _ in 0..times {
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
        let mut length = None;
        loop {
            let mut line = String::new();
            answers.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = Some(value.trim().parse::<usize>()?);
            }
            if line.is_empty() {
                break;
            }
        }
        body.resize(length.context("an answer without a length")?, 0);
        answers.read_exact(&mut body)?;
    }
    Ok(body)
}
