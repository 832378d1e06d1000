//! Calls of an HTTP API at a steady pace, on connections that stay.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What to call, how often.
#[derive(Debug, Clone, Copy)]
pub struct Calls<'a> {
    /// Whom.
    pub address: SocketAddr,
    /// One whole request.
    pub request: &'a str,
    /// Connections, each with a call under way at most.
    pub connections: usize,
    /// Of all connections together.
    pub per_second: f64,
    /// For so long.
    pub seconds: f64,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct Called {
    /// Calls that were answered by 200.
    pub answered: u64,
    /// Half of the calls took no longer, in microseconds; counted from when each was due.
    pub p50_us: f64,
    /// Of a hundred calls 99 took no longer.
    pub p99_us: f64,
    /// Bytes of the last answer's body.
    pub body: usize,
}

/// Calls as told.
///
/// # Errors
/// When a call is not answered in time, or by anything but 200.
pub fn call(calls: Calls<'_>) -> Result<Called> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let start = Instant::now();
            let mut all = JoinSet::new();
            for number in 0..calls.connections {
                let request = calls.request.to_owned().into_bytes();
                let every = calls.connections as f64 / calls.per_second;
                let first = every * number as f64 / calls.connections as f64;
                let connection = Connection {
                    address: calls.address,
                    request,
                    start,
                    first: Duration::from_secs_f64(first),
                    every: Duration::from_secs_f64(every),
                    end: Duration::from_secs_f64(calls.seconds),
                };
                all.spawn(connection.run());
            }
            let mut took = Histogram::<u64>::new(3)?;
            let mut body = 0;
            while let Some(one) = all.join_next().await {
                let (times, length) = one??;
                took.add(times)?;
                body = length;
            }
            Ok(Called {
                answered: took.len(),
                p50_us: took.value_at_quantile(0.5) as f64,
                p99_us: took.value_at_quantile(0.99) as f64,
                body,
            })
        })
}

struct Connection {
    address: SocketAddr,
    request: Vec<u8>,
    start: Instant,
    first: Duration,
    every: Duration,
    end: Duration,
}

impl Connection {
    /// Gives how long calls took, and how long the last answer's body is.
    async fn run(self) -> Result<(Histogram<u64>, usize)> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let mut took = Histogram::<u64>::new(3)?;
        let mut answer = Vec::new();
        let mut body = 0;
        let mut pace = interval(self.every);
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        tokio::time::sleep(self.first).await;
        pace.reset_immediately();
        while self.start.elapsed() < self.end {
            let due = pace.tick().await;
            stream.write_all(&self.request).await?;
            body = timeout(PATIENCE, read(&mut stream, &mut answer))
                .await
                .context("a call was not answered")??;
            took.record(due.elapsed().as_micros().max(1) as u64)?;
        }
        Ok((took, body))
    }
}

/// Reads one answer; gives the length of its body.
async fn read(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Result<usize> {
    answer.clear();
    loop {
        ensure!(
            stream.read_buf(answer).await? > 0,
            "the connection has ended"
        );
        let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&answer[..end])?.to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length
            .context("an answer without a length")?
            .trim()
            .parse()?;
        if answer.len() < end + 4 + length {
            continue;
        }
        if !head.starts_with("http/1.1 200") {
            bail!("not done: {}", String::from_utf8_lossy(answer));
        }
        return Ok(length);
    }
}
