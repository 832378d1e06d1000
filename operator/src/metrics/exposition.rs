//! `/metrics`: the answer to a scrape.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use linnet_crds::status::RealtimeChannelStatus;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::counters::{BUCKETS, Metrics, Outcome};

/// How many channels there are, and of how many each condition has which status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Objects {
    channels: u64,
    conditions: BTreeMap<(String, String), u64>,
}

impl Objects {
    /// Counts a channel that has this status.
    pub fn add(&mut self, status: Option<&RealtimeChannelStatus>) {
        self.channels += 1;
        for condition in status.into_iter().flat_map(|status| &status.conditions) {
            let key = (condition.type_.clone(), condition.status.clone());
            *self.conditions.entry(key).or_default() += 1;
        }
    }
}

/// Everything that a scrape gets.
#[derive(Debug)]
pub struct Exposition {
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The channels that this process knows: it knows them while it leads.
    pub objects: Objects,
    /// Whether it leads.
    pub leads: bool,
}

impl Exposition {
    /// All metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// None in practice: it writes to a text.
    pub fn text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::with_capacity(8 * 1024);
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        let build = encoder.encode_descriptor(
            "linnet_operator_build",
            "This operator",
            None,
            MetricType::Info,
        )?;
        version.encode(build)?;
        gauge(
            &mut encoder,
            "linnet_operator_leader",
            "1 where this operator is the one that acts",
            u64::from(self.leads),
        )?;
        gauge(
            &mut encoder,
            "linnet_operator_queue_depth",
            "Channels that have changed and wait for their pass",
            self.metrics.queue.len() as u64,
        )?;
        gauge(
            &mut encoder,
            "linnet_operator_channels",
            "Channels that this operator serves",
            self.objects.channels,
        )?;
        self.passes(&mut encoder)?;
        self.conditions(&mut encoder)?;
        let mut family = encoder.encode_descriptor(
            "linnet_operator_nats_errors",
            "Times that a channel's streams could not be kept, by reason",
            None,
            MetricType::Counter,
        )?;
        for (reason, count) in self.metrics.nats() {
            ConstCounter::new(count)
                .encode(family.encode_family(&[("reason", reason.as_str())])?)?;
        }
        Ok(())
    }
}

impl Exposition {
    fn passes(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = encoder.encode_descriptor(
            "linnet_operator_reconciles",
            "Passes over a channel, by outcome",
            None,
            MetricType::Counter,
        )?;
        for outcome in Outcome::ALL {
            let count = ConstCounter::new(self.metrics.passes(outcome));
            count.encode(family.encode_family(&[("outcome", outcome.as_str())])?)?;
        }
        let durations = self.metrics.durations().clone();
        let bounds = BUCKETS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(durations.buckets).collect();
        let count = durations.buckets.iter().sum();
        let mut histogram = encoder.encode_descriptor(
            "linnet_operator_reconcile_duration",
            "Time that a pass took",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        histogram.encode_histogram::<NoLabelSet>(durations.sum, count, &buckets, None)
    }

    fn conditions(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = encoder.encode_descriptor(
            "linnet_operator_channel_conditions",
            "Channels whose condition of a type has a status",
            None,
            MetricType::Gauge,
        )?;
        for ((type_, status), count) in &self.objects.conditions {
            let labels = [("type", type_.as_str()), ("status", status.as_str())];
            let count = ConstGauge::new(i64::try_from(*count).unwrap_or(i64::MAX));
            count.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(encoder)
}
