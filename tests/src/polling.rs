//! A Socket.IO client made by hand, over long-polling: packets as they stand in bodies.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::task::JoinHandle;

use crate::http::{self, Answer};
use crate::raw::{Raw, text};
use crate::socketio::{SocketIo, acknowledged, event_of};

/// Where such clients begin.
pub const PATH: &str = "/socket.io/?EIO=4&transport=polling";

/// Stands between packets.
pub const SEPARATOR: char = '\u{1e}';

/// A Socket.IO client that polls.
#[derive(Debug)]
pub struct Polling {
    addr: SocketAddr,
    /// Where it began.
    base: String,
    /// What the open packet said.
    pub opened: Value,
    /// What its requests name.
    pub sid: String,
    /// Packets that were polled and not asked for yet.
    earlier: VecDeque<String>,
    ids: u64,
}

impl Polling {
    /// Opens a session; it is in no namespace yet.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn open(addr: SocketAddr) -> Self {
        Self::open_at(addr, PATH).await
    }

    /// Opens a session at another address of Engine.IO.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn open_at(addr: SocketAddr, base: &str) -> Self {
        let answer = http::get(addr, base).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let json = answer.body.strip_prefix('0').expect("an open packet");
        let opened: Value = serde_json::from_str(json).unwrap();
        Self {
            addr,
            base: base.to_owned(),
            sid: opened["sid"].as_str().unwrap().to_owned(),
            opened,
            earlier: VecDeque::new(),
            ids: 0,
        }
    }

    /// Opens a session and enters `/`.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn connect(addr: SocketAddr) -> Self {
        let mut client = Self::open(addr).await;
        client.say("40").await;
        let packet = client.packet().await;
        assert!(packet.starts_with("40{"), "{packet}");
        assert_eq!(client.event().await.0, "connected");
        client
    }

    /// Sends what follows to this gateway.
    pub fn reach(&mut self, addr: SocketAddr) {
        self.addr = addr;
    }

    /// The address of its polls and payloads.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}&sid={}", self.base, self.sid)
    }

    /// The address of a WebSocket that it changes to.
    #[must_use]
    pub fn socket_path(&self) -> String {
        self.path()
            .replace("transport=polling", "transport=websocket")
    }

    /// Polls once.
    pub async fn poll(&self) -> Answer {
        http::get(self.addr, &self.path()).await
    }

    /// Polls once, beside whatever else the test does.
    #[must_use]
    pub fn begin_poll(&self) -> JoinHandle<Answer> {
        let (addr, path) = (self.addr, self.path());
        tokio::spawn(async move { http::get(addr, &path).await })
    }

    /// Sends packets in one body.
    pub async fn post(&self, body: &str) -> Answer {
        let kind = "Content-Type: text/plain;charset=UTF-8\r\n";
        http::post(self.addr, &self.path(), kind, body).await
    }

    /// Sends packets in one body, which are taken.
    ///
    /// # Panics
    /// When they are not.
    pub async fn say(&self, body: &str) {
        let answer = self.post(body).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{body}");
    }

    /// The next packet. Pings are answered.
    ///
    /// # Panics
    /// When there is no session any more.
    pub async fn packet(&mut self) -> String {
        loop {
            while let Some(packet) = self.earlier.pop_front() {
                match packet.as_str() {
                    "2" => self.say("3").await,
                    _ => return packet,
                }
            }
            let answer = self.poll().await;
            assert_eq!(answer.status, 200, "{answer:?}");
            self.heard(&answer.body);
        }
    }

    /// Keeps the packets of a poll's answer.
    pub fn heard(&mut self, body: &str) {
        self.earlier
            .extend(body.split(SEPARATOR).map(str::to_owned));
    }

    /// Packets that were polled and not asked for yet.
    #[must_use]
    pub fn packets(&self) -> VecDeque<String> {
        self.earlier.clone()
    }

    /// The next packet, an event of `/`: its name and its arguments.
    ///
    /// # Panics
    /// When it is none.
    pub async fn event(&mut self) -> (String, Vec<Value>) {
        event_of(&self.packet().await, "/")
    }

    /// Emits to `/` and gives what is acknowledged. What comes meanwhile is kept.
    ///
    /// # Panics
    /// When the session ends before.
    pub async fn ask(&mut self, event: Value) -> Value {
        self.ids += 1;
        self.say(&format!("42{}{event}", self.ids)).await;
        let begin = format!("43{}[", self.ids);
        let mut others = VecDeque::new();
        loop {
            let packet = self.packet().await;
            if let Some(argument) = acknowledged(&packet, &begin) {
                others.append(&mut self.earlier);
                self.earlier = others;
                return argument;
            }
            others.push_back(packet);
        }
    }

    /// Changes to a WebSocket, while no poll is under way.
    ///
    /// # Panics
    /// When that is refused.
    pub async fn change(self) -> SocketIo {
        let mut raw = self.probe().await;
        raw.send(&text("5")).await;
        SocketIo::over(raw, self.opened, self.earlier)
    }

    /// Begins to change to a WebSocket: packets get through there.
    ///
    /// # Panics
    /// When that is refused.
    pub async fn probe(&self) -> Raw {
        let mut raw = Raw::tcp(self.addr).await;
        let answer = raw.upgrade(&self.socket_path(), "").await;
        assert_eq!(answer.status, 101, "{answer:?}");
        raw.send(&text("2probe")).await;
        assert_eq!(raw.read_text().await, "3probe");
        raw
    }
}
