//! A way into the cluster: the ingress's address and a host name, with or without TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::wait::{STEP, within};

/// A connection, encrypted or not.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Where clients come in. The host's name needs no resolving: it is what the ingress is asked for.
#[derive(Clone)]
pub struct Door {
    address: SocketAddr,
    host: String,
    tls: Option<TlsConnector>,
}

impl Door {
    pub(crate) fn http(address: SocketAddr, host: &str) -> Self {
        Self {
            address,
            host: host.to_owned(),
            tls: None,
        }
    }

    pub(crate) fn https(address: SocketAddr, host: &str, trusted: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(trusted).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            tls: Some(Arc::new(config).into()),
            ..Self::http(address, host)
        }
    }

    /// Where to connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a URL with this door begins with, `ws` or `wss` and the host with the port.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "wss" } else { "ws" };
        format!("{scheme}://{}:{}", self.host, self.address.port())
    }

    /// Connects, up to the end of the TLS handshake.
    ///
    /// # Errors
    /// Why there is no connection: nobody listens, or the certificate is not the trusted one.
    pub async fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone()).unwrap();
                Ok(Box::new(tls.connect(name, stream).await?))
            }
        }
    }

    /// GETs `path` and gives the answer's status and body.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path, "").await
    }

    /// Asks for `path` with JSON as the request's body, and gives the answer's status and body.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let exchange = async {
            let mut stream = self.connect().await.unwrap();
            let request = format!(
                "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                self.host,
                body.len()
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = within(("an answer", path), STEP, exchange).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split_whitespace().nth(1).unwrap();
        (status.parse().unwrap(), body.to_owned())
    }
}
