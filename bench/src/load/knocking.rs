//! Handshakes that are refused, at a steady pace, each on a connection of its own.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

/// So many may be under way at once; more would be a pile, not a pace.
const UNDERWAY: usize = 512;

/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct Knocked {
    /// Handshakes that were refused.
    pub refused: u64,
    /// From the first to the last.
    pub seconds: f64,
}

/// Knocks `per_second` times a second for so long, with one of `requests` after the other, and reads each answer's head.
///
/// # Errors
/// When one is not refused with 401 or 403, or not answered.
pub fn knock(
    address: SocketAddr,
    requests: &'static [&'static str],
    per_second: f64,
    seconds: f64,
) -> Result<Knocked> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let start = Instant::now();
            // A hundred times a second as many as are due: a timer for each would cost more than the knocking.
            let mut pace = interval(Duration::from_millis(10));
            pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let (mut sent, mut refused) = (0u64, 0u64);
            let mut underway = JoinSet::new();
            while start.elapsed().as_secs_f64() < seconds {
                pace.tick().await;
                let due = (start.elapsed().as_secs_f64() * per_second) as u64;
                while sent < due {
                    while underway.len() >= UNDERWAY {
                        if let Some(outcome) = underway.join_next().await {
                            outcome??;
                            refused += 1;
                        }
                    }
                    underway.spawn(one(address, requests[sent as usize % requests.len()]));
                    sent += 1;
                }
                while let Some(outcome) = underway.try_join_next() {
                    outcome??;
                    refused += 1;
                }
            }
            while let Some(outcome) = underway.join_next().await {
                outcome??;
                refused += 1;
            }
            let seconds = start.elapsed().as_secs_f64();
            Ok(Knocked { refused, seconds })
        })
}

async fn one(address: SocketAddr, request: &'static str) -> Result<()> {
    let answer = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::with_capacity(2048);
        while !answer.windows(4).any(|end| end == b"\r\n\r\n")
            && stream.read_buf(&mut answer).await? > 0
        {}
        anyhow::Ok(answer)
    };
    let answer = tokio::time::timeout(PATIENCE, answer)
        .await
        .context("a handshake was not answered")??;
    let refused = [&b"HTTP/1.1 401"[..], b"HTTP/1.1 403"];
    ensure!(
        refused.iter().any(|status| answer.starts_with(status)),
        "not refused: {}",
        String::from_utf8_lossy(&answer)
    );
    Ok(())
}
