//! What a swarm is asked for, and what it answers.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{
    frames::{self, Opcode},
    handshake,
    track::Latency,
};

/// What connections speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// `linnet.v1.json`: greeting, subscribe, ack.
    Json,
    /// `linnet.v1.plain`, and the references that only send: ready with the upgrade.
    Plain,
}

/// A group of like connections and how to open them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// Where to.
    pub address: SocketAddr,
    /// What they speak.
    pub protocol: Protocol,
    /// Room that they subscribe to.
    pub room: String,
    /// How many.
    pub connections: usize,
    /// How many are on their way at a time.
    pub in_flight: usize,
    /// Opened per second; 0: as fast as `in_flight` allows.
    pub per_second: f64,
    /// Every how many-th connection checks sequence numbers and delays; 0: none.
    pub verify_every: usize,
    /// Close each connection as soon as it is ready (connection churn).
    pub close_when_ready: bool,
}

impl Plan {
    /// A plan for `connections` in `room` that opens as fast as is gentle and checks every connection.
    pub fn new(address: SocketAddr, protocol: Protocol, room: &str, connections: usize) -> Self {
        Self {
            address,
            protocol,
            room: room.to_owned(),
            connections,
            in_flight: 64,
            per_second: 0.0,
            verify_every: 1,
            close_when_ready: false,
        }
    }

    pub(super) fn upgrade(&self) -> Vec<u8> {
        let host = self.address.to_string();
        match self.protocol {
            Protocol::Json => handshake::request(&host, "/ws", Some("linnet.v1.json")),
            Protocol::Plain => handshake::request(
                &host,
                &format!("/ws?protocol=plain&room={}", self.room),
                None,
            ),
        }
    }

    pub(super) fn subscribe(&self) -> Vec<u8> {
        let request =
            serde_json::json!({"type": "subscribe", "id": 1, "room": self.room}).to_string();
        let mut out = Vec::new();
        frames::push_client_frame(&mut out, Opcode::Text, request.as_bytes());
        out
    }
}

/// Bytes that a server sent on the way to a ready connection; those of the latest one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lengths {
    /// Head of the 101 answer.
    pub head: usize,
    /// Greeting frame.
    pub greeting: usize,
    /// Frame that acknowledges the subscription.
    pub ack: usize,
}

/// How opening went.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Opened {
    /// Names the group from now on.
    pub group: usize,
    /// Connections that became ready.
    pub ready: u64,
    /// What the server sent to each.
    pub lengths: Lengths,
    /// From connect to ready, per connection.
    pub setup: Latency,
    /// Duration of the whole in seconds.
    pub seconds: f64,
}

/// What a group received since the last reset.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    /// Open connections.
    pub connections: u64,
    /// Messages received by all of them.
    pub messages: u64,
    /// Their bytes on the wire, frame headers included.
    pub bytes: u64,
    /// Least messages that one connection received.
    pub fewest: u64,
    /// Most messages that one connection received.
    pub most: u64,
    /// Skipped sequence numbers, on the checking connections, since they were opened (as the next two).
    pub lost: u64,
    /// Messages after a later one.
    pub reordered: u64,
    /// Messages that came twice.
    pub duplicated: u64,
    /// Frames that were neither messages nor control frames.
    pub others: u64,
    /// Protocol pings.
    pub pings: u64,
    /// From send to receipt, on the checking connections.
    pub latency: Latency,
    /// The first few failures; a group with failures has no valid result.
    pub failures: Vec<String>,
    /// Number of failures.
    pub failed: u64,
}
