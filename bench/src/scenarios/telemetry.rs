//! What traces cost a fan-out: some recorded with a collector that is there, all with one that is not, against none.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::Result;

use super::{Settings, fanout, manifest::Channel, progress};
use crate::{
    report::{Report, Row, Unit},
    stats::Summary,
};

/// Student's t for a one-sided 95 % bound with nine degrees of freedom, which ten pairs have.
const T: f64 = 1.833;

/// Measures all three in turn.
pub fn run(settings: &Settings) -> Result<Report> {
    let collector = collector()?;
    // Bound and given back: nobody answers there.
    let away = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let off = Channel::default().to_yaml();
    let manifests = [
        off.clone(),
        traced(&off, collector, 100_000),
        traced(&off, away, 1_000_000),
    ];
    let mut costs = [(); 3].map(|()| Vec::new());
    let mut memory = [(); 3].map(|()| Vec::new());
    for pair in 0..settings.pairs {
        progress(&format!(
            "telemetry: pair {} of {}",
            pair + 1,
            settings.pairs
        ));
        for turn in 0..3 {
            let subject = (turn + pair) % 3;
            let (cost, bytes) = fanout::cost_of(settings, &manifests[subject])?;
            costs[subject].push(cost);
            memory[subject].push(bytes as f64);
        }
    }
    let mut report = Report::new("telemetry", "What traces cost a fan-out");
    report.method = "1000 subscribers of one room, single messages of 128 bytes; user + system time of the gateway over \
        the deliveries of a window, fresh processes, orders in turn. Counters are kept in any case; off means that nothing \
        is traced or sent. The bound is the mean of the ratios of the pairs, and 1.833 standard errors more: 95 % for ten \
        pairs."
        .to_owned();
    for (subject, what, target) in [
        (1, "10 % traced, collector there", 1.05),
        (2, "all traced, collector away", 1.15),
    ] {
        let ratio = Summary::of_ratios(&costs[subject], &costs[0]);
        report.rows.extend(
            ratio
                .iter()
                .map(|value| Row::new(format!("{what} / off"), Unit::Ratio, value.clone())),
        );
        let bound = ratio.and_then(|ratio| Summary::of([upper(&ratio.samples)]));
        report.rows.extend(bound.map(|value| {
            Row::new(
                format!("{what} / off, upper 95 % bound"),
                Unit::Ratio,
                value,
            )
            .at_most(target)
        }));
        let grown = Summary::of_ratios(&memory[subject], &memory[0]);
        report.rows.extend(
            grown.map(|value| Row::new(format!("{what}: memory / off"), Unit::Ratio, value)),
        );
    }
    Ok(report)
}

/// The mean and what its error may add.
fn upper(samples: &[f64]) -> f64 {
    let count = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / count;
    let squares = samples.iter().map(|sample| (sample - mean).powi(2));
    let variance = squares.sum::<f64>() / (count - 1.0).max(1.0);
    mean + T * (variance / count).sqrt()
}

fn traced(manifest: &str, collector: SocketAddr, rate: u32) -> String {
    format!(
        "{manifest}  telemetry: {{otlpEndpoint: \"http://{collector}\", samplingRatePerMillion: {rate}}}\n"
    )
}

/// A collector over HTTP that takes everything and looks at nothing.
fn collector() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || take(stream));
        }
    });
    Ok(address)
}

fn take(mut stream: TcpStream) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            more(&mut stream, &mut buffer)?;
        };
        let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
        let length = text.split("content-length:").nth(1)?.split("\r\n").next()?;
        let whole = head + length.trim().parse::<usize>().ok()?;
        while buffer.len() < whole {
            more(&mut stream, &mut buffer)?;
        }
        buffer.drain(..whole);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .ok()?;
    }
}

fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut part = [0; 16 * 1024];
    let count = stream.read(&mut part).ok().filter(|count| *count > 0)?;
    buffer.extend_from_slice(&part[..count]);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_the_mean_where_all_pairs_agree_and_above_it_else() {
        assert!((upper(&[1.1, 1.1, 1.1]) - 1.1).abs() < 1e-12);
        assert!((upper(&[1.0, 1.2]) - (1.1 + T * 0.1)).abs() < 1e-9);
    }
}
