//! What is sent to a collector: spans and metrics, each by a service of its own and with an answer of its own.

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

/// A request of OTLP.
pub(crate) trait Transfer: Message + Clone {
    /// What is answered.
    type Answer: Message + Default;

    /// Calls its service.
    async fn call(
        channel: Channel,
        gzip: bool,
        request: Request<Self>,
    ) -> Result<Response<Self::Answer>, Status>;

    /// How many items an answer says were refused.
    fn refused(answer: Self::Answer) -> Option<i64>;
}

impl Transfer for ExportTraceServiceRequest {
    type Answer = ExportTraceServiceResponse;

    async fn call(
        channel: Channel,
        gzip: bool,
        request: Request<Self>,
    ) -> Result<Response<Self::Answer>, Status> {
        let mut client = TraceServiceClient::new(channel);
        if gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        client.export(request).await
    }

    fn refused(answer: Self::Answer) -> Option<i64> {
        answer.partial_success.map(|part| part.rejected_spans)
    }
}

impl Transfer for ExportMetricsServiceRequest {
    type Answer = ExportMetricsServiceResponse;

    async fn call(
        channel: Channel,
        gzip: bool,
        request: Request<Self>,
    ) -> Result<Response<Self::Answer>, Status> {
        let mut client = MetricsServiceClient::new(channel);
        if gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        client.export(request).await
    }

    fn refused(answer: Self::Answer) -> Option<i64> {
        answer.partial_success.map(|part| part.rejected_data_points)
    }
}
