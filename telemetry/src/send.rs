//! One transfer to a collector, over gRPC or HTTP.

use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use prost::Message;
use tonic::Code;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::settings::{Protocol, Target, TlsFiles};
use crate::tls::{self, TlsError};
use crate::transfer::Transfer;

/// Bytes that are read of an answer: it has a number and a sentence.
const ANSWER_BYTES: usize = 64 * 1024;

/// A way to a collector, for one kind of telemetry.
pub(crate) struct Sender {
    way: Way,
    timeout: Duration,
}

enum Way {
    Grpc {
        channel: Channel,
        headers: Vec<(AsciiMetadataKey, AsciiMetadataValue)>,
        gzip: bool,
    },
    Http {
        client: Box<Client<HttpsConnector<HttpConnector>, Full<Bytes>>>,
        uri: Uri,
        headers: Vec<(HeaderName, HeaderValue)>,
        gzip: bool,
    },
}

/// Why a way can't be made.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The endpoint is no URL. It is not shown: credentials may stand in it.
    #[error(
        "the collector's address (spec.telemetry.otlpEndpoint, or OTEL_EXPORTER_OTLP_ENDPOINT and its like) is not a URL \
         such as http://collector:4318"
    )]
    Url,
    /// A header can't be sent.
    #[error("the header {0} for the collector has a name or value that HTTP does not allow")]
    Header(String),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The settings of gRPC.
    #[error("the way to the collector: {0}")]
    Grpc(#[from] tonic::transport::Error),
}

/// What came of a transfer.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Taken, but for so many.
    Taken {
        /// Items that the collector refused.
        refused: u64,
    },
    /// Not now; perhaps after this time.
    Later(String, Option<Duration>),
    /// Never.
    Refused(String),
}

impl Sender {
    /// A way to `target`. Nothing is connected yet; must be called within a runtime.
    pub(crate) fn new(target: &Target) -> Result<Self, SetUpError> {
        let way = match target.protocol {
            Protocol::Grpc => grpc(target)?,
            Protocol::HttpProtobuf => http(target)?,
        };
        Ok(Self {
            way,
            timeout: target.timeout,
        })
    }

    /// Sends spans or metrics.
    pub(crate) async fn send<T: Transfer>(&self, request: &T) -> Outcome {
        let sending = async {
            match &self.way {
                Way::Grpc {
                    channel,
                    headers,
                    gzip,
                } => {
                    let request = with(headers, request.clone());
                    let answer = T::call(channel.clone(), *gzip, request).await;
                    answered(answer, T::refused)
                }
                Way::Http { .. } => match self.post(request.encode_to_vec()).await {
                    Ok(body) => taken(T::Answer::decode(body).ok().and_then(T::refused)),
                    Err(outcome) => outcome,
                },
            }
        };
        match tokio::time::timeout(self.timeout, sending).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Later(format!("no answer within {:?}", self.timeout), None),
        }
    }

    async fn post(&self, body: Vec<u8>) -> Result<Bytes, Outcome> {
        let Way::Http {
            client,
            uri,
            headers,
            gzip,
        } = &self.way
        else {
            return Err(Outcome::Refused("not HTTP".into()));
        };
        let mut request = Request::post(uri.clone()).header(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-protobuf"),
        );
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let body = match gzip {
            true => {
                request = request.header(header::CONTENT_ENCODING, "gzip");
                gzipped(&body)
            }
            false => body,
        };
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Outcome::Refused(error.to_string()))?;
        let later = |error: &dyn std::error::Error| Outcome::Later(whole(error), None);
        let answer = client
            .request(request)
            .await
            .map_err(|error| later(&error))?;
        let status = answer.status();
        let after = answer
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let body = Limited::new(answer.into_body(), ANSWER_BYTES)
            .collect()
            .await;
        match status {
            _ if status.is_success() => {
                // It has been taken, whatever may be wrong with the answer.
                Ok(body.map(|body| body.to_bytes()).unwrap_or_default())
            }
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Err(Outcome::Later(status.to_string(), after)),
            _ => Err(Outcome::Refused(status.to_string())),
        }
    }
}

/// The endpoint, if it is one that can be reached at all (OTLP Exporter Configuration: the scheme is http or https).
fn uri(target: &Target) -> Result<Uri, SetUpError> {
    let uri: Uri = target.url.parse().map_err(|_| SetUpError::Url)?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(_)) => Ok(uri),
        _ => Err(SetUpError::Url),
    }
}

fn grpc(target: &Target) -> Result<Way, SetUpError> {
    let mut endpoint = Endpoint::from(uri(target)?)
        .timeout(target.timeout)
        .connect_timeout(target.timeout);
    if endpoint.uri().scheme_str() == Some("https") {
        endpoint = endpoint.tls_config(grpc_tls(&target.tls)?)?;
    }
    let headers = target.headers.0.iter().map(|(name, value)| {
        let bad = || SetUpError::Header(name.clone());
        let key = AsciiMetadataKey::from_str(&name.to_ascii_lowercase()).map_err(|_| bad())?;
        let value = AsciiMetadataValue::try_from(value).map_err(|_| bad())?;
        Ok((key, value))
    });
    Ok(Way::Grpc {
        headers: headers.collect::<Result<_, SetUpError>>()?,
        channel: endpoint.connect_lazy(),
        gzip: target.gzip,
    })
}

fn grpc_tls(files: &TlsFiles) -> Result<ClientTlsConfig, TlsError> {
    let mut config = ClientTlsConfig::new();
    match &files.certificate {
        Some(file) => {
            let pem = tls::pem(file, "OTEL_EXPORTER_OTLP_CERTIFICATE")?;
            config = config.ca_certificate(Certificate::from_pem(pem));
        }
        None => {
            let system = rustls_native_certs::load_native_certs().certs;
            let anchors = system
                .iter()
                .filter_map(|der| rustls::pki_types::CertificateDer::from_slice(der).into())
                .filter_map(|der: rustls::pki_types::CertificateDer<'_>| {
                    let mut store = rustls::RootCertStore::empty();
                    store.add(der.into_owned()).ok()?;
                    store.roots.pop()
                });
            config = config.trust_anchors(anchors);
        }
    }
    if let (Some(certificate), Some(key)) = (&files.client_certificate, &files.client_key) {
        let certificate = tls::pem(certificate, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE")?;
        let key = tls::pem(key, "OTEL_EXPORTER_OTLP_CLIENT_KEY")?;
        config = config.identity(Identity::from_pem(certificate, key));
    }
    Ok(config)
}

fn http(target: &Target) -> Result<Way, SetUpError> {
    let headers = target.headers.0.iter().map(|(name, value)| {
        let bad = || SetUpError::Header(name.clone());
        let key = HeaderName::from_str(name).map_err(|_| bad())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
        value.set_sensitive(true);
        Ok((key, value))
    });
    let headers = headers.collect::<Result<_, SetUpError>>()?;
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls::client(&target.tls)?)
        .https_or_http()
        .enable_http1()
        .build();
    Ok(Way::Http {
        client: Box::new(Client::builder(TokioExecutor::new()).build(connector)),
        uri: uri(target)?,
        headers,
        gzip: target.gzip,
    })
}

fn with<T>(headers: &[(AsciiMetadataKey, AsciiMetadataValue)], message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    for (name, value) in headers {
        request.metadata_mut().insert(name.clone(), value.clone());
    }
    request
}

fn answered<T>(
    answer: Result<tonic::Response<T>, tonic::Status>,
    partial: impl Fn(T) -> Option<i64>,
) -> Outcome {
    match answer {
        Ok(answer) => taken(partial(answer.into_inner())),
        Err(status) => {
            let said = format!("{:?}: {}", status.code(), status.message());
            // OTLP specification, OTLP/gRPC response: these, and nothing else, are tried again.
            match status.code() {
                Code::Cancelled
                | Code::DeadlineExceeded
                | Code::Aborted
                | Code::OutOfRange
                | Code::Unavailable
                | Code::DataLoss
                | Code::ResourceExhausted => Outcome::Later(said, None),
                _ => Outcome::Refused(said),
            }
        }
    }
}

/// A collector may claim to have refused less than nothing.
fn taken(refused: Option<i64>) -> Outcome {
    Outcome::Taken {
        refused: refused
            .and_then(|refused| refused.try_into().ok())
            .unwrap_or(0),
    }
}

fn gzipped(body: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing to memory can't fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

/// An error with its causes: hyper's own text says only what it was at.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
