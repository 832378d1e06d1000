//! A client of a channel, outside the cluster, that speaks `linnet.v1.json`.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::door::{Door, Stream};
use crate::wait::{STEP, until, within};

/// A client that came in through a [`Door`].
pub struct Guest {
    socket: WebSocketStream<Box<dyn Stream>>,
    /// The gateway's greeting.
    pub connected: Value,
    last_id: u64,
    aside: Vec<Value>,
}

impl Guest {
    /// Comes in and awaits the greeting. Asks again while the ingress knows no gateway yet: it learns of them a little
    /// after the channel is Ready.
    ///
    /// # Panics
    /// When that did not succeed in time.
    pub async fn enter(door: &Door) -> Self {
        until(("a gateway behind", door.url()), || Self::try_enter(door)).await
    }

    async fn try_enter(door: &Door) -> Option<Self> {
        let mut request = format!("{}/ws", door.url()).into_client_request().unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-protocol", "linnet.v1.json".parse().unwrap());
        let stream = door.connect().await.ok()?;
        let (socket, _) = tokio_tungstenite::client_async(request, stream)
            .await
            .ok()?;
        let mut guest = Self {
            socket,
            connected: Value::Null,
            last_id: 0,
            aside: Vec::new(),
        };
        guest.connected = guest.frame().await;
        assert_eq!(guest.connected["type"], "connected", "{}", guest.connected);
        Some(guest)
    }

    /// The HTTP status that a page of `origin` gets when it asks for a WebSocket; 101 is one.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn status_for(door: &Door, origin: &str) -> u16 {
        let mut request = format!("{}/ws", door.url()).into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", "linnet.v1.json".parse().unwrap());
        headers.insert("origin", origin.parse().unwrap());
        let stream = within("a connection", STEP, door.connect()).await.unwrap();
        let asked = tokio_tungstenite::client_async(request, stream);
        match within("an answer", STEP, asked).await {
            Ok((_, answer)) => answer.status().as_u16(),
            Err(Error::Http(answer)) => answer.status().as_u16(),
            Err(error) => panic!("{error}"),
        }
    }

    /// Name of the gateway that serves this client.
    #[must_use]
    pub fn gateway(&self) -> &str {
        self.connected["gateway"].as_str().unwrap()
    }

    /// Subscribes to `room`.
    pub async fn subscribe(&mut self, room: &str) {
        self.request(json!({"type": "subscribe", "room": room}))
            .await;
    }

    /// Publishes `data` in `room`, and returns when the gateway has acknowledged it.
    pub async fn publish(&mut self, room: &str, data: &Value) {
        self.request(json!({"type": "publish", "room": room, "data": data}))
            .await;
    }

    /// The data of the next message; frames of other types are passed over.
    pub async fn message(&mut self) -> Value {
        loop {
            let frame = match self.aside.is_empty() {
                false => self.aside.remove(0),
                true => self.frame().await,
            };
            if frame["type"] == "message" {
                return frame["data"].clone();
            }
        }
    }

    /// Sends a ping and awaits its pong.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn ping(&mut self) {
        let answer = self.ask(json!({"type": "ping"})).await;
        assert_eq!(answer["type"], "pong", "{answer}");
    }

    async fn request(&mut self, request: Value) {
        let answer = self.ask(request.clone()).await;
        assert_eq!(answer["type"], "ack", "{request} was answered by {answer}");
    }

    /// Sends a request, and gives its answer, whichever it is.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn ask(&mut self, mut request: Value) -> Value {
        self.last_id += 1;
        request["id"] = json!(self.last_id);
        let text = Message::text(request.to_string());
        within("a write", STEP, self.socket.send(text))
            .await
            .unwrap();
        loop {
            let frame = self.frame().await;
            if frame["id"] == request["id"] {
                return frame;
            }
            self.aside.push(frame);
        }
    }

    async fn frame(&mut self) -> Value {
        within("a frame", STEP, async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    other => panic!("expected a text frame, got {other:?}"),
                }
            }
        })
        .await
    }
}
