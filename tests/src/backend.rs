//! A channel's handler, well or badly made.

use std::fmt::{self, Debug};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, RwLock};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::wait::until;

/// Something that it was sent.
#[derive(Debug, Clone)]
pub struct Received {
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as it came.
    pub body: String,
    /// The same as JSON.
    pub event: Value,
}

impl Received {
    fn new(headers: Vec<(String, String)>, body: &[u8]) -> Self {
        let body = String::from_utf8(body.to_vec()).unwrap();
        let event = serde_json::from_str(&body).unwrap();
        Self {
            headers,
            body,
            event,
        }
    }

    /// What of the event is not of every CloudEvent.
    #[must_use]
    pub fn data(&self) -> &Value {
        &self.event["data"]
    }

    /// `connect`, `disconnect` or `request`.
    ///
    /// # Panics
    /// When the event's type is none of Linnet's.
    #[must_use]
    pub fn kind(&self) -> &str {
        let kind = self.event["type"].as_str().unwrap();
        kind.strip_prefix("dev.linnet.").unwrap()
    }

    /// A header, empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }
}

/// How it answers.
#[derive(Debug)]
pub enum Says {
    /// With this.
    Json(Value),
    /// With this, whatever it is.
    Text(String),
    /// With this status and an error page.
    Status(u16),
    /// Not at all.
    Hangs,
    /// When it is told to.
    Later(oneshot::Receiver<Value>),
    /// With data that does not end.
    Endless,
}

impl Says {
    /// Nothing but yes.
    #[must_use]
    pub fn yes() -> Self {
        Self::Json(json!({}))
    }

    /// No.
    #[must_use]
    pub fn no(code: &str, message: &str) -> Self {
        Self::Json(json!({"reject": {"code": code, "message": message}}))
    }
}

type Mind = Arc<dyn Fn(&Received) -> Says + Send + Sync>;

/// What it thinks, and has seen.
#[derive(Clone)]
struct Memory {
    mind: Arc<RwLock<Mind>>,
    seen: Arc<Mutex<Vec<Received>>>,
}

impl Memory {
    fn asked(&self, received: Received) -> Says {
        let mind = self.mind.read().unwrap().clone();
        let says = mind(&received);
        self.seen.lock().unwrap().push(received);
        says
    }
}

/// One; it ends when dropped.
pub struct BackEnd {
    address: Option<SocketAddr>,
    memory: Memory,
    task: JoinHandle<()>,
}

impl Debug for BackEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackEnd").finish_non_exhaustive()
    }
}

impl Drop for BackEnd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl BackEnd {
    /// One that is asked over HTTP.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start(mind: impl Fn(&Received) -> Says + Send + Sync + 'static) -> Self {
        let memory = Self::memory(mind);
        let asked = memory.clone();
        let answer = move |headers: HeaderMap, body: String| {
            let lines = headers.iter().map(|(name, value)| {
                let value = value.to_str().unwrap().to_owned();
                (name.as_str().to_owned(), value)
            });
            let says = asked.asked(Received::new(lines.collect(), body.as_bytes()));
            respond(says)
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Some(listener.local_addr().unwrap());
        let app = Router::new().route("/handler", post(answer));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            memory,
            task,
        }
    }

    /// One of those that share a subject of NATS, in the queue group `backend`.
    ///
    /// # Panics
    /// When it can't subscribe.
    pub async fn over_nats(
        client: async_nats::Client,
        subject: &str,
        mind: impl Fn(&Received) -> Says + Send + Sync + 'static,
    ) -> Self {
        let memory = Self::memory(mind);
        let asked = memory.clone();
        let group = "backend".to_owned();
        let mut calls = client
            .queue_subscribe(subject.to_owned(), group)
            .await
            .unwrap();
        client.flush().await.unwrap();
        let task = tokio::spawn(async move {
            while let Some(message) = calls.next().await {
                let headers = message.headers.unwrap_or_default();
                let lines = headers.iter().flat_map(|(name, values)| {
                    let name = name.to_string().to_ascii_lowercase();
                    values
                        .iter()
                        .map(move |value| (name.clone(), value.to_string()))
                });
                let says = asked.asked(Received::new(lines.collect(), &message.payload));
                let (client, reply) = (client.clone(), message.reply.unwrap());
                tokio::spawn(async move {
                    let text = match says {
                        Says::Json(answer) => answer.to_string(),
                        Says::Text(text) => text,
                        Says::Later(answer) => answer.await.unwrap().to_string(),
                        Says::Status(_) | Says::Hangs | Says::Endless => return,
                    };
                    client.publish(reply, text.into()).await.unwrap();
                });
            }
        });
        Self {
            address: None,
            memory,
            task,
        }
    }

    fn memory(mind: impl Fn(&Received) -> Says + Send + Sync + 'static) -> Memory {
        Memory {
            mind: Arc::new(RwLock::new(Arc::new(mind))),
            seen: Arc::default(),
        }
    }

    /// Where it is asked, over HTTP.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/handler", self.address.unwrap())
    }

    /// Thinks like this from now on.
    ///
    /// # Panics
    /// When another thread has panicked.
    pub fn turn(&self, mind: impl Fn(&Received) -> Says + Send + Sync + 'static) {
        *self.memory.mind.write().unwrap() = Arc::new(mind);
    }

    /// All that it was sent.
    ///
    /// # Panics
    /// When another thread has panicked.
    #[must_use]
    pub fn seen(&self) -> Vec<Received> {
        self.memory.seen.lock().unwrap().clone()
    }

    /// What of it was of one kind.
    #[must_use]
    pub fn seen_of(&self, kind: &str) -> Vec<Received> {
        let mut seen = self.seen();
        seen.retain(|received| received.kind() == kind);
        seen
    }

    /// Awaits that it was sent so many of one kind; gives those.
    pub async fn hears(&self, kind: &str, count: usize) -> Vec<Received> {
        until((kind, count), || async {
            let seen = self.seen_of(kind);
            (seen.len() >= count).then_some(seen)
        })
        .await
    }
}

async fn respond(says: Says) -> Response {
    match says {
        Says::Json(answer) => answer.to_string().into_response(),
        Says::Text(text) => text.into_response(),
        Says::Status(status) => {
            let status = StatusCode::from_u16(status).unwrap();
            (status, "<html></html>").into_response()
        }
        Says::Hangs => std::future::pending().await,
        Says::Later(answer) => answer.await.unwrap().to_string().into_response(),
        Says::Endless => {
            let chunk = || Ok::<_, std::io::Error>(vec![b' '; 64 * 1024]);
            let chunks = futures_util::stream::repeat_with(chunk);
            Body::from_stream(chunks).into_response()
        }
    }
}
