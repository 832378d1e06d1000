//! How a collector takes what it is sent, over HTTP and over gRPC, or misbehaves.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::MetricsService;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceService;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tonic::{Request, Response, Status};

use super::{Collector, Got, Manner, Seen};

/// What is sent to a collector.
pub(super) trait Sent: Message + Default {
    /// What is answered where all is well.
    type Answer: Message + Default;

    fn keep(self, got: &mut Got);
}

impl Sent for ExportTraceServiceRequest {
    type Answer = ExportTraceServiceResponse;

    fn keep(self, got: &mut Got) {
        for resource in self.resource_spans {
            let process = resource.resource.unwrap_or_default().attributes;
            for span in resource.scope_spans.into_iter().flat_map(|of| of.spans) {
                let process = process.clone();
                got.spans.push(Seen { span, process });
            }
        }
    }
}

impl Sent for ExportMetricsServiceRequest {
    type Answer = ExportMetricsServiceResponse;

    fn keep(self, got: &mut Got) {
        for resource in self.resource_metrics {
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

pub(super) async fn taken<T: Sent>(
    State(collector): State<Collector>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Vec<u8>) {
    collector.asked(of_http(&headers));
    match collector.manner() {
        Manner::Well => {
            collector.keep(T::decode(unpacked(&headers, &body)).unwrap());
            (StatusCode::OK, T::Answer::default().encode_to_vec())
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
                self.keep(request.into_inner());
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
                self.keep(request.into_inner());
                Ok(Response::new(Default::default()))
            }
            _ => Err(Status::unavailable("busy")),
        }
    }
}
