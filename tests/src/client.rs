//! A client as an application would write it, which speaks `linnet.v1.json`; [`crate::Plain`] speaks `linnet.v1.plain`.

mod patient;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::follower::Position;
use crate::http::Answer;
use crate::wait::{STEP, within};
pub use patient::is_passing;

pub(crate) type Socket = WebSocketStream<TcpStream>;

/// The HTTP answer of a server that did not upgrade.
pub type Refusal = Answer;

/// Opens a WebSocket at `ws` with `query` and, if not empty, a `Sec-WebSocket-Protocol` header.
///
/// # Errors
/// The HTTP answer, where the server refused the upgrade.
///
/// # Panics
/// When the server can't be reached or breaks the handshake.
pub async fn open(addr: SocketAddr, query: &str, protocols: &str) -> Result<Socket, Refusal> {
    open_from(addr, query, protocols, None).await
}

/// [`open`], as a proxy does for the client at `from`.
async fn open_from(
    addr: SocketAddr,
    query: &str,
    protocols: &str,
    from: Option<Ipv4Addr>,
) -> Result<Socket, Refusal> {
    let mark = if query.is_empty() { "" } else { "?" };
    let mut request = format!("ws://{addr}/ws{mark}{query}")
        .into_client_request()
        .unwrap();
    if !protocols.is_empty() {
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", protocols.parse().unwrap());
    }
    if let Some(from) = from {
        let headers = request.headers_mut();
        headers.insert("x-forwarded-for", from.to_string().parse().unwrap());
    }
    let handshake = async {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio_tungstenite::client_async(request, stream).await
    };
    match within("a handshake", STEP, handshake).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => {
            let headers = answer.headers().iter();
            Err(Answer {
                status: answer.status().as_u16(),
                headers: headers
                    .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                    .collect(),
                body: String::from_utf8(answer.body().clone().unwrap_or_default()).unwrap(),
            })
        }
        Err(error) => panic!("the handshake broke: {error}"),
    }
}

/// An address of a network that is nobody's.
#[must_use]
pub fn afar() -> Ipv4Addr {
    let [.., a, b, c] = rand::random::<[u8; 4]>();
    Ipv4Addr::new(10, a, b, c)
}

/// Reads until the server's close frame and gives its code and reason; 1006 where the connection just ended.
pub(crate) async fn close_of(socket: &mut Socket) -> (u16, String) {
    within("a close frame", STEP, async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => {
                    let closed = (u16::from(frame.code), frame.reason.to_string());
                    // Lets the closing handshake finish, so that the server sees an orderly end.
                    while let Some(Ok(_)) = socket.next().await {}
                    return closed;
                }
                Some(Ok(Message::Close(None))) => return (1005, String::new()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return (1006, error.to_string()),
                None => return (1006, "end of stream".to_owned()),
            }
        }
    })
    .await
}

/// A `linnet.v1.json` client.
#[derive(Debug)]
pub struct Client {
    socket: Socket,
    /// The greeting.
    pub connected: Value,
    /// Frames that came while an answer was awaited, oldest first.
    inbox: VecDeque<Value>,
    last_id: u64,
    /// Seconds to wait for a frame; [`STEP`] unless a test awaits something that takes its time.
    pub patience: u64,
}

impl Client {
    /// Connects with `query` and awaits the greeting.
    ///
    /// # Errors
    /// The HTTP answer, where the server refused the upgrade.
    ///
    /// # Panics
    /// When the first frame is not `connected`.
    pub async fn open(addr: SocketAddr, query: &str) -> Result<Self, Refusal> {
        let socket = open(addr, query, "linnet.v1.json").await?;
        let mut client = Self::on(socket);
        client.connected = client.next_of("connected").await;
        Ok(client)
    }

    /// Connects from an address that nobody else has, where the gateway trusts its proxies, and awaits the greeting.
    ///
    /// # Panics
    /// When it is refused, or the first frame is not `connected`.
    pub async fn from_afar(addr: SocketAddr) -> Self {
        let socket = open_from(addr, "", "linnet.v1.json", Some(afar())).await;
        let mut client = Self::on(socket.unwrap());
        client.connected = client.next_of("connected").await;
        client
    }

    /// Connects with a token, as browsers hand it over, and awaits the greeting. Where the gateway trusts its proxies it
    /// is from an address that nobody else has, so that refusals of others do not count against it.
    ///
    /// # Errors
    /// The HTTP answer, where the server refused the upgrade.
    ///
    /// # Panics
    /// When the first frame is not `connected`.
    pub async fn with_token(addr: SocketAddr, token: &str) -> Result<Self, Refusal> {
        let protocols = format!("linnet.v1.json, bearer.{token}");
        let mut client = Self::on(open_from(addr, "", &protocols, Some(afar())).await?);
        client.connected = client.next_of("connected").await;
        Ok(client)
    }

    /// Connects where the server waits for `connect`.
    ///
    /// # Panics
    /// When the server refuses the upgrade.
    pub async fn silent(addr: SocketAddr) -> Self {
        Self::on(open(addr, "", "linnet.v1.json").await.unwrap())
    }

    fn on(socket: Socket) -> Self {
        Self {
            socket,
            connected: Value::Null,
            inbox: VecDeque::new(),
            last_id: 0,
            patience: STEP,
        }
    }

    /// This connection's id, `~…`.
    #[must_use]
    pub fn id(&self) -> String {
        self.connected["connection_id"].as_str().unwrap().to_owned()
    }

    /// Sends `message` as it is.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn send_raw(&mut self, message: Message) {
        within("a write", STEP, self.socket.send(message))
            .await
            .unwrap();
    }

    /// Sends `text` in a text frame.
    pub async fn send_text(&mut self, text: impl Into<String>) {
        self.send_raw(Message::text(text.into())).await;
    }

    /// Sends a request that awaits no answer.
    pub async fn send(&mut self, request: Value) {
        self.send_text(request.to_string()).await;
    }

    /// Sends `request` with an id of its own and awaits what answers it; other frames stay for [`Self::next`].
    ///
    /// # Errors
    /// The `error` frame, where that is the answer.
    ///
    /// # Panics
    /// When no answer comes, or the connection closes.
    pub async fn request(&mut self, mut request: Value) -> Result<Value, Value> {
        self.last_id += 1;
        let id = json!(self.last_id);
        request["id"] = id.clone();
        self.send(request).await;
        self.answer(&id).await
    }

    /// Takes the frames that came while an answer was awaited, oldest first.
    pub fn set_aside(&mut self) -> Vec<Value> {
        self.inbox.drain(..).collect()
    }

    /// Awaits the answer to the request with `id`.
    ///
    /// # Errors
    /// The `error` frame, where that is the answer.
    ///
    /// # Panics
    /// When no answer comes, or the connection closes.
    pub async fn answer(&mut self, id: &Value) -> Result<Value, Value> {
        loop {
            let frame = self.read().await;
            match frame["type"].as_str().unwrap() {
                "ack" if frame["id"] == *id => return Ok(frame),
                "error" if frame["id"] == *id => return Err(frame),
                _ => self.inbox.push_back(frame),
            }
        }
    }

    /// [`Self::request`], where an error ends the test.
    ///
    /// # Panics
    /// When the answer is an error.
    pub async fn ack(&mut self, request: Value) -> Value {
        match self.request(request.clone()).await {
            Ok(ack) => ack,
            Err(error) => panic!("{request} was refused: {error}"),
        }
    }

    /// [`Self::request`], where only an error with `code` goes on; gives the error.
    ///
    /// # Panics
    /// When the answer is an ack or another error.
    pub async fn refused(&mut self, request: Value, code: &str) -> Value {
        match self.request(request.clone()).await {
            Ok(ack) => panic!("{request} was to be refused as {code}, but: {ack}"),
            Err(error) => {
                assert_eq!(error["code"], code, "{request} was answered by {error}");
                let text = error["message"].as_str().unwrap();
                assert!(!text.is_empty(), "an error says something: {error}");
                error
            }
        }
    }

    /// Subscribes to `room`.
    pub async fn subscribe(&mut self, room: &str) -> Value {
        self.ack(json!({"type": "subscribe", "room": room})).await
    }

    /// Subscribes to `room` from `position`, the last of it, which another gateway has told: when it returns, this
    /// client's gateway has come as far.
    ///
    /// # Panics
    /// When something was missed.
    pub async fn comes_from(&mut self, room: &str, position: &Position) {
        let request = json!({"type": "subscribe", "room": room, "since": position.since()});
        let ack = self.ack(request).await;
        assert_eq!(
            (&ack["recovered"], &ack["messages"]),
            (&json!(true), &json!([])),
            "{ack}"
        );
    }

    /// Publishes `data` to `room`.
    pub async fn publish(&mut self, room: &str, data: Value) -> Value {
        self.ack(json!({"type": "publish", "room": room, "data": data}))
            .await
    }

    /// The next frame that answered no request.
    pub async fn next(&mut self) -> Value {
        match self.inbox.pop_front() {
            Some(frame) => frame,
            None => self.read().await,
        }
    }

    /// The next frame, which must be of type `kind`.
    ///
    /// # Panics
    /// When it is another.
    pub async fn next_of(&mut self, kind: &str) -> Value {
        let frame = self.next().await;
        assert_eq!(frame["type"], kind, "expected {kind}, got {frame}");
        frame
    }

    /// The next frame of type `kind`; others before it are dropped.
    pub async fn skip_to(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// The next frame's text, untouched.
    ///
    /// # Panics
    /// When frames were put aside already, or the connection ends.
    pub async fn next_text(&mut self) -> String {
        assert!(self.inbox.is_empty(), "set aside: {:?}", self.inbox);
        self.read_text().await
    }

    /// Reads up to the server's close frame; gives its code and reason.
    pub async fn closed(&mut self) -> (u16, String) {
        close_of(&mut self.socket).await
    }

    /// Closes the connection in order.
    pub async fn close(mut self) {
        let _ = self.socket.close(None).await;
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    /// Cuts the connection with a TCP reset, as a lost network would.
    pub fn cut(self) {
        let _ = self.socket.get_ref().set_zero_linger();
    }

    /// A round trip: what this client sent before has been handled when it returns.
    pub async fn settle(&mut self) {
        self.last_id += 1;
        let id = json!(self.last_id);
        self.send(json!({"type": "ping", "id": id})).await;
        loop {
            let frame = self.read().await;
            if frame["type"] == "pong" && frame["id"] == id {
                return;
            }
            self.inbox.push_back(frame);
        }
    }

    async fn read(&mut self) -> Value {
        let text = self.read_text().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("not JSON ({error}): {text}"))
    }

    async fn read_text(&mut self) -> String {
        within("a frame", self.patience, async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => return text.to_string(),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    other => panic!("expected a text frame, got {other:?}"),
                }
            }
        })
        .await
    }
}
