//! A caller of the server APIs.

use std::net::SocketAddr;

use serde_json::Value;

use crate::gateway::Gateway;
use crate::http::{self, Answer};
use crate::issuer::Secrets;
use crate::manifest::Manifest;

/// A key with all scopes, for [`crate::issuer::Secrets::put`] as `api.test`.
pub const KEY: &str = "test-0123456789abcdef0123456789abcdef";

/// A gateway of that name with these Secrets, once it is ready.
///
/// # Panics
/// When it does not start.
pub async fn gateway(manifest: &Manifest, secrets: &Secrets, name: &str) -> Gateway {
    let args = [
        "--secrets",
        secrets.path(),
        "--create-stream",
        "--name",
        name,
    ];
    let gateway = Gateway::start_with(manifest, &args).await;
    gateway.ready().await;
    gateway
}

/// Calls one gateway with one key or token.
#[derive(Debug, Clone)]
pub struct Api {
    addr: SocketAddr,
    key: String,
}

impl Api {
    /// A caller of `gateway` with [`KEY`].
    #[must_use]
    pub fn of(gateway: &Gateway) -> Self {
        Self::with(gateway, KEY)
    }

    /// A caller of `gateway` with another key, or a token.
    #[must_use]
    pub fn with(gateway: &Gateway, key: &str) -> Self {
        Self {
            addr: gateway.internal,
            key: key.to_owned(),
        }
    }

    /// `GET /v1…`.
    pub async fn get(&self, path: &str) -> Answer {
        let Self { addr, key } = self;
        let request = format!(
            "GET /v1{path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\r\n"
        );
        http::send(*addr, request.as_bytes()).await
    }

    /// `POST /v1…` with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, "", &body.to_string()).await
    }

    /// [`Self::post`] with further header lines, and a body as it is.
    pub async fn post_with(&self, path: &str, headers: &str, body: &str) -> Answer {
        let key = &self.key;
        let headers =
            format!("Authorization: Bearer {key}\r\nContent-Type: application/json\r\n{headers}");
        http::post(self.addr, &format!("/v1{path}"), &headers, body).await
    }

    /// [`Self::post`], where anything but 200 ends the test.
    ///
    /// # Panics
    /// When the answer is another.
    pub async fn done(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body).await;
        assert_eq!(answer.status, 200, "{path} {body}: {answer:?}");
        answer.json()
    }

    /// [`Self::get`], where anything but 200 ends the test.
    ///
    /// # Panics
    /// When the answer is another.
    pub async fn told(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }
}

/// The status and the code of a problem, once it looks like one.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn problem(answer: &Answer) -> (u16, String) {
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("application/problem+json"), "{answer:?}");
    let body = answer.json();
    assert_eq!(body["status"], answer.status, "{answer:?}");
    let code = body["code"].as_str().unwrap().to_owned();
    (answer.status, code)
}
