//! How soon an edit of one channel among many is carried out.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::json;

use super::USER;
use crate::{
    cluster::{Audit, Kubectl},
    report::{Report, Row, Unit},
    scenarios::Settings,
    stats::Summary,
};

/// Measures it, with the channels that are there.
pub(super) fn measure(
    settings: &Settings,
    kubectl: &Kubectl,
    channels: usize,
    report: &mut Report,
) -> Result<()> {
    let delays = delays(settings, channels, kubectl)?;
    let mut sorted = delays.clone();
    sorted.sort_by(f64::total_cmp);
    let p99 = sorted[(sorted.len() * 99).div_ceil(100) - 1];
    report.rows.extend(
        Summary::of(delays)
            .map(|delays| Row::new("edit → ConfigMap applied", Unit::Microseconds, delays)),
    );
    let p99 = Summary::of([p99]);
    let row = p99.map(|p99| Row::new("edit → ConfigMap applied, p99", Unit::Microseconds, p99));
    report.rows.extend(row.map(|row| row.at_most(1e6)));
    Ok(())
}

/// Edits one channel after the other; microseconds from the API server's answer to the edit to its answer to the
/// operator's write.
fn delays(settings: &Settings, channels: usize, kubectl: &Kubectl) -> Result<Vec<f64>> {
    let edits = settings.pick(100, 5);
    let mut delays = Vec::new();
    for edit in 0..edits {
        // A stride that has no factor in common with the number of channels spreads the edits over them.
        let name = format!("many-{}", edit * 37 % channels);
        let child = format!("{name}-gateway");
        let audit = Audit::from_now()?;
        let spec = json!({"spec": {"limits": {"messagesPerSecond": 21 + edit}}}).to_string();
        kubectl.run(&[
            "patch",
            "realtimechannel",
            &name,
            "--type=merge",
            "--patch",
            &spec,
        ])?;
        let begun = Instant::now();
        let delay = loop {
            let requests = audit.of("")?;
            let edited = requests.iter().find(|request| {
                request.user != USER && request.verb == "patch" && request.name == name
            });
            let applied = requests.iter().find(|request| {
                request.user == USER
                    && request.verb == "patch"
                    && request.resource == "configmaps"
                    && request.name == child
            });
            if let (Some(edited), Some(applied)) = (edited, applied) {
                break applied.at.duration_since(edited.at).as_secs_f64();
            }
            ensure!(
                begun.elapsed() < Duration::from_secs(60),
                "an edit of {name} is not carried out"
            );
            thread::sleep(Duration::from_millis(50));
        };
        delays.push(delay * 1e6);
    }
    Ok(delays)
}
