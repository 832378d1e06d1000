//! A call over HTTP: one POST, no redirects, on connections that are kept for the next.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::call;
use super::error::CallError;

/// Connections that are kept while nothing is asked: a back end that restarts is not to find hundreds.
const IDLE: usize = 32;
/// How long; most servers keep theirs for longer.
const IDLE_FOR: Duration = Duration::from_secs(4);

/// Asks back ends over HTTP.
pub struct Http(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Http {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub fn new() -> Result<Self, CallError> {
        use async_nats::rustls::{ClientConfig, RootCertStore, crypto};
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| CallError::Tls(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_FOR)
            .pool_max_idle_per_host(IDLE)
            .build(connector);
        Ok(Self(client))
    }

    /// Posts an event, and gives the answer, of at most `most` bytes.
    ///
    /// # Errors
    /// When there is no such answer.
    pub async fn post(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        event: Bytes,
        most: usize,
    ) -> Result<Bytes, CallError> {
        let uri: Uri = url.parse().map_err(|_| CallError::Address)?;
        let mut request = Request::post(uri)
            .header(CONTENT_TYPE, call::CONTENT_TYPE)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, "linnet-gateway");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(event));
        let request = request.map_err(|_| CallError::Address)?;
        let answer = self.0.request(request).await;
        let answer = answer.map_err(|error| network(&error))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(CallError::Status(status.as_u16()));
        }
        let body = Limited::new(answer.into_body(), most).collect().await;
        let body = body.map_err(
            |error| match error.is::<http_body_util::LengthLimitError>() {
                true => CallError::Large(most),
                false => network(&*error),
            },
        )?;
        Ok(body.to_bytes())
    }
}

/// An error with its causes: hyper's own text says only what it was at.
fn network(error: &(dyn std::error::Error + 'static)) -> CallError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    CallError::Network(text)
}
