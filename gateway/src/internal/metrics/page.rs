//! How metrics are written.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Writes metrics. Names are without the suffixes of their type and unit, which the format adds.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

impl Page<'_> {
    pub(super) fn metric(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        metric: &impl EncodeMetric,
    ) -> fmt::Result {
        let kind = metric.metric_type();
        let encoder = self.0.encode_descriptor(name, help, unit, kind)?;
        metric.encode(encoder)
    }

    pub(super) fn counter(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: u64,
    ) -> fmt::Result {
        self.metric(name, help, unit, &ConstCounter::new(value))
    }

    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: u64,
    ) -> fmt::Result {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.metric(name, help, unit, &ConstGauge::new(value))
    }

    /// One counter for each value of a label, or of several.
    pub(super) fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, &'static str); N], u64)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (label, value) in values {
            ConstCounter::new(value).encode(family.encode_family(&label)?)?;
        }
        Ok(())
    }

    /// One gauge for each value of a label.
    pub(super) fn gauges(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, &'static str); 1], u64)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (label, value) in values {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            ConstGauge::new(value).encode(family.encode_family(&label)?)?;
        }
        Ok(())
    }

    /// A histogram of times: counts by upper bound, in seconds.
    pub(super) fn seconds(
        &mut self,
        name: &str,
        help: &str,
        sum: f64,
        count: u64,
        buckets: &[(f64, u64)],
    ) -> fmt::Result {
        let (unit, kind) = (Some(&Unit::Seconds), MetricType::Histogram);
        let mut metric = self.0.encode_descriptor(name, help, unit, kind)?;
        metric.encode_histogram::<NoLabelSet>(sum, count, buckets, None)
    }
}
