//! From one NATS client to another: what no relay and no gateway can be faster than.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use tokio::time::timeout;

use super::{
    Way,
    send::{one_thread, send},
};
use crate::{
    load::{Latency, Schedule, delays, marker::Marker},
    measure::monotonic_ns,
};

/// How long nothing may come while messages are missing.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends by `schedule` from one connection to another, each with a thread of its own; the delays of all messages after
/// the first `warm_up`.
pub fn measure(way: &Way, schedule: Schedule, warm_up: u64) -> Result<Latency> {
    let (sending, receiving) = (one_thread()?, one_thread()?);
    let total = schedule.messages();
    let messages = receiving.block_on(way.clone().leave())?;
    let received = receiving.spawn(receive(messages, total, warm_up));
    let entry = sending.block_on(way.clone().enter())?;
    send(&sending, &entry, schedule, |_| way.subject.clone())?;
    receiving.block_on(received)?
}

/// Takes `total` messages, numbered from 0; the delays of all after the first `warm_up`.
pub async fn receive(
    mut messages: BoxStream<'static, Result<Bytes>>,
    total: u64,
    warm_up: u64,
) -> Result<Latency> {
    let mut delays = delays();
    for count in 0..total {
        let payload = timeout(PATIENCE, messages.next())
            .await
            .with_context(|| format!("{count} of {total} messages came"))?
            .context("NATS ended")??;
        let now = monotonic_ns();
        match Marker::find(&payload) {
            Some(marker) if marker.sequence != count => {
                bail!("message {} came as number {count}", marker.sequence)
            }
            Some(marker) if count >= warm_up => {
                delays.saturating_record(now.saturating_sub(marker.sent_ns));
            }
            Some(_) => {}
            None => bail!("a message of somebody else came"),
        }
    }
    Ok(Latency::from(&delays))
}
