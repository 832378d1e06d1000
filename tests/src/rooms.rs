//! A stand-in for a gateway's HTTP API: rooms that keep what is published to them, know ids for a time, and misbehave when
//! they are told to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::outbox::KEY;
use crate::wait::until;

/// How it answers a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Takes it.
    Well,
    /// Does not take it, and says so.
    Away,
    /// Takes it, and says that it does not know.
    Unsure,
    /// Takes it, and never answers.
    Silent,
}

/// Rooms and their door; clones are the same.
#[derive(Debug, Clone)]
pub struct Rooms {
    /// Where the API is.
    pub address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    manner: Manner,
    /// How long ids are known.
    window: Duration,
    rooms: HashMap<String, Vec<Stored>>,
    known: HashMap<(String, String), Instant>,
    /// Publishes that came, those that were not taken too.
    asked: usize,
}

/// A message in a room.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its id.
    pub id: String,
    /// The kind of message.
    pub event: Option<String>,
    /// Its content.
    pub data: Value,
    /// The content as it came.
    pub text: String,
    timestamp: u64,
}

impl Rooms {
    /// Opens the door. Ids are known for two minutes.
    ///
    /// # Panics
    /// When no port is to be had.
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared {
            manner: Manner::Well,
            window: Duration::from_secs(120),
            rooms: HashMap::new(),
            known: HashMap::new(),
            asked: 0,
        };
        let shared = Arc::new(Mutex::new(shared));
        let rooms = Self { address, shared };
        let router = Router::new()
            .route("/v1/publish", post(publish))
            .route("/v1/history", get(history))
            .with_state(rooms.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        rooms
    }

    /// Behaves so from now on.
    pub fn behave(&self, manner: Manner) {
        self.lock().manner = manner;
    }

    /// Knows no id any more, as after a long time; and knows new ones so long.
    pub fn forget(&self, window: Duration) {
        let mut shared = self.lock();
        shared.known.clear();
        shared.window = window;
    }

    /// Puts messages of somebody else into a room.
    pub fn crowd(&self, name: &str, count: usize) {
        let mut shared = self.lock();
        let room = shared.rooms.entry(name.to_owned()).or_default();
        room.extend((0..count).map(|number| Stored {
            id: format!("other-{number}"),
            event: None,
            data: json!(number),
            text: number.to_string(),
            timestamp: now(),
        }));
    }

    /// How many publishes came.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.lock().asked
    }

    /// What is in a room, in order.
    #[must_use]
    pub fn room(&self, name: &str) -> Vec<Stored> {
        self.lock().rooms.get(name).cloned().unwrap_or_default()
    }

    /// Awaits that a room holds `count` messages; gives their contents.
    ///
    /// # Panics
    /// When it holds more.
    pub async fn holds(&self, name: &str, count: usize) -> Vec<Value> {
        let all = until((name, "holds", count), || async {
            let room = self.room(name);
            (room.len() >= count).then_some(room)
        })
        .await;
        assert_eq!(all.len(), count, "{name} holds more");
        all.into_iter().map(|message| message.data).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_millis() as u64
}

fn problem(status: u16, code: &str) -> Response {
    let body =
        json!({"title": code, "status": status, "detail": format!("it says {code}"), "code": code});
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    (
        StatusCode::from_u16(status).unwrap(),
        kind,
        body.to_string(),
    )
        .into_response()
}

fn is_allowed(headers: &HeaderMap) -> bool {
    headers
        .get(header::AUTHORIZATION)
        .is_some_and(|value| value == &format!("Bearer {KEY}"))
}

async fn publish(State(rooms): State<Rooms>, headers: HeaderMap, body: String) -> Response {
    if !is_allowed(&headers) {
        return problem(401, "unauthenticated");
    }
    let request: Value = serde_json::from_str(&body).unwrap();
    let name = request["room"].as_str().unwrap().to_owned();
    let id = request["message_id"].as_str().unwrap().to_owned();
    let (manner, ack) = {
        let mut shared = rooms.lock();
        shared.asked += 1;
        if shared.manner == Manner::Away {
            return problem(503, "unavailable");
        }
        if name.is_empty() || name.len() > 256 {
            return problem(400, "bad_room");
        }
        let key = (name.clone(), id.clone());
        let window = shared.window;
        let known = shared
            .known
            .get(&key)
            .is_some_and(|at| at.elapsed() < window);
        if !known {
            shared.known.insert(key, Instant::now());
            let raw: HashMap<String, Box<serde_json::value::RawValue>> =
                serde_json::from_str(&body).unwrap();
            shared.rooms.entry(name.clone()).or_default().push(Stored {
                id,
                event: request["event"].as_str().map(ToOwned::to_owned),
                data: request["data"].clone(),
                text: raw["data"].get().to_owned(),
                timestamp: now(),
            });
        }
        let offset = shared.rooms[&name].len();
        (
            shared.manner,
            json!({"room": name, "epoch": "e", "offset": offset, "duplicate": known}),
        )
    };
    match manner {
        Manner::Unsure => problem(503, "outcome_unknown"),
        Manner::Silent => std::future::pending().await,
        _ => ack.to_string().into_response(),
    }
}

async fn history(
    State(rooms): State<Rooms>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    if !is_allowed(&headers) {
        return problem(401, "unauthenticated");
    }
    let before = query
        .get("before")
        .map_or(usize::MAX, |before| before.parse().unwrap());
    let limit: usize = query["limit"].parse().unwrap();
    let shared = rooms.lock();
    let all = shared
        .rooms
        .get(&query["room"])
        .map_or(&[][..], Vec::as_slice);
    let end = all.len().min(before.saturating_sub(1));
    let start = end.saturating_sub(limit);
    let messages = all[start..end]
        .iter()
        .zip(start + 1..)
        .map(|(message, offset)| {
            json!({"offset": offset, "data": message.data, "timestamp": message.timestamp})
        });
    let messages: Vec<Value> = messages.collect();
    json!({"epoch": "e", "messages": messages, "more": start > 0})
        .to_string()
        .into_response()
}
