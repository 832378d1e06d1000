//! Many publishers at a fixed rate in all, and how long each publish waits for its ack: over WebSocket connections,
//! or over one NATS client that they share, as a gateway's do.

use std::{cell::RefCell, collections::VecDeque, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{StreamExt, future::try_join_all, stream::FuturesUnordered};
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::{Builder, Runtime},
    time::{Instant, sleep_until, timeout},
};

use super::{Entry, Way};
use crate::{
    load::{
        Latency, Schedule, delays,
        frames::{self, Opcode},
        handshake,
        marker::{self, Marker},
        push_publish,
    },
    measure::monotonic_ns,
};

/// How long everything may take beyond the schedule.
const PATIENCE: Duration = Duration::from_secs(10);

type Delays = RefCell<crate::load::Delays>;

/// Publishers on one thread.
#[derive(Debug)]
pub struct Publishers {
    runtime: Runtime,
    lines: Lines,
}

#[derive(Debug)]
enum Lines {
    Sockets(Vec<Socket>),
    Nats {
        entry: Box<Entry>,
        publishers: usize,
    },
}

/// One publisher's connection to a gateway or a relay.
#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    room: String,
    next: u64,
    /// What came and is no whole frame yet.
    received: Vec<u8>,
}

/// When one publisher sends.
#[derive(Debug, Clone, Copy)]
struct Pace {
    first: Instant,
    interval: Duration,
    count: u64,
    data_bytes: usize,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
}

impl Publishers {
    /// Opens connections to a gateway or a relay, each for a room of its own.
    pub fn connect(address: SocketAddr, publishers: usize) -> Result<Self> {
        let runtime = one_thread()?;
        let sockets = runtime.block_on(try_join_all(
            (0..publishers).map(|number| Socket::connect(address, room(number))),
        ))?;
        Ok(Self {
            runtime,
            lines: Lines::Sockets(sockets),
        })
    }

    /// Publishers on one NATS client, each with a subject of its own below the one of `way`.
    pub fn on_nats(way: Way, publishers: usize) -> Result<Self> {
        let runtime = one_thread()?;
        let entry = Box::new(runtime.block_on(way.enter())?);
        Ok(Self {
            runtime,
            lines: Lines::Nats { entry, publishers },
        })
    }

    /// Publishes by `schedule`, its rate shared among all; from each publish to its ack.
    pub fn publish(&mut self, schedule: Schedule) -> Result<Latency> {
        let delays = RefCell::new(delays());
        let publishers = match &self.lines {
            Lines::Sockets(sockets) => sockets.len(),
            Lines::Nats { publishers, .. } => *publishers,
        };
        let pace = |begun: Instant, number: usize| Pace {
            // They take turns.
            first: begun + schedule.interval().mul_f64(number as f64),
            interval: schedule.interval() * publishers as u32,
            count: schedule.messages() / publishers as u64,
            data_bytes: schedule.data_bytes,
        };
        let whole = async {
            let begun = Instant::now();
            match &mut self.lines {
                Lines::Sockets(sockets) => {
                    let all = sockets.iter_mut().enumerate();
                    let all = all.map(|(number, one)| one.publish(pace(begun, number), &delays));
                    try_join_all(all).await.map(drop)
                }
                Lines::Nats { entry, .. } => {
                    let all = (0..publishers)
                        .map(|number| on_nats(entry, number, pace(begun, number), &delays));
                    try_join_all(all).await.map(drop)
                }
            }
        };
        let limit = Duration::from_secs_f64(schedule.seconds) + PATIENCE;
        self.runtime
            .block_on(async { timeout(limit, whole).await })
            .context("acks are missing")??;
        Ok(Latency::from(&*delays.borrow()))
    }
}

impl Socket {
    async fn connect(address: SocketAddr, room: String) -> Result<Self> {
        let mut stream = TcpStream::connect(address)
            .await
            .context("publisher cannot connect")?;
        stream.set_nodelay(true)?;
        let upgrade = handshake::request(&address.to_string(), "/ws", Some("linnet.v1.json"));
        stream.write_all(&upgrade).await?;
        let mut received = Vec::new();
        let head = loop {
            ensure!(
                stream.read_buf(&mut received).await? > 0,
                "no answer to an upgrade"
            );
            if let Some(length) = handshake::head_len(&received) {
                break length;
            }
        };
        handshake::check(&received[..head]).map_err(anyhow::Error::msg)?;
        received.drain(..head);
        Ok(Self {
            stream,
            room,
            next: 0,
            received,
        })
    }

    async fn publish(&mut self, pace: Pace, delays: &Delays) -> Result<()> {
        let Self {
            stream,
            room,
            next,
            received,
        } = self;
        let (mut reader, mut writer) = stream.split();
        // Acks come in the order of one connection's publishes to one room.
        let sent = RefCell::new(VecDeque::new());
        let writing = async {
            let mut out = Vec::new();
            for number in 0..pace.count {
                sleep_until(pace.due(number)).await;
                *next += 1;
                out.clear();
                push_publish(&mut out, room, *next, pace.data_bytes);
                sent.borrow_mut().push_back(monotonic_ns());
                writer.write_all(&out).await.context("cannot publish")?;
            }
            anyhow::Ok(())
        };
        let reading = async {
            let mut missing = pace.count;
            loop {
                for _ in 0..acks(received)? {
                    let at = sent.borrow_mut().pop_front().context("an ack too many")?;
                    delays
                        .borrow_mut()
                        .saturating_record(monotonic_ns().saturating_sub(at));
                    missing -= 1;
                }
                if missing == 0 {
                    return anyhow::Ok(());
                }
                ensure!(
                    reader.read_buf(received).await? > 0,
                    "the server ended a publisher's connection"
                );
            }
        };
        tokio::try_join!(writing, reading).map(drop)
    }
}

impl Pace {
    fn due(&self, number: u64) -> Instant {
        self.first + self.interval.mul_f64(number as f64)
    }
}

async fn on_nats(entry: &Entry, number: usize, pace: Pace, delays: &Delays) -> Result<()> {
    let subject = format!("{}.r_{}", entry.way.subject, room(number));
    let mut waiting = FuturesUnordered::new();
    let mut sequence = 0;
    while sequence < pace.count || !waiting.is_empty() {
        tokio::select! {
            biased;
            Some(acked) = waiting.next() => {
                let delay: Result<u64> = acked;
                delays.borrow_mut().saturating_record(delay?);
            }
            () = sleep_until(pace.due(sequence)), if sequence < pace.count => {
                let sent_ns = monotonic_ns();
                let data = marker::json_string(pace.data_bytes, Marker { sequence, sent_ns });
                sequence += 1;
                let ack = entry.publish_to(subject.clone(), data.into()).await?;
                let ack = ack.context("no stream acknowledges this")?;
                waiting.push(async move {
                    ack.await.context("the stream did not take a message")?;
                    Ok(monotonic_ns().saturating_sub(sent_ns))
                });
            }
        }
    }
    Ok(())
}

/// Takes the whole frames out of `received` and counts the acks among them.
fn acks(received: &mut Vec<u8>) -> Result<usize> {
    let (mut used, mut acks) = (0, 0);
    while let Some(frame) = frames::parse(&received[used..])
        .ok()
        .context("the server sent a malformed frame")?
    {
        used += frame.wire;
        let text = || String::from_utf8_lossy(frame.payload).into_owned();
        match frame.opcode {
            Opcode::Close => bail!("the server closed a publisher: {}", text()),
            Opcode::Text => {
                let head: Head<'_> = serde_json::from_slice(frame.payload).with_context(text)?;
                match head.kind {
                    "ack" => acks += 1,
                    "error" => bail!("a publish was refused: {}", text()),
                    _ => {}
                }
            }
            // A window ends before an unanswered ping ends the connection.
            _ => {}
        }
    }
    received.drain(..used);
    Ok(acks)
}

fn room(number: usize) -> String {
    format!("publisher-{number}")
}

fn one_thread() -> Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot set up tokio")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acks_are_counted_and_half_a_frame_is_kept() {
        let mut received = Vec::new();
        for text in [r#"{"type":"connected"}"#, r#"{"type":"ack","id":1}"#] {
            frames::push_server_frame(&mut received, Opcode::Text, text.as_bytes());
        }
        received.extend_from_slice(&[0x81]);
        assert_eq!(acks(&mut received).unwrap(), 1);
        assert_eq!(received, [0x81]);
    }

    #[test]
    fn a_refused_publish_is_an_error() {
        let mut received = Vec::new();
        frames::push_server_frame(&mut received, Opcode::Text, br#"{"type":"error"}"#);
        assert!(acks(&mut received).is_err());
    }
}
