//! One stream of events: a session on a shard, told to a client that only listens.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::cursor;
use super::event;
use super::problem::Problem;
use super::rooms::{Rooms, Told};
use crate::transport::http::Public;
use crate::transport::shard::wire::{Payload, Wire, WireFrame};

/// How long the answer to a request waits for the session's answers about its rooms.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);

/// Bytes that are written at once, about.
const WRITTEN_AT_ONCE: usize = 16 * 1024;

/// How long a client waits before it comes back, in milliseconds, where nothing else is said.
const RETRY: std::ops::RangeInclusive<u64> = 2000..=4000;
/// The same after a close that says: come back at once.
const AT_ONCE: std::ops::RangeInclusive<u64> = 0..=1000;
/// The same after one that says: back off.
const BACK_OFF: std::ops::RangeInclusive<u64> = 5000..=15_000;

/// Wait before a room is asked for again, where the gateway does not say.
const AGAIN: Duration = Duration::from_secs(1);

/// A stream, and what of it is on its way.
pub(super) struct Stream {
    wire: Wire,
    rooms: Rooms,
    public: Arc<Public>,
    /// A request that is not sent yet.
    request: Option<String>,
    /// Not written yet.
    out: Vec<u8>,
    /// No room is asked for before that.
    not_before: Instant,
    /// Nothing follows what is in `out`.
    over: bool,
    /// How the gateway ended it, before it began.
    closed: Option<(u16, Box<str>)>,
}

impl Stream {
    pub(super) fn new(wire: Wire, rooms: Rooms, public: Arc<Public>) -> Self {
        let mut stream = Self {
            wire,
            rooms,
            public,
            request: None,
            out: Vec::new(),
            not_before: Instant::now(),
            over: false,
            closed: None,
        };
        retry(RETRY, &mut stream.out);
        stream
    }

    /// Subscribes, until the session has answered about every room or takes long.
    ///
    /// # Errors
    /// Where none of the rooms may be had, or there is no session any more.
    pub(super) async fn begin(&mut self) -> Result<(), Problem> {
        let answers = async {
            while !self.rooms.all_answered() && !self.over {
                self.turn().await;
            }
        };
        let _ = timeout(ANSWERED_WITHIN, answers).await; // the rest is told in the stream
        if let Some((code, reason)) = &self.closed {
            let detail = "the session has ended at once";
            return Err(Problem::of_close(*code, reason, detail));
        }
        match self.rooms.refusal() {
            Some(lost) => Err(Problem::of_code(&lost.code, lost.message)),
            None => Ok(()),
        }
    }

    /// Tells everything, piece by piece, until the end.
    pub(super) async fn run(mut self, pieces: mpsc::Sender<Bytes>) {
        loop {
            let more = self.collect();
            if !self.out.is_empty() {
                let piece = Bytes::from(std::mem::take(&mut self.out));
                if pieces.send(piece).await.is_err() {
                    return; // nobody reads any more
                }
            }
            if self.over {
                return;
            }
            if !more {
                let interval = self.public.policy().channel().heartbeat.interval;
                let beat = Instant::now() + interval;
                tokio::select! {
                    biased;
                    () = self.turn() => {}
                    () = sleep_until(beat) => event::comment("", &mut self.out),
                }
            }
        }
    }

    /// Asks for what is to be asked for, and takes what comes, at least one frame. Nothing is lost where it is given up.
    async fn turn(&mut self) {
        loop {
            let now = Instant::now();
            loop {
                if self.request.is_none() && self.not_before <= now {
                    self.request = self.rooms.request();
                }
                let Some(request) = self.request.clone() else {
                    break;
                };
                if self.wire.send_text(request).await.is_err() {
                    break; // the close is on its way
                }
                self.request = None;
            }
            let wait = self.not_before;
            tokio::select! {
                biased;
                frame = self.wire.next() => {
                    self.heed(frame);
                    break;
                }
                () = sleep_until(wait), if wait > now => {}
            }
        }
        while !self.over
            && self.out.len() < WRITTEN_AT_ONCE
            && self.rooms.held() < WRITTEN_AT_ONCE
            && let Some(frame) = self.wire.next().now_or_never()
        {
            self.heed(frame);
        }
    }

    /// Puts what may go out into `out`; gives whether there is more of it than is written at once.
    fn collect(&mut self) -> bool {
        while self.out.len() < WRITTEN_AT_ONCE {
            let Some(next) = self.rooms.next() else {
                if self.rooms.all_gone() && !self.over {
                    self.end(4003, "forbidden"); // nothing can come any more
                }
                return false;
            };
            let id = if next.moves {
                self.rooms.cursor()
            } else {
                None
            };
            match next.data {
                Some(data) => event::event(next.name, id.as_deref(), &data, &mut self.out),
                None => {
                    if let Some(id) = id {
                        event::position(&id, &mut self.out);
                    }
                }
            }
        }
        true
    }

    fn heed(&mut self, frame: Option<WireFrame>) {
        match frame {
            Some(WireFrame::Text(payload)) => self.told(payload),
            Some(WireFrame::Binary(_)) => {} // this protocol has none
            Some(WireFrame::Close { code, reason }) => {
                self.end(code, &reason);
                self.closed = Some((code, reason));
            }
            None => {
                self.over = true;
                self.closed = Some((1006, "internal".into()));
            }
        }
    }

    fn told(&mut self, payload: Payload) {
        let bytes = payload.clone();
        let Some(told) = Told::read(&bytes) else {
            return; // the gateway writes none that can't be read
        };
        match &*told.kind {
            "ack" => self.rooms.subscribed(&told, &payload),
            "message" => self.rooms.message(&told, payload),
            "gap" => self.rooms.gap(&told, payload),
            "unsubscribed" => self.rooms.unsubscribed(&told),
            "presence" => self.rooms.other("presence", &told, payload),
            "error" if passes(told.code.as_deref().unwrap_or_default()) => {
                let wait = told.retry_after_ms.map_or(AGAIN, Duration::from_millis);
                self.not_before = self.not_before.max(Instant::now() + wait);
                self.rooms.postponed(&told);
            }
            "error" => self.rooms.refused(&told),
            "connected" => event::event(Some("connected"), None, &payload, &mut self.out),
            "direct" => event::event(Some("direct"), None, &payload, &mut self.out),
            "token_expiring" => {
                event::event(Some("token_expiring"), None, &payload, &mut self.out);
            }
            "goaway" => {
                // It can come back elsewhere at once and loses nothing: there is no reason to stay until the close.
                event::event(Some("goaway"), None, &payload, &mut self.out);
                retry(AT_ONCE, &mut self.out);
                self.over = true;
                self.closed = Some((1012, "draining".into()));
            }
            _ => {}
        }
    }

    /// Tells how the gateway ended it, and when to come back, if at all.
    fn end(&mut self, code: u16, reason: &str) {
        self.over = true;
        let id = match code {
            4000..=4099 => Some(cursor::end(code)),
            4200..=4299 | 1012 => {
                retry(AT_ONCE, &mut self.out);
                None
            }
            _ => {
                retry(BACK_OFF, &mut self.out);
                None
            }
        };
        let told = json!({"type": "close", "code": code, "reason": reason}).to_string();
        event::event(Some("close"), id.as_deref(), told.as_bytes(), &mut self.out);
    }
}

fn retry(milliseconds: std::ops::RangeInclusive<u64>, out: &mut Vec<u8>) {
    let wait = Duration::from_millis(rand::random_range(milliseconds));
    event::retry(wait, out);
}

/// Whether a subscribe that was refused with this code may be let through later.
fn passes(code: &str) -> bool {
    matches!(
        code,
        "rate_limited" | "overloaded" | "unavailable" | "broker_unauthorized"
    )
}
