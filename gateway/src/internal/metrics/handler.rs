//! What becomes of calls to the channel's handler.

use std::fmt;

use super::clients::{buckets, seconds};
use super::page::Page;
use crate::handler::{Event, HandlerMetrics, Outcome};

pub(super) fn write(metrics: &HandlerMetrics, page: &mut Page<'_>) -> fmt::Result {
    let pairs = Event::ALL
        .into_iter()
        .flat_map(|event| Outcome::ALL.map(|outcome| (event, outcome)));
    page.counters(
        "linnet_handler_calls",
        "Calls to the channel's handler, by what it was asked and what became of it",
        pairs.map(|(event, outcome)| {
            let labels = [("event", event.as_str()), ("outcome", outcome.as_str())];
            (labels, metrics.calls(event, outcome))
        }),
    )?;
    page.gauge(
        "linnet_handler_calls_in_flight",
        "Calls to the channel's handler that it has not answered yet",
        None,
        metrics.in_flight.get(),
    )?;
    let buckets = buckets(|index| metrics.duration.buckets[index].get());
    page.seconds(
        "linnet_handler_duration",
        "Time that calls to the channel's handler took, without waiting for their turn",
        seconds(metrics.duration.sum_nanos.get()),
        buckets.iter().map(|(_, count)| count).sum(),
        &buckets,
    )
}
