//! Honest clients: rooms of ten, each with one who says something now and then and nine who hear it, and newcomers.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;

use crate::socket::{Frames, HONEST, PING, PONG, TEXT, frame, open, text};

/// Members of a room.
const ROOM: usize = 10;

/// Between two messages of one speaker.
const PAUSE: Duration = Duration::from_millis(250);

/// How long a message may be under way before it counts as lost: longer than a machine is held up that does other things
/// beside.
const LOST_AFTER: Duration = Duration::from_secs(60);

/// How long somebody who wants to come in tries; as generous.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the crowd saw in some time.
pub struct Seen {
    pub messages: u64,
    pub lost: u64,
    pub p99_ms: f64,
    pub max_ms: f64,
    pub newcomers: usize,
    pub newcomer_p99_ms: f64,
    pub troubles: Vec<String>,
}

impl Seen {
    /// Whether nobody noticed.
    pub fn is_well(&self) -> bool {
        self.lost == 0 && self.troubles.is_empty() && self.messages > 0
    }
}

/// All honest clients, open.
pub struct Crowd {
    gateway: SocketAddr,
    begun: Instant,
    shared: Arc<Shared>,
    speakers: Vec<tokio::sync::Mutex<Speaker>>,
}

struct Speaker {
    room: String,
    writer: Writer,
    said: u64,
}

/// A connection's writing half: what it says, and its answers to pings.
type Writer = Arc<tokio::sync::Mutex<OwnedWriteHalf>>;

#[derive(Default)]
struct Shared {
    /// Messages that each member has not heard yet: room, number, member.
    awaited: Mutex<HashSet<(usize, u64, usize)>>,
    /// Microseconds from saying to hearing.
    heard: Mutex<Vec<u64>>,
    troubles: Mutex<Vec<String>>,
    /// Somebody heard something.
    news: tokio::sync::Notify,
}

impl Crowd {
    /// Opens all connections and joins their rooms.
    pub async fn gather(gateway: SocketAddr, clients: usize) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let shared = Arc::<Shared>::default();
        let mut speakers = Vec::new();
        for room in 0..clients.div_ceil(ROOM) {
            for member in 0..ROOM {
                let name = format!("honest.{room}");
                let stream = open(gateway, HONEST, "")
                    .await
                    .context("an honest client")?;
                let (mut reader, mut writer) = stream.into_split();
                let join = json!({"type": "subscribe", "id": 1, "room": name});
                writer.write_all(&text(&join.to_string())).await?;
                let mut frames = Frames::default();
                loop {
                    match frames.next() {
                        Some((TEXT, payload)) if is_ack(&payload) => break,
                        Some(_) => {}
                        None => {
                            if !frames.read(&mut reader).await? {
                                bail!("an honest client was closed while it joined");
                            }
                        }
                    }
                }
                let writer = Arc::new(tokio::sync::Mutex::new(writer));
                if member == 0 {
                    let (writer, said) = (Arc::clone(&writer), 0);
                    speakers.push(tokio::sync::Mutex::new(Speaker {
                        room: name,
                        writer,
                        said,
                    }));
                }
                let listener = Listener {
                    room,
                    member,
                    writer,
                    begun,
                    shared: Arc::clone(&shared),
                };
                tokio::spawn(listener.hear(frames, reader));
            }
        }
        Ok(Self {
            gateway,
            begun,
            shared,
            speakers,
        })
    }

    /// Talks for so long, and tells how it went once everything was heard or must be given up.
    pub async fn watch(&self, time: Duration) -> anyhow::Result<Seen> {
        take(&self.shared.heard);
        let end = Instant::now() + time;
        let newcomers = Mutex::new(Vec::new());
        let come = async {
            while Instant::now() < end {
                let newcomer = self.newcomer().await;
                newcomers
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(newcomer);
                tokio::time::sleep(PAUSE).await; // their pace, not a wait for anything
            }
        };
        let speak = async {
            let mut tick = tokio::time::interval(PAUSE);
            // What a pause of this process has cost is not made up for: that would be over the rate.
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while Instant::now() < end {
                tick.tick().await;
                for (room, speaker) in self.speakers.iter().enumerate() {
                    let mut speaker = speaker.lock().await;
                    self.say(room, &mut speaker).await?;
                }
            }
            anyhow::Ok(())
        };
        let (spoken, ()) = tokio::join!(speak, come);
        spoken?;
        let all_heard = async {
            loop {
                let news = self.shared.news.notified();
                if self
                    .shared
                    .awaited
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .is_empty()
                {
                    return;
                }
                news.await;
            }
        };
        let _ = tokio::time::timeout(LOST_AFTER, all_heard).await;
        let lost = take(&self.shared.awaited).len() as u64;
        let heard = take(&self.shared.heard);
        let newcomers = take(&newcomers);
        let mut troubles = take(&self.shared.troubles);
        let mut waits = Vec::new();
        for newcomer in newcomers {
            match newcomer {
                Ok(wait) => waits.push(u64::try_from(wait.as_micros())?),
                Err(error) => troubles.push(format!("a newcomer: {error:#}")),
            }
        }
        Ok(Seen {
            messages: heard.len() as u64,
            lost,
            p99_ms: quantile(&heard, 0.99)?,
            max_ms: quantile(&heard, 1.0)?,
            newcomers: waits.len(),
            newcomer_p99_ms: quantile(&waits, 0.99)?,
            troubles,
        })
    }

    async fn say(&self, room: usize, speaker: &mut Speaker) -> anyhow::Result<()> {
        speaker.said += 1;
        let number = speaker.said;
        {
            let mut awaited = self
                .shared
                .awaited
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            awaited.extend((0..ROOM).map(|member| (room, number, member)));
        }
        let at = self.begun.elapsed().as_micros() as u64;
        let message =
            json!({"type": "publish", "room": speaker.room, "data": {"n": number, "at": at}});
        let sent = speaker
            .writer
            .lock()
            .await
            .write_all(&text(&message.to_string()))
            .await;
        sent.with_context(|| format!("the speaker of room {room}"))
    }

    /// Comes in, as often as it takes, and leaves.
    async fn newcomer(&self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        loop {
            let came = tokio::time::timeout(PATIENCE, open(self.gateway, HONEST, "")).await;
            match came.context("not answered within 30 s")? {
                Ok(_) => return Ok(begun.elapsed()),
                Err(error) if begun.elapsed() > PATIENCE => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

/// One member of a room, hearing.
struct Listener {
    room: usize,
    member: usize,
    writer: Writer,
    begun: Instant,
    shared: Arc<Shared>,
}

impl Listener {
    async fn hear(self, mut frames: Frames, mut reader: tokio::net::tcp::OwnedReadHalf) {
        let why = loop {
            while let Some((opcode, payload)) = frames.next() {
                match opcode {
                    TEXT => self.heard(&payload),
                    PING => {
                        // One that can't be sent shows as the connection's end.
                        let _ = self
                            .writer
                            .lock()
                            .await
                            .write_all(&frame(PONG, &payload))
                            .await;
                    }
                    _ => {}
                }
            }
            match frames.read(&mut reader).await {
                Ok(true) => {}
                Ok(false) => break "its connection was ended".to_owned(),
                Err(error) => break error.to_string(),
            }
        };
        let trouble = format!("member {} of room {}: {why}", self.member, self.room);
        self.shared
            .troubles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(trouble);
    }

    fn heard(&self, payload: &[u8]) {
        let Ok(message) = serde_json::from_slice::<Value>(payload) else {
            return;
        };
        match message["type"].as_str() {
            Some("message") => {}
            Some("gap" | "error" | "unsubscribed") => {
                let trouble = format!(
                    "member {} of room {} was told: {message}",
                    self.member, self.room
                );
                self.shared
                    .troubles
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(trouble);
                return;
            }
            _ => return,
        }
        let data = &message["data"];
        if let (Some(number), Some(at)) = (data["n"].as_u64(), data["at"].as_u64()) {
            let now = self.begun.elapsed().as_micros() as u64;
            let mut awaited = self
                .shared
                .awaited
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            awaited.remove(&(self.room, number, self.member));
            drop(awaited);
            let mut heard = self
                .shared
                .heard
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            heard.push(now.saturating_sub(at));
            drop(heard);
            self.shared.news.notify_one();
        }
    }
}

fn is_ack(payload: &[u8]) -> bool {
    serde_json::from_slice::<Value>(payload).is_ok_and(|frame| frame["type"] == "ack")
}

fn take<T: Default>(from: &Mutex<T>) -> T {
    std::mem::take(&mut from.lock().unwrap_or_else(PoisonError::into_inner))
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn quantile(microseconds: &[u64], of: f64) -> anyhow::Result<f64> {
    let mut histogram = Histogram::<u64>::new(3)?;
    for value in microseconds {
        histogram.record(*value)?;
    }
    Ok(histogram.value_at_quantile(of) as f64 / 1000.0)
}
