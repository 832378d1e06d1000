//! The client. Connections are kept and used again.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{Outcome, Refusal};
use super::key::Key;
use super::request;
use crate::row::Row;

/// How long a gateway may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(3);
/// A connection that was not used for so long is closed, so that gateways that come and go behind a name are found.
const IDLE: Duration = Duration::from_secs(30);
/// Longest answer that is read, in bytes: a page of history has 256 KiB of payloads, and escaping may double them.
const LONGEST: usize = 4 * 1024 * 1024;

/// Where the gateways are.
#[derive(Debug)]
pub struct Gateway {
    client: Client<HttpConnector, Full<Bytes>>,
    authority: Authority,
    key: Key,
}

/// A page of a room's history, ascending.
#[derive(Debug, Deserialize)]
pub struct Page {
    /// The messages.
    pub messages: Vec<Stored>,
    /// Whether there are older ones.
    #[serde(default)]
    pub more: bool,
}

/// A message in a room's history.
#[derive(Debug, Deserialize)]
pub struct Stored {
    /// Its position.
    pub offset: u64,
    /// When it was stored, in milliseconds since the Unix epoch.
    pub timestamp: u64,
    /// Its content.
    pub data: Box<RawValue>,
}

/// No page of history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// Ask again.
    #[error("{0}")]
    Later(String),
    /// The room keeps nothing, or the key may not read it.
    #[error("{0}")]
    Never(String),
}

struct Answer {
    status: StatusCode,
    /// It asks for another key.
    challenged: bool,
    body: Bytes,
}

enum Trouble {
    /// The request did not leave.
    Unsent(String),
    /// It may have arrived.
    Sent(String),
}

impl Gateway {
    /// The gateways at `url` (`http://host:port`), who take `key`. `None` where that is no such URL.
    #[must_use]
    pub fn at(url: &Uri, key: Key) -> Option<Self> {
        let plain = url.scheme() == Some(&Scheme::HTTP) && ["", "/"].contains(&url.path());
        let authority = url.authority().filter(|_| plain)?.clone();
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Some(Self {
            client,
            authority,
            key,
        })
    }

    /// Publishes a row.
    pub async fn publish(&self, row: &Row) -> Outcome {
        let body = match request::publish(row) {
            Ok(body) => body,
            Err(error) => return Outcome::unfit(format!("its data: {error}")),
        };
        let request = Request::post(self.address("/v1/publish"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body));
        match self.exchange(request).await {
            Ok(answer) => Outcome::of(answer.status, answer.challenged, &answer.body),
            Err(Trouble::Unsent(reason)) => Outcome::without_answer(false, reason),
            Err(Trouble::Sent(reason)) => Outcome::without_answer(true, reason),
        }
    }

    /// The newest messages of `room`, or of those before an offset.
    ///
    /// # Errors
    /// When there is no such page now, or ever.
    pub async fn history(&self, room: &str, before: Option<u64>) -> Result<Page, Unread> {
        let address = self.address(&request::history(room, before));
        let request = Request::get(address).body(Full::default());
        let Answer { status, body, .. } = match self.exchange(request).await {
            Ok(answer) => answer,
            Err(Trouble::Unsent(reason) | Trouble::Sent(reason)) => {
                return Err(Unread::Later(reason));
            }
        };
        if status == StatusCode::OK {
            let page = serde_json::from_slice(&body);
            return page.map_err(|error| Unread::Later(format!("no page of history: {error}")));
        }
        let refusal = Refusal::read(status, &body);
        let reason = format!("{} ({})", refusal.reason(), refusal.code);
        match refusal.code.as_str() {
            "no_history" | "forbidden" | "bad_room" => Err(Unread::Never(reason)),
            _ => Err(Unread::Later(reason)),
        }
    }

    fn address(&self, path: &str) -> String {
        format!("http://{}{path}", self.authority)
    }

    async fn exchange(
        &self,
        request: http::Result<Request<Full<Bytes>>>,
    ) -> Result<Answer, Trouble> {
        let mut request = request.map_err(|error| Trouble::Unsent(error.to_string()))?;
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, self.key.header());
        let answer = async {
            let answer = self.client.request(request).await.map_err(trouble)?;
            let status = answer.status();
            let challenged = answer.headers().contains_key(header::WWW_AUTHENTICATE);
            let body = Limited::new(answer.into_body(), LONGEST).collect().await;
            let body = body.map_err(|error| Trouble::Sent(error.to_string()))?;
            Ok(Answer {
                status,
                challenged,
                body: body.to_bytes(),
            })
        };
        let answer = tokio::time::timeout(DEADLINE, answer).await;
        let answer =
            answer.map_err(|_| Trouble::Sent(format!("no answer within {DEADLINE:?}")))??;
        if answer.challenged
            && let Err(error) = self.key.renew()
        {
            tracing::error!("{error}");
        }
        Ok(answer)
    }
}

fn trouble(error: Error) -> Trouble {
    let reason = chain(&error);
    match error.is_connect() {
        true => Trouble::Unsent(reason),
        false => Trouble::Sent(reason),
    }
}

/// An error and its causes: what hyper says alone tells nothing.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let causes = causes.map(|error| error as &dyn Display);
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_address_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "key").unwrap();
        let at = |url: &str| Gateway::at(&url.parse().unwrap(), Key::of(&file).unwrap());
        assert!(at("http://gateways:9090").is_some());
        assert!(at("http://gateways:9090/").is_some());
        for url in [
            "https://gateways:9090",
            "gateways:9090",
            "http://gateways/v1",
            "/",
        ] {
            assert!(at(url).is_none(), "{url}");
        }
    }
}
