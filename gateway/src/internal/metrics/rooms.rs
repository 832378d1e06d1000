//! What the hub counts: rooms, what is published in them, and what they keep.

use std::fmt;

use prometheus_client::registry::Unit;

use super::page::Page;
use crate::metrics::HubMetrics;

pub(super) fn write(hub: &HubMetrics, page: &mut Page<'_>) -> fmt::Result {
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
