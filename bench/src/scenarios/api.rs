//! What a publish over HTTP costs, against the same server without publishing; and how long one takes in a room with
//! history.

use std::net::SocketAddr;

use anyhow::Result;
use tempfile::TempDir;

use super::{Settings, manifest::Channel, progress};
use crate::{
    load::calling::{Called, Calls, call},
    process::{Reference, Target},
    report::{Report, Row, Unit},
    stats::Summary,
};

/// The API key.
const KEY: &str = "bench-0123456789abcdef0123456789abcdef";
/// Connections that stay.
const CONNECTIONS: usize = 64;
/// Bytes of `data`.
const DATA: usize = 128;

/// Measures windows in turn.
pub fn run(settings: &Settings) -> Result<Report> {
    let per_second = settings.pick(4000.0, 500.0);
    let mut report = Report::new("api", "Publishing over HTTP");
    report.method = format!(
        "{CONNECTIONS} keep-alive connections publish {per_second} messages a second of {DATA} bytes of data, into a room \
         that nobody is in, on the embedded broker. User + system time of the server over the number of calls. The \
         reference is axum on one thread that reads the body and answers with as many bytes; windows alternate. Time is \
         from when a call was due to its whole answer. "
    );
    let secrets = TempDir::new()?;
    std::fs::create_dir(secrets.path().join("keys"))?;
    std::fs::write(secrets.path().join("keys/api.bench"), KEY)?;
    let mut settings = settings.clone();
    let argument = format!("--secrets={}", secrets.path().display());
    settings.gateway_arguments.push(argument);
    let start = |history| {
        let manifest = Channel {
            history,
            ..Channel::default()
        };
        let anonymous = "{anonymous: Allow}";
        let keys = "{anonymous: Allow, apiKeySecretName: keys}";
        settings.start_gateway(&manifest.to_yaml().replace(anonymous, keys))
    };
    let (live, kept) = (start(false)?, start(true)?);
    let answer = window(&settings, live.internal()?, per_second, 0.2)?.body;
    let reference = Reference::start(&["answer".to_owned(), format!("--bytes={answer}")])?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let mut times = [Vec::new(), Vec::new()];
    for pair in 0..settings.pairs {
        progress(&format!("api: pair {} of {}", pair + 1, settings.pairs));
        for turn in 0..2 {
            if (turn + pair) % 2 == 0 {
                let (cost, _) = measure(&settings, live.target, live.internal()?, per_second)?;
                ours.push(cost);
            } else {
                let target = reference.target;
                bare.push(measure(&settings, target, target.address, per_second)?.0);
            }
        }
        let (_, called) = measure(&settings, kept.target, kept.internal()?, per_second)?;
        times[0].push(called.p50_us);
        times[1].push(called.p99_us);
    }
    let ratio = Summary::of_ratios(&ours, &bare);
    report.rows.extend(ratio.map(|value| {
        let what = "publish without history: CPU / the same server that publishes nothing";
        Row::new(what, Unit::Ratio, value).at_most(1.4)
    }));
    let [half, most] = times;
    for (what, values) in [
        ("gateway: CPU per publish without history", ours),
        ("axum: CPU per call", bare),
        ("publish with history: p50", half),
        ("publish with history: p99", most),
    ] {
        let row = Summary::of(values).map(|value| Row::new(what, Unit::Microseconds, value));
        report.rows.extend(row);
    }
    Ok(report)
}

/// CPU per call, in microseconds, and how long calls took.
fn measure(
    settings: &Settings,
    target: Target,
    address: SocketAddr,
    per_second: f64,
) -> Result<(f64, Called)> {
    window(settings, address, per_second, 0.2)?; // warm-up
    let before = target.cpu()?;
    let called = window(settings, address, per_second, 1.0)?;
    let cost = (target.cpu()? - before).as_secs_f64() * 1e6 / called.answered as f64;
    Ok((cost, called))
}

/// A part of a window.
fn window(settings: &Settings, address: SocketAddr, per_second: f64, part: f64) -> Result<Called> {
    let data = "x".repeat(DATA - 2);
    let body = format!("{{\"room\":\"bench\",\"event\":\"bench\",\"data\":\"{data}\"}}");
    let request = format!(
        "POST /v1/publish HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    call(Calls {
        address,
        request: &request,
        connections: CONNECTIONS,
        per_second,
        seconds: part * settings.pick(10.0, 1.0),
    })
}
