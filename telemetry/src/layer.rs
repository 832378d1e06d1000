//! Spans of `tracing`, for processes without a hot path: a layer that hands them to the same queue.

use std::borrow::Cow;

use opentelemetry::trace::{SpanKind, Status, TracerProvider as _};
use opentelemetry::{KeyValue, Value as Any};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    Sampler, SdkTracerProvider, Span as Active, SpanData, SpanProcessor,
};
use tracing_subscriber::registry::LookupSpan;

use crate::span::{Kind, Span, Value};
use crate::{Context, queue};

/// Records `rate` in a million of the process's root spans, with all that is in them.
pub fn layer<S>(rate: u32) -> impl tracing_subscriber::Layer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let share = f64::from(rate) / 1e6;
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share)));
    let provider = SdkTracerProvider::builder()
        .with_sampler(sampler)
        .with_span_processor(ToQueue)
        .build();
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("linnet"))
        .with_location(false)
        .with_threads(false)
}

#[derive(Debug)]
struct ToQueue;

impl SpanProcessor for ToQueue {
    fn on_start(&self, _span: &mut Active, _context: &opentelemetry::Context) {}

    fn on_end(&self, span: SpanData) {
        queue::emit(converted(span));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(()) // the exporter's end does
    }

    fn shutdown_with_timeout(&self, _timeout: std::time::Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn converted(span: SpanData) -> Span {
    let nanoseconds = |time: std::time::SystemTime| {
        let since = time.duration_since(std::time::UNIX_EPOCH);
        u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
    };
    let context = |of: &opentelemetry::trace::SpanContext| Context {
        trace: of.trace_id().to_bytes(),
        span: of.span_id().to_bytes(),
        sampled: of.is_sampled(),
    };
    let parent = span.parent_span_id;
    Span {
        kind: match span.span_kind {
            SpanKind::Client => Kind::Client,
            SpanKind::Server => Kind::Server,
            SpanKind::Producer => Kind::Producer,
            SpanKind::Consumer => Kind::Consumer,
            SpanKind::Internal => Kind::Internal,
        },
        context: context(&span.span_context),
        parent: (parent != opentelemetry::trace::SpanId::INVALID).then(|| parent.to_bytes()),
        start: nanoseconds(span.start_time),
        end: nanoseconds(span.end_time),
        attributes: span.attributes.into_iter().map(attribute).collect(),
        links: span
            .links
            .iter()
            .map(|link| context(&link.span_context))
            .collect(),
        error: match span.status {
            Status::Error { description } => Some(description),
            Status::Ok | Status::Unset => None,
        },
        name: span.name,
    }
}

fn attribute(pair: KeyValue) -> (Cow<'static, str>, Value) {
    let value = match pair.value {
        Any::Bool(flag) => Value::Flag(flag),
        Any::I64(number) => Value::Integer(number),
        Any::F64(number) => Value::Float(number),
        Any::String(text) => Value::Text(text.as_str().into()),
        other => Value::Text(other.to_string().into()),
    };
    (Cow::Owned(pair.key.as_str().to_owned()), value)
}
