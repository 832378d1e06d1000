//! `/metrics`: the answer to a scrape.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::counters::{BUCKETS, Counts, Metrics};

impl Metrics {
    /// All metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// None in practice: it writes to a text.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.lock().clone()));
        let mut text = String::with_capacity(4 * 1024);
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Counts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        let build = "linnet_outbox_build";
        version.encode(encoder.encode_descriptor(
            build,
            "This relay",
            None,
            MetricType::Info,
        )?)?;
        let to = &mut encoder;
        counter(
            to,
            "linnet_outbox_published",
            "Rows that went to their rooms",
            self.published,
        )?;
        counter(
            to,
            "linnet_outbox_duplicates",
            "Rows that their rooms had already, by their ids",
            self.duplicates,
        )?;
        counter(
            to,
            "linnet_outbox_recognised",
            "Rows that were found in the history of their rooms, and not sent again",
            self.recognised,
        )?;
        counter(
            to,
            "linnet_outbox_undeduplicated",
            "Rows that went to rooms that keep no history",
            self.undeduplicated,
        )?;
        counter(
            to,
            "linnet_outbox_unproven",
            "Rows that may have been published twice, as no history could tell",
            self.unproven,
        )?;
        by_code(
            to,
            "linnet_outbox_failed",
            "Rows that were put aside, by the reason",
            &self.failed,
        )?;
        by_code(
            to,
            "linnet_outbox_retries",
            "Times that a row could not be published for now, by the reason",
            &self.retries,
        )?;
        self.delays(to)?;
        gauge(
            to,
            "linnet_outbox_connected",
            "1 with a connection to the database",
            u64::from(self.connected),
        )?;
        gauge(
            to,
            "linnet_outbox_partitions",
            "Partitions that this relay has",
            self.partitions,
        )?;
        gauge(
            to,
            "linnet_outbox_relays",
            "Relays that this one knows of, itself included",
            self.relays,
        )?;
        let Some(lag) = self.lag else { return Ok(()) };
        gauge(
            to,
            "linnet_outbox_rows_waiting",
            "Rows of all partitions that wait; 100,000 and more are not told apart",
            lag.waiting,
        )?;
        gauge(
            to,
            "linnet_outbox_rows_failed",
            "Rows that were put aside and are still there; likewise",
            lag.failed,
        )?;
        let oldest = to.encode_descriptor(
            "linnet_outbox_oldest_row_age",
            "Age of the oldest row that waits; 0 where none does",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        ConstGauge::new(lag.oldest.as_secs_f64()).encode(oldest)
    }
}

impl Counts {
    fn delays(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let bounds = BUCKETS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(self.delays).collect();
        let count = self.delays.iter().sum();
        let mut histogram = encoder.encode_descriptor(
            "linnet_outbox_delay",
            "Time from the writing of a row to the ack of its publish",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        histogram.encode_histogram::<NoLabelSet>(self.delays_sum, count, &buckets, None)
    }
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    ConstCounter::new(value).encode(encoder)
}

fn by_code(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    counts: &BTreeMap<String, u64>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (code, count) in counts {
        let labels = [("code", code.as_str())];
        ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(encoder)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::database::Lag;

    #[test]
    fn everything_that_is_counted_is_told() {
        let metrics = Metrics::default();
        metrics.connected(true);
        metrics.published(Duration::from_millis(3));
        metrics.duplicate();
        metrics.failed("bad_room");
        metrics.retried("unavailable");
        metrics.standing(32, 2);
        metrics.lag(Lag {
            waiting: 7,
            failed: 1,
            oldest: Duration::from_millis(1_500),
        });
        let text = metrics.text().unwrap();
        for line in [
            "linnet_outbox_published_total 1",
            "linnet_outbox_duplicates_total 1",
            "linnet_outbox_failed_total{code=\"bad_room\"} 1",
            "linnet_outbox_retries_total{code=\"unavailable\"} 1",
            "linnet_outbox_delay_seconds_bucket{le=\"0.005\"} 1",
            "linnet_outbox_partitions 32",
            "linnet_outbox_rows_waiting 7",
            "linnet_outbox_oldest_row_age_seconds 1.5",
        ] {
            assert!(
                text.lines().any(|has| has == line),
                "{line} is not in\n{text}"
            );
        }
    }

    #[test]
    fn without_the_database_nothing_is_said_of_what_waits_there() {
        let metrics = Metrics::default();
        metrics.lag(Lag::default());
        metrics.connected(false);
        let text = metrics.text().unwrap();
        assert!(text.contains("linnet_outbox_connected 0"), "{text}");
        assert!(!text.contains("rows_waiting"), "{text}");
    }
}
