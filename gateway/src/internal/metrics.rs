//! What is measured, under which name: added up from the counters of all parts at every scrape.

use std::fmt::{self, Debug};
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Unit;

use super::process;
use crate::auth::Tokens;
use crate::broker::nats::health::{Fault, Health};
use crate::config::watch::Watched;
use crate::metrics::{Counter, DELIVERY_BUCKETS, Histogram, HubMetrics, ShardMetrics};
use crate::protocol::ErrorCode;
use crate::transport::http::{HttpMetrics, Reason};

/// The counters of all parts.
pub struct GatewayMetrics {
    /// One set a shard.
    pub shards: Vec<Arc<ShardMetrics>>,
    /// The hub's.
    pub hub: Arc<HubMetrics>,
    /// The public port's.
    pub http: Arc<HttpMetrics>,
    /// What becomes of tokens.
    pub tokens: Arc<Tokens>,
    /// Which configuration is in force.
    pub config: Arc<Watched>,
    /// The broker's, where gateways share one.
    pub broker: Option<Arc<Health>>,
}

impl Debug for GatewayMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayMetrics").finish_non_exhaustive()
    }
}

impl Collector for GatewayMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        page.metric("linnet_build", "This gateway", None, &build)?;
        self.connections(&mut page)?;
        self.messages(&mut page)?;
        self.queues(&mut page)?;
        self.rooms(&mut page)?;
        token_metrics(&self.tokens, &mut page)?;
        if let Some(broker) = &self.broker {
            broker_metrics(broker, &mut page)?;
        }
        telemetry_metrics(&mut page)?;
        process_metrics(&mut page)?;
        let valid = i64::from(self.config.status().error.is_none());
        page.gauge(
            "linnet_config_valid",
            "1 where the manifest's file is in force as it is, 0 where an older one is",
            None,
            valid.unsigned_abs(),
        )
    }
}

impl GatewayMetrics {
    fn connections(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            "linnet_connections",
            "Connections that are open",
            None,
            self.sum(|shard| &shard.connections),
        )?;
        page.counter(
            "linnet_connections_opened",
            "Connections since the start",
            None,
            self.sum(|shard| &shard.connections_opened),
        )?;
        let codes = ErrorCode::ALL.into_iter().enumerate();
        let closed = codes.map(|(index, code)| {
            let count = self.sum(|shard| &shard.closes[index]);
            ([("code", code.as_str())], count)
        });
        page.counters(
            "linnet_connections_closed",
            "Connections that the gateway closed, by error code",
            closed,
        )?;
        let reasons = Reason::ALL.into_iter();
        let refused =
            reasons.map(|reason| ([("reason", reason.as_str())], self.http.refused(reason)));
        page.counters(
            "linnet_handshakes_refused",
            "Connections that did not become a WebSocket, by reason",
            refused,
        )
    }

    fn messages(&self, page: &mut Page<'_>) -> fmt::Result {
        page.counter(
            "linnet_messages_received",
            "Messages that clients published or sent",
            None,
            self.sum(|shard| &shard.messages_in),
        )?;
        page.counter(
            "linnet_messages_delivered",
            "Messages written to clients, counted once for each",
            None,
            self.sum(|shard| &shard.messages_out),
        )?;
        page.counter(
            "linnet_received",
            "Bytes read from WebSockets",
            Some(&Unit::Bytes),
            self.sum(|shard| &shard.bytes_in),
        )?;
        page.counter(
            "linnet_sent",
            "Bytes written to WebSockets",
            Some(&Unit::Bytes),
            self.sum(|shard| &shard.bytes_out),
        )?;
        let codes = ErrorCode::ALL.into_iter().enumerate();
        let refusals = codes.map(|(index, code)| {
            let count = self.sum(|shard| &shard.refusals[index]);
            ([("code", code.as_str())], count)
        });
        page.counters(
            "linnet_request_refusals",
            "Requests of clients that were answered by an error, by its code",
            refusals,
        )?;
        self.histogram(
            page,
            "linnet_delivery_latency",
            "Time from publishing a message to writing it to a client",
            |shard| &shard.delivery,
        )?;
        self.histogram(
            page,
            "linnet_ping_round_trip",
            "Time from a ping to its pong",
            |shard| &shard.ping,
        )
    }

    fn histogram(
        &self,
        page: &mut Page<'_>,
        name: &str,
        help: &str,
        of: impl Fn(&ShardMetrics) -> &Histogram,
    ) -> fmt::Result {
        let beyond = DELIVERY_BUCKETS.len();
        let bounds = DELIVERY_BUCKETS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds
            .zip(0..=beyond)
            .map(|(bound, index)| (bound, self.sum(|shard| &of(shard).buckets[index])))
            .collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        #[expect(
            clippy::cast_precision_loss,
            reason = "a sum of 52 bits of nanoseconds is 52 days of waiting"
        )]
        let sum = self.sum(|shard| &of(shard).sum_nanos) as f64 / 1e9;
        let mut metric =
            page.0
                .encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn queues(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            "linnet_queue",
            "Bytes that wait for clients that read slowly",
            Some(&Unit::Bytes),
            self.sum(|shard| &shard.backlog_bytes),
        )?;
        page.gauge(
            "linnet_backlogged_connections",
            "Connections that something waits for",
            None,
            self.sum(|shard| &shard.backlogged),
        )?;
        page.counter(
            "linnet_slow_consumers",
            "Connections closed because they did not read fast enough",
            None,
            self.sum(|shard| &shard.slow_consumers),
        )
    }

    fn rooms(&self, page: &mut Page<'_>) -> fmt::Result {
        let hub = &self.hub;
        page.gauge("linnet_rooms", "Rooms in memory", None, hub.rooms.get())?;
        page.gauge(
            "linnet_subscriptions",
            "Subscriptions that are live",
            None,
            hub.subscriptions.get(),
        )?;
        page.counter(
            "linnet_published",
            "Messages accepted from publishers",
            None,
            hub.published.get(),
        )?;
        page.counter(
            "linnet_duplicates",
            "Publishes that repeated an earlier message",
            None,
            hub.duplicates.get(),
        )?;
        page.gauge(
            "linnet_history",
            "Bytes of the messages that rooms keep",
            Some(&Unit::Bytes),
            hub.ring_bytes.get(),
        )?;
        page.counter(
            "linnet_history_evictions",
            "Rooms that lost their messages to limits.historyMemory",
            None,
            hub.rings_evicted.get(),
        )?;
        let outcomes = [
            ("recovered", &hub.resumes_recovered),
            ("lost", &hub.resumes_lost),
        ];
        let resumes = outcomes.map(|(outcome, count)| ([("outcome", outcome)], count.get()));
        page.counters(
            "linnet_resumes",
            "Resumes: recovered with all that was missed, or lost",
            resumes,
        )?;
        let sources = [("memory", &hub.ring_hits), ("stream", &hub.ring_misses)];
        let lookups = sources.map(|(source, count)| ([("source", source)], count.get()));
        page.counters(
            "linnet_history_lookups",
            "Resumes by where the messages were found: in memory, or in the broker's stream",
            lookups,
        )?;
        page.counter(
            "linnet_gaps",
            "Gaps announced to subscribers",
            None,
            hub.gaps.get(),
        )
    }

    /// One counter of all shards.
    fn sum(&self, counter: impl Fn(&ShardMetrics) -> &Counter) -> u64 {
        self.shards.iter().map(|shard| counter(shard).get()).sum()
    }
}

fn token_metrics(tokens: &Tokens, page: &mut Page<'_>) -> fmt::Result {
    let metrics = tokens.metrics();
    page.gauge(
        "linnet_token_keys",
        "Keys that tokens are checked with",
        None,
        tokens.keys() as u64,
    )?;
    page.gauge(
        "linnet_revoked_users",
        "Users whose earlier tokens are refused",
        None,
        tokens.revocations().len() as u64,
    )?;
    let checked = [
        ("accepted", &metrics.accepted),
        ("refused", &metrics.refused),
    ];
    page.counters(
        "linnet_tokens",
        "Tokens that were checked, by outcome",
        checked.map(|(outcome, count)| ([("outcome", outcome)], count.get())),
    )?;
    let fetches = [
        ("fetched", &metrics.fetched),
        ("failed", &metrics.fetch_failures),
    ];
    page.counters(
        "linnet_key_fetches",
        "Fetches of the issuer's published keys, by outcome",
        fetches.map(|(outcome, count)| ([("outcome", outcome)], count.get())),
    )
}

fn broker_metrics(health: &Health, page: &mut Page<'_>) -> fmt::Result {
    let metrics = &health.metrics;
    page.gauge(
        "linnet_broker_connected",
        "1 while there is a connection to NATS",
        None,
        u64::from(!health.has(Fault::Disconnected)),
    )?;
    page.counter(
        "linnet_broker_connects",
        "Connections that were made to NATS",
        None,
        metrics.connects.get(),
    )?;
    page.gauge(
        "linnet_broker_gateways",
        "Gateways of the channel that this one knows of, itself included",
        None,
        metrics.gateways.get(),
    )?;
    let faults = Fault::ALL.into_iter().zip(&metrics.faults);
    page.counters(
        "linnet_broker_faults",
        "What went wrong between the gateway and NATS, by kind",
        faults.map(|(fault, count)| ([("fault", fault.as_str())], count.get())),
    )?;
    page.counter(
        "linnet_broker_resets",
        "Times that reading a stream began anew",
        None,
        metrics.resets.get(),
    )?;
    page.gauge(
        "linnet_broker_lag",
        "Messages in the streams that this gateway has not read yet",
        None,
        health.total_lag(),
    )?;
    page.gauge(
        "linnet_broker_publishes_in_flight",
        "Publishes that a stream has not acknowledged yet",
        None,
        metrics.in_flight.get(),
    )?;
    let reads = [
        ("complete", &metrics.reads_complete),
        ("incomplete", &metrics.reads_incomplete),
    ];
    page.counters(
        "linnet_broker_reads",
        "Reads of a stream for what memory does not hold, by whether all was there",
        reads.map(|(outcome, count)| ([("outcome", outcome)], count.get())),
    )?;
    page.gauge(
        "linnet_broker_work_queue",
        "Messages that wait for a worker, or are with one",
        None,
        metrics.work_queue.get(),
    )?;
    page.counter(
        "linnet_broker_dead_letters",
        "Messages that were put into the dead letters because workers did not survive them",
        None,
        metrics.dead_letters.get(),
    )
}

fn telemetry_metrics(page: &mut Page<'_>) -> fmt::Result {
    let stats = linnet_telemetry::stats();
    page.counter(
        "linnet_telemetry_spans_exported",
        "Spans that a collector has taken",
        None,
        stats.exported(),
    )?;
    page.counters(
        "linnet_telemetry_spans_dropped",
        "Spans that no collector got: the queue was full, or the collector did not take them",
        [
            ([("reason", "queue_full")], stats.dropped_full()),
            ([("reason", "not_taken")], stats.dropped_failed()),
        ],
    )
}

/// What client libraries of Prometheus tell of any process, by the names that they use.
fn process_metrics(page: &mut Page<'_>) -> fmt::Result {
    let Some(process) = process::read() else {
        return Ok(()); // /proc is not there
    };
    let cpu = ConstCounter::new(process.cpu_seconds);
    page.metric(
        "process_cpu",
        "User and system time of the process",
        Some(&Unit::Seconds),
        &cpu,
    )?;
    page.gauge(
        "process_resident_memory",
        "Memory of the process that is in RAM",
        Some(&Unit::Bytes),
        process.resident_bytes,
    )?;
    page.gauge(
        "process_open_fds",
        "Files that the process has open",
        None,
        process.open_files,
    )
}

/// Writes metrics. Names are without the suffixes of their type and unit, which the format adds.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn metric(
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

    fn counter(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: u64) -> fmt::Result {
        self.metric(name, help, unit, &ConstCounter::new(value))
    }

    fn gauge(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: u64) -> fmt::Result {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.metric(name, help, unit, &ConstGauge::new(value))
    }

    /// One counter for each value of a label.
    fn counters(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, &'static str); 1], u64)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (label, value) in values {
            ConstCounter::new(value).encode(family.encode_family(&label)?)?;
        }
        Ok(())
    }
}
