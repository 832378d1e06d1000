//! From one NATS client to another: what no relay and no gateway can be faster than.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

use super::Way;
use crate::{
    load::{
        Latency, Schedule, delays,
        marker::{self, Marker},
    },
    measure::monotonic_ns,
};

/// How long nothing may come while messages are missing.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends by `schedule` from one connection to another, each with a thread of its own; the delays of all messages after
/// the first `warm_up`.
pub fn measure(way: &Way, schedule: Schedule, warm_up: u64) -> Result<Latency> {
    let (sending, receiving) = (one_thread()?, one_thread()?);
    let total = schedule.messages();
    let mut messages = receiving.block_on(way.clone().leave())?;
    let received = receiving.spawn(async move {
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
    });
    let entry = sending.block_on(way.clone().enter())?;
    let begun = Instant::now();
    for sequence in 0..total {
        let due = begun + schedule.interval().mul_f64(sequence as f64);
        // tokio's timer counts milliseconds, which is a whole interval here.
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let sent_ns = monotonic_ns();
        let data = marker::json_string(schedule.data_bytes, Marker { sequence, sent_ns });
        if let Some(ack) = sending.block_on(entry.publish(data.into()))? {
            // One that fails is a message that does not come.
            sending.spawn(async move { ack.await.is_ok() });
        }
    }
    receiving.block_on(received)?
}

fn one_thread() -> Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot set up tokio")
}
