//! Messages at a fixed rate from one NATS client.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

use super::Entry;
use crate::{
    load::{
        Schedule,
        marker::{self, Marker},
    },
    measure::monotonic_ns,
};

/// How long an ack may take.
const ACK_TIMEOUT: Duration = Duration::from_secs(10);

/// tokio with one thread beside the one that asks.
pub fn one_thread() -> Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot set up tokio")
}

/// Sends single messages by `schedule`, numbered from 0, to the subject that `subject` gives for each, and returns when
/// all that a stream takes are acknowledged. `runtime` is the one of `entry`.
pub fn send(
    runtime: &Runtime,
    entry: &Entry,
    schedule: Schedule,
    subject: impl Fn(u64) -> String,
) -> Result<()> {
    let begun = Instant::now();
    let mut acks = Vec::new();
    for sequence in 0..schedule.messages() {
        let due = begun + schedule.interval().mul_f64(sequence as f64);
        // tokio's timer counts milliseconds, which is a whole interval here.
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let sent_ns = monotonic_ns();
        let data = marker::json_string(schedule.data_bytes, Marker { sequence, sent_ns });
        let publish = entry.publish_to(subject(sequence), data.into());
        if let Some(ack) = runtime.block_on(publish)? {
            acks.push(runtime.spawn(async move { timeout(ACK_TIMEOUT, ack.into_future()).await }));
        }
    }
    for ack in acks {
        if let Err(error) = runtime.block_on(ack)?.context("an ack is missing")? {
            bail!("the stream did not take a message: {error}");
        }
    }
    Ok(())
}
