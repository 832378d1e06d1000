//! Where telemetry goes and how: the manifest's endpoint, and what the environment says of it.

use std::path::PathBuf;
use std::time::Duration;

/// All that is settled once, at the start of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where spans go; `None`: nowhere.
    pub traces: Option<Target>,
    /// Where metrics go; `None`: nowhere.
    pub metrics: Option<Target>,
    /// What the process is, as attributes.
    pub resource: Vec<(String, String)>,
    /// A sampling rate in a million that holds instead of the manifest's.
    pub sampling: Option<u32>,
    /// Whether the contexts of callers are taken at all.
    pub propagates: bool,
    /// How spans are collected.
    pub batch: Batch,
    /// Bounds on what one span holds.
    pub limits: Limits,
    /// Between two transfers of metrics.
    pub metric_interval: Duration,
    /// What was said and can't be done, for the log.
    pub complaints: Vec<String>,
}

/// A collector, for one kind of telemetry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its address: for HTTP the whole URL, for gRPC scheme, host and port.
    pub url: String,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Headers of each request. Secrets, often: never shown.
    pub headers: Headers,
    /// How long one transfer may take.
    pub timeout: Duration,
    /// Whether requests are compressed.
    pub gzip: bool,
    /// Files of certificates.
    pub tls: TlsFiles,
}

/// Headers that are not to be seen in logs.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Headers(pub Vec<(String, String)>);

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.0.iter().map(|(name, _)| name);
        f.debug_list().entries(names).finish()
    }
}

/// Certificates for the way to a collector.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Whom to trust, instead of the system's own.
    pub certificate: Option<PathBuf>,
    /// The client's certificate.
    pub client_certificate: Option<PathBuf>,
    /// Its key.
    pub client_key: Option<PathBuf>,
}

/// The form of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC over HTTP/2.
    Grpc,
    /// Protocol buffers in HTTP/1.1 requests.
    HttpProtobuf,
}

/// How spans are collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Spans that may wait.
    pub queue: usize,
    /// Spans of one transfer at most.
    pub size: usize,
    /// Longest wait of a span that is no whole batch's.
    pub delay: Duration,
}

/// Bounds on what one span holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Attributes.
    pub attributes: usize,
    /// Characters of a text.
    pub characters: usize,
    /// Links.
    pub links: usize,
}

impl Settings {
    /// Whether anything is sent.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.traces.is_some() || self.metrics.is_some()
    }
}
