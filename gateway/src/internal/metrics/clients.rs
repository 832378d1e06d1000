//! What shards and the public port count: connections, messages, and what waits for clients.

use std::fmt;

use prometheus_client::registry::Unit;

use super::GatewayMetrics;
use super::page::Page;
use crate::metrics::{DELIVERY_BUCKETS, Histogram, ShardMetrics};
use crate::protocol::ErrorCode;
use crate::transport::Transport;
use crate::transport::http::{Passed, Reason};

impl GatewayMetrics {
    pub(super) fn connections(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            "linnet_connections",
            "Connections that are open",
            None,
            self.sum(|shard| &shard.connections),
        )?;
        let transports = Transport::ALL.into_iter().enumerate();
        let open = transports.map(|(index, transport)| {
            let count = self.sum(|shard| &shard.transports[index]);
            ([("transport", transport.as_str())], count)
        });
        page.gauges(
            "linnet_transport_connections",
            "Connections that are open, by how their clients reach them",
            open,
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
        )?;
        let passed = Passed::ALL.into_iter();
        let passed = passed.map(|what| ([("what", what.as_str())], self.http.passed_on(what)));
        page.counters(
            "linnet_polling_passed_on",
            "Requests of long-polling whose session lives on another gateway, which they were passed on to",
            passed,
        )
    }

    pub(super) fn messages(&self, page: &mut Page<'_>) -> fmt::Result {
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
        let buckets = buckets(|index| self.sum(|shard| &of(shard).buckets[index]));
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = seconds(self.sum(|shard| &of(shard).sum_nanos));
        page.seconds(name, help, sum, count, &buckets)
    }

    pub(super) fn queues(&self, page: &mut Page<'_>) -> fmt::Result {
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
}

/// The buckets of a histogram with their upper bounds; `count` gives what each has.
pub(super) fn buckets(count: impl Fn(usize) -> u64) -> Vec<(f64, u64)> {
    let bounds = DELIVERY_BUCKETS.into_iter().chain([f64::INFINITY]);
    let counted = bounds.enumerate();
    counted
        .map(|(index, bound)| (bound, count(index)))
        .collect()
}

/// A sum of nanoseconds in seconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "a sum of 52 bits of nanoseconds is 52 days of waiting"
)]
pub(super) fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}
