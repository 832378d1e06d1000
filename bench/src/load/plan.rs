//! What a swarm is asked for, and what it answers.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{
    frames::{self, Opcode},
    handshake,
    polling::Poller,
    socketio,
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
    /// Socket.IO 5 over WebSocket: enters the main namespace, then joins.
    SocketIo,
    /// The same by long-polling.
    Polling,
}

/// How a group's connections meet in rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rooms {
    /// All in the one that the plan names.
    One,
    /// In turn in so many, named `ROOM-0`, `ROOM-1`, …
    Spread(usize),
    /// Each in so many of its own, of the same names.
    Own(usize),
}

/// A position in a room's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// Of the store.
    pub epoch: String,
    /// Of the last message that is known.
    pub offset: u64,
}

/// A group of like connections and how to open them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// Where to.
    pub address: SocketAddr,
    /// What they speak.
    pub protocol: Protocol,
    /// What they say who they are by, in turn; empty: they are anonymous.
    pub tokens: Vec<String>,
    /// Room that they subscribe to, or the first part of the names of several.
    pub room: String,
    /// How they meet in rooms.
    pub rooms: Rooms,
    /// They are ready with the greeting and subscribe when told: JSON only.
    pub hold: bool,
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
            tokens: Vec::new(),
            room: room.to_owned(),
            rooms: Rooms::One,
            hold: false,
            connections,
            in_flight: 64,
            per_second: 0.0,
            verify_every: 1,
            close_when_ready: false,
        }
    }

    /// The handshake of the connection of this number, from 0.
    pub(super) fn upgrade(&self, number: usize) -> Vec<u8> {
        let host = self.address.to_string();
        match self.protocol {
            Protocol::Json => {
                let token = self.tokens.get(number % self.tokens.len().max(1));
                let offer = token.map(|token| format!("linnet.v1.json, bearer.{token}"));
                let offer = offer.as_deref().unwrap_or("linnet.v1.json");
                handshake::request(&host, "/ws", Some(offer))
            }
            Protocol::Plain => handshake::request(
                &host,
                &format!("/ws?protocol=plain&room={}", self.room),
                None,
            ),
            Protocol::SocketIo => handshake::request(&host, socketio::PATH, None),
            Protocol::Polling => Poller::open(self),
        }
    }

    /// Subscriptions that each connection waits for until it is ready.
    pub(super) fn subscriptions(&self) -> usize {
        match self.rooms {
            _ if self.hold => 0,
            Rooms::Own(rooms) => rooms,
            Rooms::One | Rooms::Spread(_) => 1,
        }
    }

    /// What the connection of this number, from 0, subscribes with.
    pub(super) fn subscribe(&self, number: usize, since: Option<&Since>) -> Vec<u8> {
        let mut out = Vec::new();
        for (index, room) in self.rooms_of(number).iter().enumerate() {
            let request = match self.protocol {
                Protocol::SocketIo | Protocol::Polling => socketio::join(index + 1, room),
                Protocol::Json | Protocol::Plain => subscribe(index + 1, room, since),
            };
            frames::push_client_frame(&mut out, Opcode::Text, request.as_bytes());
        }
        out
    }

    /// The packets by which the connection of this number joins.
    pub(super) fn joins(&self, number: usize) -> Vec<String> {
        let rooms = self.rooms_of(number);
        let rooms = rooms.iter().enumerate();
        rooms
            .map(|(index, room)| socketio::join(index + 1, room))
            .collect()
    }

    fn rooms_of(&self, number: usize) -> Vec<String> {
        match self.rooms {
            Rooms::One => vec![self.room.clone()],
            Rooms::Spread(rooms) => vec![format!("{}-{}", self.room, number % rooms)],
            Rooms::Own(rooms) => (number * rooms..(number + 1) * rooms)
                .map(|room| format!("{}-{room}", self.room))
                .collect(),
        }
    }
}

fn subscribe(id: usize, room: &str, since: Option<&Since>) -> String {
    let mut request = serde_json::json!({"type": "subscribe", "id": id, "room": room});
    if let Some(since) = since {
        request["since"] = serde_json::json!(since);
    }
    request.to_string()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(plan: &Plan, number: usize, since: Option<&Since>) -> Vec<serde_json::Value> {
        let mut bytes = plan.subscribe(number, since);
        let mut requests = Vec::new();
        while let Some((_, length)) = frames::parse_client(&bytes) {
            let frame: Vec<u8> = bytes.drain(..length).collect();
            let start = frame.iter().position(|&byte| byte == b'{').unwrap();
            requests.push(serde_json::from_slice(&frame[start..]).unwrap());
        }
        requests
    }

    fn plan(rooms: Rooms) -> Plan {
        let address = "127.0.0.1:1".parse().unwrap();
        Plan {
            rooms,
            ..Plan::new(address, Protocol::Json, "r", 10)
        }
    }

    #[test]
    fn connections_meet_in_rooms_as_the_plan_says() {
        let rooms = |rooms, number| {
            let plan = plan(rooms);
            let all = requests(&plan, number, None);
            assert_eq!(all.len(), plan.subscriptions());
            all.iter()
                .map(|request| request["room"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(rooms(Rooms::One, 7), ["r"]);
        assert_eq!(rooms(Rooms::Spread(4), 7), ["r-3"]);
        assert_eq!(rooms(Rooms::Own(2), 7), ["r-14", "r-15"]);
    }

    #[test]
    fn a_subscription_may_begin_at_a_position() {
        let since = Since {
            epoch: "e".to_owned(),
            offset: 5,
        };
        let all = requests(&plan(Rooms::One), 0, Some(&since));
        assert_eq!(
            all[0]["since"],
            serde_json::json!({"epoch": "e", "offset": 5})
        );
    }
}
