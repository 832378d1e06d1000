//! What a message of a gRPC stream costs, against a bare tonic stream that publishes to NATS core.

use std::net::SocketAddr;

use anyhow::Result;
use tempfile::TempDir;

use super::{Settings, manifest::Channel, nats::relay_way, progress};
use crate::{
    load::streaming::{Streaming, publish},
    process::{NatsServer, Reference, Target},
    report::{Report, Row, Unit},
    stats::Summary,
};

/// The API key.
const KEY: &str = "bench-0123456789abcdef0123456789abcdef";
/// Bytes of `data`.
const DATA: usize = 128;

/// Measures windows in turn.
pub fn run(settings: &Settings) -> Result<Report> {
    let per_second = settings.pick(8000.0, 500.0);
    let mut report = Report::new("nats-stream", "Publishing by a gRPC stream");
    report.method = format!(
        "One PublishStream sends {per_second} messages a second of {DATA} bytes of data into a room without history that \
         nobody is in, over NATS. User + system time of the server over the number of messages. The reference is tonic on \
         one thread, which decodes each message and publishes its data to NATS core; windows alternate. The target of 0.5 \
         times its messages per CPU is twice its CPU per message. A key may publish 10,000 messages a second, so the rate \
         stays below. "
    );
    let secrets = TempDir::new()?;
    std::fs::create_dir(secrets.path().join("keys"))?;
    std::fs::write(secrets.path().join("keys/api.bench"), KEY)?;
    let mut settings = settings.clone();
    let argument = format!("--secrets={}", secrets.path().display());
    settings.gateway_arguments.push(argument);
    let nats = NatsServer::start()?;
    let manifest = Channel {
        nats: Some(nats.port),
        ..Channel::default()
    };
    let anonymous = "{anonymous: Allow}";
    let keys = "{anonymous: Allow, apiKeySecretName: keys}";
    let manifest = manifest.to_yaml().replace(anonymous, keys);
    let gateway = settings.start_gateway_on_nats(&manifest, "a")?;
    let mut arguments = vec!["stream".to_owned()];
    arguments.extend(relay_way(&nats, false, "bare")?.arguments());
    let reference = Reference::start(&arguments)?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for pair in 0..settings.pairs {
        let of = settings.pairs;
        progress(&format!("nats-stream: pair {} of {of}", pair + 1));
        for turn in 0..2 {
            if (turn + pair) % 2 == 0 {
                let address = gateway.internal()?;
                ours.push(measure(&settings, gateway.target, address, per_second)?);
            } else {
                let target = reference.target;
                bare.push(measure(&settings, target, target.address, per_second)?);
            }
        }
    }
    let ratio = Summary::of_ratios(&ours, &bare);
    report.rows.extend(ratio.map(|value| {
        let what = "PublishStream without history: CPU / a bare stream to NATS core";
        Row::new(what, Unit::Ratio, value).at_most(2.0)
    }));
    for (what, values) in [
        ("gateway: CPU per message", ours),
        ("tonic: CPU per message", bare),
    ] {
        let row = Summary::of(values).map(|value| Row::new(what, Unit::Microseconds, value));
        report.rows.extend(row);
    }
    Ok(report)
}

/// CPU per message, in microseconds.
fn measure(
    settings: &Settings,
    target: Target,
    address: SocketAddr,
    per_second: f64,
) -> Result<f64> {
    let window = |part: f64| {
        publish(Streaming {
            address,
            key: KEY,
            data_bytes: DATA,
            per_second,
            seconds: part * settings.pick(10.0, 1.0),
        })
    };
    window(0.2)?; // warm-up
    let before = target.cpu()?;
    let messages = window(1.0)?;
    Ok((target.cpu()? - before).as_secs_f64() * 1e6 / messages as f64)
}
