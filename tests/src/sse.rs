//! What tests of Server-Sent Events share.

use serde_json::{Value, json};

use crate::events::Events;
use crate::gateway::Gateway;
use crate::http::{self, Answer};
use crate::manifest::Manifest;

/// The header of a message in JSON.
pub const JSON: &str = "Content-Type: application/json\r\n";

/// A channel with streams and history, except in rooms called `live.…`.
#[must_use]
pub fn manifest() -> Manifest {
    Manifest::unhurried()
        .history(1000)
        .spec(enabled())
        .room(json!({"match": "live.*", "history": "Disabled"}))
}

/// What switches streams on.
#[must_use]
pub fn enabled() -> Value {
    json!({"transports": {"serverSentEvents": {"mode": "Enabled"}}})
}

/// A stream that has been greeted and knows where it is.
///
/// # Panics
/// When it is refused.
pub async fn follow(gateway: &Gateway, query: &str) -> Events {
    let mut events = Events::open(gateway.public, query, "").await.unwrap();
    assert!(events.next_of("connected").await["gateway"].is_string());
    events
        .until("a position", |events| events.last_event_id.is_some())
        .await;
    events
}

/// A stream that goes on from where another was.
///
/// # Panics
/// When it is refused.
pub async fn come_back(gateway: &Gateway, query: &str, from: &Events) -> Events {
    let id = from.last_event_id.clone().unwrap();
    let header = format!("Last-Event-ID: {id}\r\n");
    let mut events = Events::open(gateway.public, query, &header).await.unwrap();
    events.next_of("connected").await;
    events
}

/// Publishes by POST.
pub async fn post(gateway: &Gateway, query: &str, headers: &str, body: &str) -> Answer {
    http::post(gateway.public, &format!("/sse?{query}"), headers, body).await
}

/// The status and code of a problem.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn code(answer: &Answer) -> (u16, String) {
    let problem = answer.json();
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(problem["status"], answer.status);
    (answer.status, problem["code"].as_str().unwrap().to_owned())
}

/// The status and code that a stream is refused with.
///
/// # Panics
/// When it is not.
pub async fn refused(gateway: &Gateway, query: &str, headers: &str) -> (u16, String) {
    let answer = Events::open(gateway.public, query, headers).await;
    code(&answer.unwrap_err())
}
