//! What becomes of calls of the server APIs.

use std::fmt;

use super::page::Page;
use crate::api::ApiMetrics;

pub(super) fn write(metrics: &ApiMetrics, page: &mut Page<'_>) -> fmt::Result {
    let calls = [
        ("done", &metrics.done),
        ("replayed", &metrics.replayed),
        ("refused", &metrics.refused),
        ("failed", &metrics.failed),
    ];
    page.counters(
        "linnet_api_calls",
        "Calls of the HTTP API, by outcome",
        calls.map(|(outcome, count)| ([("outcome", outcome)], count.get())),
    )
}
