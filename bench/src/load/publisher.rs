//! A client that publishes at a rate, on a blocking socket of its own: its pace must not depend on how busy the
//! receivers' loop is.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::{
    frames::{self, Opcode},
    handshake,
    marker::{self, Marker},
};
use crate::measure::monotonic_ns;

/// How much to publish, and when.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Schedule {
    /// Messages per second in all.
    pub per_second: f64,
    /// Messages that leave together, in one TCP write.
    pub burst: usize,
    /// For how long.
    pub seconds: f64,
    /// Length of `data`'s JSON text.
    pub data_bytes: usize,
}

impl Schedule {
    /// Number of bursts.
    pub fn bursts(&self) -> u64 {
        ((self.per_second * self.seconds / self.burst as f64).round() as u64).max(1)
    }

    /// Number of messages.
    pub fn messages(&self) -> u64 {
        self.bursts() * self.burst as u64
    }

    /// From one burst to the next.
    pub fn interval(&self) -> Duration {
        Duration::from_secs_f64(self.burst as f64 / self.per_second)
    }
}

/// What was published.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Published {
    /// Messages sent, each acknowledged.
    pub messages: u64,
    /// First to last, in seconds.
    pub seconds: f64,
    /// How late the latest burst left, in milliseconds.
    pub worst_lag_ms: f64,
}

/// How long an ack may take.
const ACK_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that publishes to one room. Sequence numbers go on from one call to the next.
#[derive(Debug)]
pub struct Publisher {
    socket: TcpStream,
    room: String,
    sequence: u64,
    acknowledged: u64,
    greeted: bool,
    received: Vec<u8>,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
}

impl Publisher {
    /// Connects, upgrades, and waits for the greeting.
    pub fn connect(address: SocketAddr, room: &str) -> Result<Self> {
        let mut socket = TcpStream::connect(address).context("publisher cannot connect")?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ACK_TIMEOUT))?;
        socket.write_all(&handshake::request(
            &address.to_string(),
            "/ws",
            Some("linnet.v1.json"),
        ))?;
        let mut publisher = Self {
            socket,
            room: room.to_owned(),
            sequence: 0,
            acknowledged: 0,
            greeted: false,
            received: Vec::new(),
        };
        let head = loop {
            publisher
                .read()
                .context("publisher got no answer to its upgrade")?;
            if let Some(length) = handshake::head_len(&publisher.received) {
                break length;
            }
        };
        handshake::check(&publisher.received[..head]).map_err(anyhow::Error::msg)?;
        publisher.received.drain(..head);
        publisher.frames()?;
        while !publisher.greeted {
            publisher.read().context("publisher got no greeting")?;
            publisher.frames()?;
        }
        Ok(publisher)
    }

    /// Publishes by `schedule` and returns when everything is acknowledged.
    pub fn publish(&mut self, schedule: &Schedule) -> Result<Published> {
        let (begun, before) = (Instant::now(), self.sequence);
        let mut worst = Duration::ZERO;
        let mut out = Vec::new();
        for burst in 0..schedule.bursts() {
            let due = begun + schedule.interval().mul_f64(burst as f64);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            worst = worst.max(due.elapsed());
            out.clear();
            for _ in 0..schedule.burst {
                self.sequence += 1;
                push_publish(&mut out, &self.room, self.sequence, schedule.data_bytes);
            }
            self.socket.write_all(&out).context("cannot publish")?;
            self.drain()?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        while self.acknowledged < self.sequence {
            self.read().with_context(|| {
                format!(
                    "{} of {} publishes acknowledged",
                    self.acknowledged, self.sequence
                )
            })?;
            self.frames()?;
        }
        Ok(Published {
            messages: self.sequence - before,
            seconds,
            worst_lag_ms: worst.as_secs_f64() * 1e3,
        })
    }

    /// Takes what has arrived, without waiting.
    fn drain(&mut self) -> Result<()> {
        self.socket.set_nonblocking(true)?;
        let read = self.read();
        self.socket.set_nonblocking(false)?;
        match read {
            Ok(()) => self.frames(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error).context("publisher lost its connection"),
        }
    }

    fn read(&mut self) -> std::io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        match self.socket.read(&mut buffer)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            read => {
                self.received.extend_from_slice(&buffer[..read]);
                Ok(())
            }
        }
    }

    fn frames(&mut self) -> Result<()> {
        let mut used = 0;
        let mut pongs = Vec::new();
        while let Some(frame) = frames::parse(&self.received[used..])
            .ok()
            .context("the server sent a malformed frame")?
        {
            used += frame.wire;
            let text = || String::from_utf8_lossy(frame.payload).into_owned();
            match frame.opcode {
                Opcode::Ping => frames::push_client_frame(&mut pongs, Opcode::Pong, frame.payload),
                Opcode::Close => bail!("the server closed the publisher: {}", text()),
                Opcode::Text => {
                    let head: Head<'_> =
                        serde_json::from_slice(frame.payload).with_context(text)?;
                    match head.kind {
                        "connected" => self.greeted = true,
                        "ack" => self.acknowledged += 1,
                        "error" => bail!("a publish was refused: {}", text()),
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        self.received.drain(..used);
        self.socket.write_all(&pongs)?;
        Ok(())
    }
}

/// Appends one publish request, masked. `id` is also the message's sequence number.
pub(crate) fn push_publish(out: &mut Vec<u8>, room: &str, id: u64, data_bytes: usize) {
    let data = marker::json_string(
        data_bytes,
        Marker {
            sequence: id,
            sent_ns: monotonic_ns(),
        },
    );
    let mut request = format!(
        r#"{{"type":"publish","id":{id},"room":{},"data":"#,
        serde_json::Value::from(room)
    )
    .into_bytes();
    request.extend_from_slice(&data);
    request.push(b'}');
    frames::push_client_frame(out, Opcode::Text, &request);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_request_is_one_masked_frame_with_the_asked_data() {
        let mut out = Vec::new();
        push_publish(&mut out, "a \"room\"", 7, 128);
        assert_eq!(frames::parse_client(&out), Some((Opcode::Text, out.len())));
        // The masking key is zero, so the payload can be read as it is.
        let request: serde_json::Value = serde_json::from_slice(&out[8..]).unwrap();
        assert_eq!(
            (&request["room"], &request["id"]),
            (&"a \"room\"".into(), &7.into())
        );
        assert_eq!(request["data"].to_string().len(), 128);
        assert_eq!(Marker::find(&out).unwrap().sequence, 7);
    }

    #[test]
    fn a_schedule_counts_whole_bursts() {
        let schedule = Schedule {
            per_second: 20.0,
            burst: 10,
            seconds: 5.0,
            data_bytes: 128,
        };
        assert_eq!((schedule.bursts(), schedule.messages()), (10, 100));
        assert_eq!(schedule.interval(), Duration::from_millis(500));
    }
}
