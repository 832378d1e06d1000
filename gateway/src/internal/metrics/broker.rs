//! How gateways reach each other over NATS.

use std::fmt;

use super::page::Page;
use crate::broker::nats::health::{Fault, Health};

pub(super) fn write(health: &Health, page: &mut Page<'_>) -> fmt::Result {
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
