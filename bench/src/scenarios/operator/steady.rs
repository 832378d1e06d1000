//! What many channels cost that nothing happens to, and what a restart costs.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::{USER, channel};
use crate::{
    cluster::{Audit, Kubectl},
    process::Operator,
    report::{Report, Row, Unit},
    scenarios::{Settings, progress},
    stats::Summary,
};

/// How long all channels may take until the operator has seen them.
const PATIENCE: Duration = Duration::from_secs(900);

/// Makes `channels` channels, and measures what they cost in rest and after a restart. Gives the operator that runs then.
pub(super) fn measure(
    settings: &Settings,
    kubectl: &Kubectl,
    start: &impl Fn() -> Result<Operator>,
    channels: usize,
    report: &mut Report,
) -> Result<Operator> {
    let operator = start()?;
    let all: Vec<_> = (0..channels)
        .map(|number| channel(&format!("many-{number}"), 0))
        .collect();
    for (number, some) in all.chunks(100).enumerate() {
        progress(&format!("operator: channels from {} on", number * 100));
        kubectl.apply(some)?;
    }
    progress("operator: until all are observed");
    observed(kubectl, channels)?;
    quiet(settings)?;

    let steady = Duration::from_secs(settings.pick(300, 5));
    progress(&format!(
        "operator: {} s in which nothing happens",
        steady.as_secs()
    ));
    let (audit, before, begun) = (Audit::from_now()?, operator.cpu()?, Instant::now());
    thread::sleep(steady);
    let cpu = (operator.cpu()? - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    let writes = audit.writes_of(USER)?.len();
    let resident = operator.resident()? as f64 / 1024.0;
    let one = |what: &str, unit, value: f64| {
        Summary::of([value]).map(|value| Row::new(what, unit, value))
    };
    let rows = &mut report.rows;
    rows.extend(
        one(
            &format!("{channels} channels, steady: writes"),
            Unit::Count,
            writes as f64,
        )
        .map(|row| row.at_most(0.0)),
    );
    rows.extend(
        one(
            &format!("{channels} channels, steady: resident memory"),
            Unit::Kilobytes,
            resident,
        )
        .map(|row| row.at_most(64.0 * 1024.0)),
    );
    rows.extend(one(
        &format!("{channels} channels, steady: CPU"),
        Unit::PercentOfCore,
        cpu * 100.0,
    ));

    progress("operator: a restart");
    operator.stop()?;
    let audit = Audit::from_now()?;
    let begun = Instant::now();
    let operator = start()?;
    let mut watched = BTreeSet::new();
    loop {
        let requests = audit.of(USER)?;
        let read: BTreeSet<_> = requests
            .iter()
            .filter(|request| request.verb == "get" && request.resource == "realtimechannels")
            .map(|request| request.name.as_str())
            .collect();
        if read.len() >= channels {
            watched.extend(
                requests
                    .iter()
                    .filter(|request| request.verb == "watch")
                    .map(|request| request.resource.clone()),
            );
            break;
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "{} of {channels} channels were read after a restart",
            read.len()
        );
        thread::sleep(Duration::from_millis(500));
    }
    let took = begun.elapsed().as_secs_f64() * 1e6;
    // The last of them are still being looked at.
    quiet(settings)?;
    let writes = audit.writes_of(USER)?.len();
    rows.extend(
        one(
            &format!("{channels} channels, restart: writes"),
            Unit::Count,
            writes as f64,
        )
        .map(|row| row.at_most(0.0)),
    );
    rows.extend(one(
        &format!("{channels} channels, restart: until every one was read"),
        Unit::Microseconds,
        took,
    ));

    report.notes.push(format!(
        "Kinds that the operator watches and keeps in memory: {}.",
        watched.into_iter().collect::<Vec<_>>().join(", ")
    ));
    Ok(operator)
}

/// Waits until the operator has said of all channels that it has seen them as they are.
fn observed(kubectl: &Kubectl, channels: usize) -> Result<()> {
    let begun = Instant::now();
    loop {
        let path = "--output=jsonpath={range .items[*]}{.metadata.name} {.metadata.generation} {.status.observedGeneration}{\"\\n\"}{end}";
        let list = kubectl.run(&["get", "realtimechannels", path])?;
        let seen = list.lines().filter(|line| {
            let words: Vec<_> = line.split(' ').collect();
            words[0].starts_with("many-") && words.get(1) == words.get(2)
        });
        let seen = seen.count();
        if seen >= channels {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "{seen} of {channels} channels were observed within {PATIENCE:?}"
        );
        thread::sleep(Duration::from_millis(500));
    }
}

/// Waits until the operator has written nothing for a while.
fn quiet(settings: &Settings) -> Result<()> {
    let while_ = Duration::from_secs(settings.pick(10, 2));
    let begun = Instant::now();
    loop {
        let audit = Audit::from_now()?;
        thread::sleep(while_);
        if audit.writes_of(USER)?.is_empty() {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "the operator writes without end"
        );
    }
}
