//! What a client does that outlives its connections: nothing here takes the end of one for a failure.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::Client;
use crate::wait::{STEP, within};

/// How long a gateway may take to greet, until it is taken for gone.
const GREETING: Duration = Duration::from_secs(5);

/// Whether an `error` frame tells of something that passes: the request is to be repeated.
#[must_use]
pub fn is_passing(error: &Value) -> bool {
    const PASSING: [&str; 9] = [
        "unavailable",
        "outcome_unknown",
        "overloaded",
        "rate_limited",
        "storage_full",
        "storage_limit",
        "no_storage",
        "broker_unauthorized",
        "broker_denied",
    ];
    PASSING.iter().any(|code| error["code"] == *code)
}

impl Client {
    /// [`Self::open`] where the gateway may be gone, or vanish meanwhile: `None` where there is no greeting.
    pub async fn attempt(addr: SocketAddr) -> Option<Self> {
        let greeted = async {
            let mut request = format!("ws://{addr}/ws").into_client_request().unwrap();
            let headers = request.headers_mut();
            headers.insert("sec-websocket-protocol", "linnet.v1.json".parse().unwrap());
            let stream = TcpStream::connect(addr).await.ok()?;
            stream.set_nodelay(true).ok()?;
            let shaken = tokio_tungstenite::client_async(request, stream).await;
            let mut client = Self {
                socket: shaken.ok()?.0,
                connected: Value::Null,
                inbox: VecDeque::new(),
                last_id: 0,
                patience: STEP,
            };
            client.connected = client.next_or_end().await?;
            Some(client)
        };
        tokio::time::timeout(GREETING, greeted).await.ok()?
    }

    /// [`Self::request`] on a connection that may end; `None` where it did.
    pub async fn request_or_end(&mut self, mut request: Value) -> Option<Result<Value, Value>> {
        self.last_id += 1;
        let id = json!(self.last_id);
        request["id"] = id.clone();
        if !self.send_or_end(request).await {
            return None;
        }
        loop {
            let frame = self.read_or_end().await?;
            match frame["type"].as_str().unwrap() {
                "ack" if frame["id"] == id => return Some(Ok(frame)),
                "error" if frame["id"] == id => return Some(Err(frame)),
                _ => self.inbox.push_back(frame),
            }
        }
    }

    /// [`Self::send`] on a connection that may end; whether it was sent.
    pub async fn send_or_end(&mut self, request: Value) -> bool {
        let message = Message::text(request.to_string());
        within("a write", self.patience, self.socket.send(message))
            .await
            .is_ok()
    }

    /// [`Self::publish`], again and again while what is wrong passes, with a `message_id` that makes it one message.
    ///
    /// # Panics
    /// When it is refused for good, or not acked within [`STEP`] seconds.
    pub async fn publish_at_last(&mut self, room: &str, data: Value) -> Value {
        self.last_id += 1;
        let id = format!("at-last-{}", self.last_id);
        let request = json!({"type": "publish", "room": room, "data": data, "message_id": id});
        let acked = async {
            loop {
                match self.request(request.clone()).await {
                    Ok(ack) => return ack,
                    Err(error) => assert!(is_passing(&error), "{error}"),
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        within(("an ack for", &data), STEP, acked).await
    }

    /// The next frame as soon as it is there; `None` when the connection ended, whichever way.
    pub async fn next_or_end(&mut self) -> Option<Value> {
        if let Some(frame) = self.inbox.pop_front() {
            return Some(frame);
        }
        self.read_or_end().await
    }

    async fn read_or_end(&mut self) -> Option<Value> {
        loop {
            match within("a frame or the end", self.patience, self.socket.next()).await {
                Some(Ok(Message::Text(text))) => {
                    return Some(serde_json::from_str(&text).unwrap());
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return None,
            }
        }
    }
}
