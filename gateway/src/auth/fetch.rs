//! One bounded GET, over HTTP/1.1 with or without TLS: no redirects, no pool, no more than is needed for a set of keys.

use std::sync::Arc;
use std::time::Duration;

use async_nats::rustls::pki_types::ServerName;
use async_nats::rustls::{ClientConfig, RootCertStore, crypto};
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Largest answer, in bytes; the sets of large issuers have a few KiB.
const LARGEST: usize = 256 * 1024;
/// From the look-up of the name to the last byte.
const WITHIN: Duration = Duration::from_secs(5);

/// Gets one address again and again.
pub struct Fetcher {
    host: String,
    port: u16,
    authority: String,
    target: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Why there is no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Write another one.
    #[error("the address is not http:// or https:// with a host")]
    Address,
    /// TLS can't be set up.
    #[error("TLS can't be used: {0}")]
    Tls(String),
    /// The server is not there, or what it says is not HTTP.
    #[error("the server can't be reached or breaks off: {0}")]
    Network(String),
    /// It answered something else.
    #[error("the server answers {0} instead of 200")]
    Status(StatusCode),
    /// It answered too much.
    #[error("the answer is over 256 KiB")]
    Large,
    /// It answered too slowly.
    #[error("there was no whole answer within 5 s")]
    Slow,
    /// It answered something that is no text.
    #[error("the answer is not UTF-8")]
    NoText,
}

impl Fetcher {
    /// Prepares to get `uri`.
    ///
    /// # Errors
    /// When it is none that can be got.
    pub fn new(uri: &str) -> Result<Self, FetchError> {
        let uri: Uri = uri.parse().map_err(|_| FetchError::Address)?;
        let authority = uri.authority().ok_or(FetchError::Address)?;
        let host = authority.host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if bare.is_empty() {
            return Err(FetchError::Address);
        }
        let (tls, port) = match uri.scheme_str() {
            Some("http") => (None, 80),
            Some("https") => {
                let name = ServerName::try_from(bare.to_owned());
                let name = name.map_err(|_| FetchError::Address)?;
                (Some((connector()?, name)), 443)
            }
            _ => return Err(FetchError::Address),
        };
        Ok(Self {
            host: bare.to_owned(),
            port: authority.port_u16().unwrap_or(port),
            // Without what some write before an @: it is no part of Host.
            authority: match authority.port_u16() {
                Some(port) => format!("{host}:{port}"),
                None => host.to_owned(),
            },
            target: uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), ToString::to_string),
            tls,
        })
    }

    /// Gets it.
    ///
    /// # Errors
    /// When no text came, in time and small enough.
    pub async fn get(&self) -> Result<String, FetchError> {
        let answer = tokio::time::timeout(WITHIN, self.ask()).await;
        answer.map_err(|_| FetchError::Slow)?
    }

    async fn ask(&self) -> Result<String, FetchError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port));
        let stream = stream.await.map_err(network)?;
        match &self.tls {
            None => self.converse(stream).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream);
                self.converse(stream.await.map_err(network)?).await
            }
        }
    }

    async fn converse<S>(&self, stream: S) -> Result<String, FetchError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let request = Request::get(&self.target)
            .header(HOST, &self.authority)
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .header(USER_AGENT, "linnet-gateway")
            .body(Empty::<bytes::Bytes>::new())
            .map_err(|_| FetchError::Address)?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.map_err(network)?;
        let answer = async {
            let answer = sender.send_request(request).await.map_err(network)?;
            if answer.status() != StatusCode::OK {
                return Err(FetchError::Status(answer.status()));
            }
            let body = Limited::new(answer.into_body(), LARGEST).collect().await;
            let body =
                body.map_err(
                    |error| match error.is::<http_body_util::LengthLimitError>() {
                        true => FetchError::Large,
                        false => FetchError::Network(error.to_string()),
                    },
                )?;
            String::from_utf8(body.to_bytes().into()).map_err(|_| FetchError::NoText)
        };
        // The connection is driven beside, and dropped with the answer.
        tokio::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            ended = connection => match ended {
                Err(error) => Err(network(error)),
                // What was read before the end may be all.
                Ok(()) => answer.await,
            },
        }
    }
}

/// Whom it asks, without what may be a secret: a password before the host, the query.
impl std::fmt::Display for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{}{path}", self.authority)
    }
}

fn network(error: impl std::fmt::Display) -> FetchError {
    FetchError::Network(error.to_string())
}

fn connector() -> Result<TlsConnector, FetchError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| FetchError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_an_address_holds_no_password_and_no_query() {
        for (uri, shown) in [
            (
                "https://ann:secret@id.example.com/keys?key=secret",
                "https://id.example.com/keys",
            ),
            ("http://secret@[::1]:8080", "http://[::1]:8080/"),
        ] {
            assert_eq!(Fetcher::new(uri).unwrap().to_string(), shown);
        }
        for uri in ["secret", "ftp://secret@host/", "http://secret@/"] {
            let Err(error) = Fetcher::new(uri) else {
                panic!("{uri}");
            };
            assert!(!error.to_string().contains("secret"));
        }
    }
}
