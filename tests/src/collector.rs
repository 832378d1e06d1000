//! A collector that takes OTLP over gRPC and over HTTP, and remembers all of it.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::wait::{STEP, until, within};

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

/// A span as it came, with the process that sent it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The span.
    pub span: Span,
    /// The process's attributes.
    pub process: Vec<KeyValue>,
}

impl Seen {
    /// The trace and the span, as a link names them.
    #[must_use]
    pub fn id(&self) -> (Vec<u8>, Vec<u8>) {
        (self.span.trace_id.clone(), self.span.span_id.clone())
    }

    /// Whether it is part of `other`.
    #[must_use]
    pub fn is_in(&self, other: &Self) -> bool {
        self.span.trace_id == other.span.trace_id && self.span.parent_span_id == other.span.span_id
    }

    /// The traces and spans that it is linked to.
    #[must_use]
    pub fn links(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let links = self.span.links.iter();
        links
            .map(|link| (link.trace_id.clone(), link.span_id.clone()))
            .collect()
    }

    /// The text of an attribute, numbers and flags written out; empty where there is none.
    #[must_use]
    pub fn attribute(&self, name: &str) -> String {
        text(&self.span.attributes, name)
    }

    /// The text of an attribute of the process.
    #[must_use]
    pub fn process(&self, name: &str) -> String {
        text(&self.process, name)
    }
}

fn text(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|pair| pair.key == name);
    match found.and_then(|pair| pair.value.as_ref()?.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::DoubleValue(number)) => number.to_string(),
        Some(Any::BoolValue(flag)) => flag.to_string(),
        _ => String::new(),
    }
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
            .route("/v1/traces", post(traces))
            .route("/v1/metrics", post(metrics))
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
        let mut spans = self.spans();
        spans.retain(|seen| seen.span.name == name);
        spans
    }

    /// Awaits `count` spans of that name; gives all there are.
    pub async fn awaited(&self, name: &str, count: usize) -> Vec<Seen> {
        let enough = || async {
            let spans = self.named(name);
            (spans.len() >= count).then_some(spans)
        };
        until(("spans", name, count), enough).await
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

    fn keep_traces(&self, request: ExportTraceServiceRequest) {
        let mut got = self.got();
        got.bytes.extend(request.encode_to_vec());
        for resource in request.resource_spans {
            let process = resource.resource.unwrap_or_default().attributes;
            for span in resource.scope_spans.into_iter().flat_map(|of| of.spans) {
                let process = process.clone();
                got.spans.push(Seen { span, process });
            }
        }
    }

    fn keep_metrics(&self, request: ExportMetricsServiceRequest) {
        let mut got = self.got();
        got.bytes.extend(request.encode_to_vec());
        for resource in request.resource_metrics {
            let metrics = resource.scope_metrics.into_iter().flat_map(|of| of.metrics);
            got.metrics.extend(metrics);
        }
    }
}

fn of_http(headers: &HeaderMap) -> Vec<(String, String)> {
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| {
            (
                name.to_string(),
                value.to_str().unwrap_or_default().to_owned(),
            )
        })
        .collect()
}

async fn traces(
    State(collector): State<Collector>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Vec<u8>) {
    collector.asked(of_http(&headers));
    match collector.manner() {
        Manner::Well => {
            let request = ExportTraceServiceRequest::decode(unpacked(&headers, &body)).unwrap();
            collector.keep_traces(request);
            let answer = ExportTraceServiceResponse::default();
            (StatusCode::OK, answer.encode_to_vec())
        }
        manner => (misbehave(manner).await, vec![0xff; 100_000]),
    }
}

async fn metrics(
    State(collector): State<Collector>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Vec<u8>) {
    collector.asked(of_http(&headers));
    match collector.manner() {
        Manner::Well => {
            let request = ExportMetricsServiceRequest::decode(unpacked(&headers, &body)).unwrap();
            collector.keep_metrics(request);
            let answer = ExportMetricsServiceResponse::default();
            (StatusCode::OK, answer.encode_to_vec())
        }
        manner => (misbehave(manner).await, vec![0xff; 100_000]),
    }
}

async fn misbehave(manner: Manner) -> StatusCode {
    match manner {
        Manner::Silent => std::future::pending().await,
        Manner::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Manner::Well | Manner::Lying => StatusCode::OK,
    }
}

fn unpacked(headers: &HeaderMap, body: &Bytes) -> Bytes {
    if headers.get("content-encoding").is_none() {
        return body.clone();
    }
    let mut plain = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(body.as_ref());
    std::io::Read::read_to_end(&mut decoder, &mut plain).unwrap();
    plain.into()
}

fn of_grpc<T>(request: &Request<T>) -> Vec<(String, String)> {
    of_http(&request.metadata().clone().into_headers())
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.asked(of_grpc(&request));
        match self.manner() {
            Manner::Well => {
                self.keep_traces(request.into_inner());
                Ok(Response::new(Default::default()))
            }
            Manner::Silent => std::future::pending().await,
            Manner::Busy => Err(Status::unavailable("busy")),
            // More refused than were sent, and less than none are equally absurd.
            Manner::Lying => Ok(Response::new(ExportTraceServiceResponse {
                partial_success: Some(ExportTracePartialSuccess {
                    rejected_spans: i64::MAX,
                    error_message: "no".repeat(10_000),
                }),
            })),
        }
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.asked(of_grpc(&request));
        match self.manner() {
            Manner::Well => {
                self.keep_metrics(request.into_inner());
                Ok(Response::new(Default::default()))
            }
            _ => {
                tokio::time::sleep(Duration::from_millis(1)).await;
                Err(Status::unavailable("busy"))
            }
        }
    }
}
