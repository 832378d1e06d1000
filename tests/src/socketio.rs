//! A Socket.IO client made by hand, over WebSocket: packets as they are on the wire.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::Value;

use crate::raw::{Heard, Raw, frame, op, text};

/// Where such clients connect.
pub const PATH: &str = "/socket.io/?EIO=4&transport=websocket";

/// A Socket.IO client.
#[derive(Debug)]
pub struct SocketIo {
    /// The connection, for what no client would send.
    pub raw: Raw,
    /// What the open packet said.
    pub opened: Value,
    /// Packets that came while an acknowledgement was awaited.
    earlier: VecDeque<String>,
    ids: u64,
    greeted: bool,
}

impl SocketIo {
    /// Opens a session; it is in no namespace yet.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn open(addr: SocketAddr) -> Self {
        let mut raw = Raw::tcp(addr).await;
        let answer = raw.upgrade(PATH, "").await;
        assert_eq!(answer.status, 101, "{answer:?}");
        let mut client = Self {
            raw,
            opened: Value::Null,
            earlier: VecDeque::new(),
            ids: 0,
            greeted: false,
        };
        let open = client.packet().await;
        let json = open.strip_prefix('0').expect("an open packet");
        client.opened = serde_json::from_str(json).unwrap();
        client
    }

    /// A session that goes on over this connection, and these packets of it that came before.
    #[must_use]
    pub fn over(raw: Raw, opened: Value, earlier: VecDeque<String>) -> Self {
        Self {
            raw,
            opened,
            earlier,
            ids: 1 << 20, // others than it had before
            greeted: true,
        }
    }

    /// Opens a session and enters `/`.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn connect(addr: SocketAddr) -> Self {
        let mut client = Self::open(addr).await;
        client.enter("/", "").await;
        client
    }

    /// Enters a namespace, with this JSON as `auth`; passes over the greeting.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn enter(&mut self, namespace: &str, auth: &str) {
        let named = named(namespace);
        self.say(&format!("40{named}{auth}")).await;
        let packet = self.packet().await;
        assert!(packet.starts_with(&format!("40{named}{{")), "{packet}");
        if !std::mem::replace(&mut self.greeted, true) {
            let (name, _) = self.event_in(namespace).await;
            assert_eq!(name, "connected");
        }
    }

    /// Sends a packet's text.
    pub async fn say(&mut self, packet: &str) {
        self.raw.send(&text(packet)).await;
    }

    /// Sends bytes that belong to the packet before.
    pub async fn say_bytes(&mut self, bytes: &[u8]) {
        self.raw.send(&frame(0x80 | op::BINARY, bytes)).await;
    }

    /// The next packet's text. Pings are answered.
    ///
    /// # Panics
    /// When something else comes, or the end.
    pub async fn packet(&mut self) -> String {
        if let Some(packet) = self.earlier.pop_front() {
            return packet;
        }
        self.fresh().await
    }

    async fn fresh(&mut self) -> String {
        loop {
            match self.raw.read().await {
                Heard::Frame(frame) if frame.first == 0x80 | op::TEXT => {
                    let packet = String::from_utf8(frame.payload).unwrap();
                    match packet.as_str() {
                        "2" => self.say("3").await,
                        _ => return packet,
                    }
                }
                other => panic!("expected a packet, got {other:?}"),
            }
        }
    }

    /// The bytes that belong to the packet before.
    ///
    /// # Panics
    /// When something else comes.
    pub async fn bytes(&mut self) -> Vec<u8> {
        match self.raw.read().await {
            Heard::Frame(frame) if frame.first == 0x80 | op::BINARY => frame.payload,
            other => panic!("expected bytes, got {other:?}"),
        }
    }

    /// The next packet, an event of `/`: its name and its arguments.
    ///
    /// # Panics
    /// When it is none.
    pub async fn event(&mut self) -> (String, Vec<Value>) {
        self.event_in("/").await
    }

    /// [`Self::event`] of a namespace.
    ///
    /// # Panics
    /// When it is none.
    pub async fn event_in(&mut self, namespace: &str) -> (String, Vec<Value>) {
        event_of(&self.packet().await, namespace)
    }

    /// Emits to `/` and gives what is acknowledged.
    ///
    /// # Panics
    /// When the connection ends before.
    pub async fn ask(&mut self, event: Value) -> Value {
        self.ask_in("/", event).await
    }

    /// [`Self::ask`] in a namespace.
    ///
    /// # Panics
    /// When the connection ends before.
    pub async fn ask_in(&mut self, namespace: &str, event: Value) -> Value {
        self.ids += 1;
        let (named, id) = (named(namespace), self.ids);
        self.say(&format!("42{named}{id}{event}")).await;
        self.acknowledged(&format!("43{named}{id}[")).await
    }

    /// The argument of an acknowledgement that begins so.
    async fn acknowledged(&mut self, begin: &str) -> Value {
        loop {
            let packet = self.fresh().await;
            if let Some(argument) = acknowledged(&packet, begin) {
                return argument;
            }
            self.earlier.push_back(packet);
        }
    }
}

/// The name and the arguments of an event of a namespace.
///
/// # Panics
/// When the packet is none.
pub(crate) fn event_of(packet: &str, namespace: &str) -> (String, Vec<Value>) {
    let named = named(namespace);
    let json = [format!("42{named}"), format!("451-{named}")]
        .iter()
        .find_map(|begin| packet.strip_prefix(begin.as_str()))
        .unwrap_or_else(|| panic!("an event of {namespace}: {packet}"));
    let mut arguments: Vec<Value> = serde_json::from_str(json).unwrap();
    let name = arguments.remove(0).as_str().unwrap().to_owned();
    (name, arguments)
}

/// The argument of an acknowledgement, if the packet is the one that begins so.
pub(crate) fn acknowledged(packet: &str, begin: &str) -> Option<Value> {
    let json = packet
        .starts_with(begin)
        .then(|| &packet[begin.len() - 1..])?;
    let mut arguments: Vec<Value> = serde_json::from_str(json).unwrap();
    assert_eq!(arguments.len(), 1, "{packet}");
    Some(arguments.remove(0))
}

/// A namespace as packets write it.
fn named(namespace: &str) -> String {
    match namespace {
        "/" => String::new(),
        name => format!("{name},"),
    }
}
