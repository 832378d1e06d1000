//! What traces and metrics cost a fan-out: some traced with a collector that is there, all with one that is not, against
//! none.

use anyhow::Result;

use super::telemetry_collector::{away, collector, traced};
use super::{Settings, fanout, manifest::Channel, progress};
use crate::{
    report::{Report, Row, Unit},
    stats::Summary,
};

/// Pairs at least, where the figures are to mean something.
const PAIRS: usize = 10;
/// Student's t for a one-sided 95 % bound with nine degrees of freedom, which ten pairs have; with more it is smaller.
const T: f64 = 1.833;
/// Metrics are sent as often as this, in milliseconds: Prometheus scrapes every 15 to 60 s.
const OFTEN: &[(&str, &str)] = &[("OTEL_METRIC_EXPORT_INTERVAL", "1000")];

/// Measures all three in turn.
pub(super) fn measure(settings: &Settings, report: &mut Report) -> Result<()> {
    let off = Channel::default().to_yaml();
    let manifests = [
        off.clone(),
        traced(&off, collector()?, 100_000),
        traced(&off, away()?, 1_000_000),
    ];
    let mut costs = [(); 3].map(|()| Vec::new());
    let mut memory = [(); 3].map(|()| Vec::new());
    let pairs = settings.pick(settings.pairs.max(PAIRS), settings.pairs);
    for pair in 0..pairs {
        progress(&format!("telemetry: pair {} of {pairs}", pair + 1));
        for turn in 0..3 {
            let subject = (turn + pair) % 3;
            let (cost, bytes) = fanout::cost_of(settings, &manifests[subject], OFTEN)?;
            costs[subject].push(cost);
            memory[subject].push(bytes as f64);
        }
    }
    report.method.push_str(
        "Fan-out: 1000 subscribers of one room, single messages of 128 bytes; user + system time of the gateway over the \
         deliveries of a window, fresh processes, orders in turn. Counters are kept in any case; off means that nothing \
         is traced or sent, else metrics go to the collector every second. The bound is the mean of the ratios of the \
         pairs, and 1.833 standard errors more: 95 % for ten pairs. ",
    );
    for (subject, what, target) in [
        (1, "metrics and 10 % traced, collector there", 1.05),
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
    Ok(())
}

/// The mean and what its error may add.
fn upper(samples: &[f64]) -> f64 {
    let count = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / count;
    let squares = samples.iter().map(|sample| (sample - mean).powi(2));
    let variance = squares.sum::<f64>() / (count - 1.0).max(1.0);
    mean + T * (variance / count).sqrt()
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
