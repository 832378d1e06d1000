//! A collector that takes OTLP over gRPC and over HTTP, and remembers all of it.

mod receive;
mod seen;

use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::MetricsServiceServer;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceServiceServer;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use self::receive::{Sent, taken};
pub use self::seen::Seen;
use crate::wait::{STEP, until, within};

/// A span is sent at once, or a test would wait for the usual 5 s.
pub const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "50");
/// Spans and metrics go over gRPC.
pub const GRPC: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");

/// How a collector behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It takes what comes.
    Well,
    /// It never answers.
    Silent,
    /// It answers with what is no answer.
    Lying,
    /// It has no time, always.
    Busy,
}

/// A running collector; clones are the same one.
#[derive(Debug, Clone)]
pub struct Collector {
    /// Where it takes gRPC.
    pub grpc: SocketAddr,
    /// Where it takes HTTP.
    pub http: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    manner: Mutex<Manner>,
    got: Mutex<Got>,
}

#[derive(Debug, Default)]
struct Got {
    spans: Vec<Seen>,
    metrics: Vec<Metric>,
    /// Everything, as it came.
    bytes: Vec<u8>,
    headers: Vec<(String, String)>,
    requests: usize,
}

impl Collector {
    /// Starts one that behaves well.
    pub async fn start() -> Self {
        Self::mannered(Manner::Well).await
    }

    /// Starts one that behaves so.
    ///
    /// # Panics
    /// When there is no port for it.
    pub async fn mannered(manner: Manner) -> Self {
        let shared = Arc::new(Shared {
            manner: Mutex::new(manner),
            got: Mutex::default(),
        });
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let grpc = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let collector = Self {
            grpc: grpc.local_addr().unwrap(),
            http: http.local_addr().unwrap(),
            shared,
        };
        let router = Router::new()
            .route("/v1/traces", post(taken::<ExportTraceServiceRequest>))
            .route("/v1/metrics", post(taken::<ExportMetricsServiceRequest>))
            .with_state(collector.clone());
        tokio::spawn(axum::serve(http, router).into_future());
        let serving = Server::builder()
            .add_service(TraceServiceServer::new(collector.clone()))
            .add_service(MetricsServiceServer::new(collector.clone()))
            .serve_with_incoming(TcpIncoming::from(grpc));
        tokio::spawn(serving);
        collector
    }

    /// The address for HTTP.
    #[must_use]
    pub fn over_http(&self) -> String {
        format!("http://{}", self.http)
    }

    /// The address for gRPC.
    #[must_use]
    pub fn over_grpc(&self) -> String {
        format!("http://{}", self.grpc)
    }

    /// Behaves so from now on.
    pub fn behave(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    /// All spans so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Seen> {
        self.got().spans.clone()
    }

    /// All spans of that name so far.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<Seen> {
        let got = self.got();
        let named = got.spans.iter().filter(|seen| seen.span.name == name);
        named.cloned().collect()
    }

    /// How many spans of that name there are.
    #[must_use]
    pub fn count(&self, name: &str) -> usize {
        let got = self.got();
        got.spans
            .iter()
            .filter(|seen| seen.span.name == name)
            .count()
    }

    /// Awaits `count` spans of that name; gives all there are.
    pub async fn awaited(&self, name: &str, count: usize) -> Vec<Seen> {
        let enough = || async { (self.count(name) >= count).then_some(()) };
        until(("spans", name, count), enough).await;
        self.named(name)
    }

    /// Awaits the one span of that name that `test` likes.
    pub async fn span(&self, name: &str, test: impl Fn(&Seen) -> bool) -> Seen {
        let find = || async { self.named(name).into_iter().find(|seen| test(seen)) };
        until(("a span", name), find).await
    }

    /// Awaits a metric of that name.
    pub async fn metric(&self, name: &str) -> Metric {
        let find = || async {
            let got = self.got();
            got.metrics.iter().find(|of| of.name == name).cloned()
        };
        until(("a metric", name), find).await
    }

    /// Awaits that it was asked at all.
    pub async fn is_asked(&self) {
        let asked = || async { (self.got().requests > 0).then_some(()) };
        within(
            "a request to the collector",
            STEP,
            until("a request", asked),
        )
        .await;
    }

    /// Whether `text` stands in anything that came.
    #[must_use]
    pub fn saw(&self, text: impl AsRef<[u8]> + Debug) -> bool {
        let text = text.as_ref();
        let got = self.got();
        got.bytes.windows(text.len()).any(|part| part == text)
    }

    /// The value of a header of some request.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let got = self.got();
        let found = got.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.clone())
    }

    fn got(&self) -> MutexGuard<'_, Got> {
        self.shared.got.lock().unwrap()
    }

    fn manner(&self) -> Manner {
        *self.shared.manner.lock().unwrap()
    }

    fn asked(&self, headers: impl IntoIterator<Item = (String, String)>) {
        let mut got = self.got();
        got.requests += 1;
        got.headers.extend(headers);
    }

    fn keep<T: Sent>(&self, request: T) {
        let mut got = self.got();
        got.bytes.extend(request.encode_to_vec());
        request.keep(&mut got);
    }
}
