//! The process itself, and what becomes of its spans.

use std::fmt;

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Unit;

use super::page::Page;
use crate::internal::process;

pub(super) fn telemetry(page: &mut Page<'_>) -> fmt::Result {
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
pub(super) fn process(page: &mut Page<'_>) -> fmt::Result {
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
