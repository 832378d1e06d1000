//! Connections that come and go while all are traced: spans for each, what is lost, and memory.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::telemetry_collector::{collector, traced};
use super::{Settings, manifest::Channel, progress};
use crate::{
    load::{Plan, Protocol},
    process::{Gateway, Load},
    report::{Report, Row, Unit},
    stats::Summary,
};

/// `connection`, `subscribe` and `close`.
const SPANS: f64 = 3.0;
/// How long the last spans may take to be accounted for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures two halves of a minute.
pub(super) fn measure(settings: &Settings, report: &mut Report) -> Result<()> {
    let (per_second, half) = (settings.pick(500.0, 200.0), settings.pick(15_000, 50));
    report.method.push_str(&format!(
        "Churn: {per_second} connections a second come, subscribe and go, {half} twice, all traced, with a collector that \
         takes everything and the default queue of 2,048 spans. "
    ));
    let manifest = traced(&Channel::default().to_yaml(), collector()?, 1_000_000);
    let gateway = settings.start_gateway(&manifest)?;
    let mut load = Load::start()?;
    let mut resident = Vec::new();
    let mut setup = Vec::new();
    for part in 1..=2 {
        progress(&format!("churn: half {part} of 2"));
        let opened = load.open(Plan {
            per_second,
            in_flight: 512,
            verify_every: 0,
            close_when_ready: true,
            ..Plan::new(gateway.target.address, Protocol::Json, "lobby", half)
        })?;
        ensure!(opened.ready == half as u64, "{} came", opened.ready);
        load.close(opened.group)?;
        setup.push(opened.setup.p99);
        accounted(&gateway, SPANS * (part * half) as f64)?;
        resident.push(gateway.target.resident()? as f64);
    }
    let connections = (2 * half) as f64;
    let (exported, dropped) = spans(&gateway)?;
    let grown = (resident[1] - resident[0]) / 1024.0;
    for (what, unit, value, target) in [
        (
            "churn: spans for each connection",
            Unit::Count,
            (exported + dropped) / connections,
            Some(SPANS),
        ),
        ("churn: spans that were dropped", Unit::Count, dropped, None),
        (
            "churn: memory after the second half, beyond the first",
            Unit::Kilobytes,
            grown,
            Some(1024.0),
        ),
    ] {
        report.rows.extend(Summary::of([value]).map(|value| {
            let row = Row::new(what, unit, value);
            Row { target, ..row }
        }));
    }
    report.rows.extend(
        Summary::of(setup)
            .map(|value| Row::new("churn: p99 from connect to ack", Unit::Microseconds, value)),
    );
    Ok(())
}

/// Waits until so many spans were sent or dropped.
fn accounted(gateway: &Gateway, expected: f64) -> Result<()> {
    let begun = Instant::now();
    loop {
        let (exported, dropped) = spans(gateway)?;
        if exported + dropped >= expected {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "{exported} spans were sent and {dropped} dropped, of {expected}"
        );
        thread::sleep(Duration::from_millis(100));
    }
}

fn spans(gateway: &Gateway) -> Result<(f64, f64)> {
    Ok((
        gateway.counted("linnet_telemetry_spans_exported_total")?,
        gateway.counted("linnet_telemetry_spans_dropped_total")?,
    ))
}
