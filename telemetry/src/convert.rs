//! Spans and metrics as OTLP's messages.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value as Any,
};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric as Sent, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span as SentSpan, Status, span::Link, span::SpanKind,
    status::StatusCode,
};

use crate::metric::{Metric, MetricKind, Reading};
use crate::settings::Limits;
use crate::{Context, Kind, Span, Value};

/// The flag of a recorded trace (W3C Trace Context §3.2.2.5).
const SAMPLED: u32 = 1;

/// A transfer of spans.
pub(crate) fn traces(
    spans: Vec<Span>,
    resource: &[(String, String)],
    limits: &Limits,
) -> ExportTraceServiceRequest {
    let spans = spans.into_iter().map(|span| sent(span, limits)).collect();
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(of_process(resource)),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope()),
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

/// A transfer of metrics that count since `start`, as they are at `now`.
pub(crate) fn metrics(
    metrics: Vec<Metric>,
    resource: &[(String, String)],
    start: u64,
    now: u64,
) -> ExportMetricsServiceRequest {
    let metrics = metrics.into_iter();
    let metrics = metrics.map(|metric| measured(metric, start, now)).collect();
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(of_process(resource)),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(scope()),
                metrics,
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

fn sent(span: Span, limits: &Limits) -> SentSpan {
    let Span {
        name,
        kind,
        context,
        parent,
        start,
        end,
        mut attributes,
        mut links,
        error,
    } = span;
    let beyond = |length: usize, most: usize| u32::try_from(length.saturating_sub(most));
    let dropped_attributes_count = beyond(attributes.len(), limits.attributes).unwrap_or(u32::MAX);
    let dropped_links_count = beyond(links.len(), limits.links).unwrap_or(u32::MAX);
    attributes.truncate(limits.attributes);
    links.truncate(limits.links);
    let status = error.map(|error| Status {
        message: error.into_owned(),
        code: StatusCode::Error as i32,
    });
    SentSpan {
        trace_id: context.trace.to_vec(),
        span_id: context.span.to_vec(),
        parent_span_id: parent.map(|id| id.to_vec()).unwrap_or_default(),
        flags: SAMPLED,
        name: name.into_owned(),
        kind: match kind {
            Kind::Internal => SpanKind::Internal,
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
        } as i32,
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        attributes: attributes
            .into_iter()
            .map(|(name, value)| KeyValue {
                key: name.into_owned(),
                value: Some(any(value, limits.characters)),
                ..KeyValue::default()
            })
            .collect(),
        dropped_attributes_count,
        links: links.iter().map(link).collect(),
        dropped_links_count,
        status,
        ..SentSpan::default()
    }
}

fn link(to: &Context) -> Link {
    Link {
        trace_id: to.trace.to_vec(),
        span_id: to.span.to_vec(),
        flags: u32::from(to.sampled),
        ..Link::default()
    }
}

fn any(value: Value, characters: usize) -> AnyValue {
    let value = match value {
        Value::Word(text) => Any::StringValue(text.to_owned()),
        Value::Shared(text) => Any::StringValue(cut(&text, characters)),
        Value::Text(text) => Any::StringValue(cut(&text, characters)),
        Value::Integer(number) => Any::IntValue(number),
        Value::Float(number) => Any::DoubleValue(number),
        Value::Flag(flag) => Any::BoolValue(flag),
    };
    AnyValue { value: Some(value) }
}

fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => text[..end].to_owned(),
        None => text.to_owned(),
    }
}

fn measured(metric: Metric, start: u64, now: u64) -> Sent {
    let cumulative = AggregationTemporality::Cumulative as i32;
    let number = |value: &Reading| match value {
        Reading::Number(number) => *number,
        Reading::Histogram { sum, .. } => *sum,
    };
    let numbers = || {
        let series = metric.series.iter();
        series.map(|series| NumberDataPoint {
            attributes: labels(&series.labels),
            start_time_unix_nano: start,
            time_unix_nano: now,
            value: Some(number_data_point::Value::AsDouble(number(&series.value))),
            ..NumberDataPoint::default()
        })
    };
    let data = match metric.kind {
        MetricKind::Gauge => Data::Gauge(Gauge {
            data_points: numbers().collect(),
        }),
        MetricKind::Counter => Data::Sum(Sum {
            data_points: numbers().collect(),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        MetricKind::Histogram => Data::Histogram(Histogram {
            data_points: metric
                .series
                .iter()
                .filter_map(|series| match &series.value {
                    Reading::Number(_) => None,
                    Reading::Histogram {
                        bounds,
                        counts,
                        sum,
                    } => Some(HistogramDataPoint {
                        attributes: labels(&series.labels),
                        start_time_unix_nano: start,
                        time_unix_nano: now,
                        count: counts.iter().sum(),
                        sum: Some(*sum),
                        bucket_counts: counts.clone(),
                        explicit_bounds: bounds.clone(),
                        ..HistogramDataPoint::default()
                    }),
                })
                .collect(),
            aggregation_temporality: cumulative,
        }),
    };
    // The unit is told by its suffix; UCUM's words for it are what OTLP expects beside.
    let bare = metric.name.strip_suffix("_total").unwrap_or(&metric.name);
    let unit = match bare.rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "1",
    };
    Sent {
        name: metric.name.clone(),
        description: metric.help.clone(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Sent::default()
    }
}

fn labels(labels: &[(String, String)]) -> Vec<KeyValue> {
    labels
        .iter()
        .map(|(name, value)| pair(name, value))
        .collect()
}

fn pair(name: &str, value: &str) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue {
            value: Some(Any::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

fn of_process(resource: &[(String, String)]) -> Resource {
    Resource {
        attributes: labels(resource),
        ..Resource::default()
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "linnet".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        attributes: 2,
        characters: 3,
        links: 1,
    };

    #[test]
    fn a_span_keeps_its_ids_and_says_what_was_left_out() {
        let context = Context::new_trace(true);
        let mut span = Span::ended("publish", Kind::Producer, context, 5)
            .of(&context)
            .with("a", "constant")
            .with("b", "größer".to_owned())
            .with("c", true)
            .linked([context, context, context]);
        span.error = Some("forbidden".into());
        let request = traces(vec![span], &[("service.name".into(), "x".into())], &LIMITS);
        let spans = &request.resource_spans[0];
        assert_eq!(
            spans.resource.as_ref().unwrap().attributes[0],
            pair("service.name", "x")
        );
        let span = &spans.scope_spans[0].spans[0];
        assert_eq!(span.trace_id, context.trace);
        assert_eq!(span.parent_span_id, context.span);
        assert_eq!(
            (span.attributes.len(), span.dropped_attributes_count),
            (2, 1)
        );
        assert_eq!(span.attributes[1], pair("b", "grö"));
        assert_eq!((span.links.len(), span.dropped_links_count), (1, 2));
        assert_eq!(span.status.as_ref().unwrap().code, 2);
        assert_eq!(span.start_time_unix_nano, 5);
    }

    #[test]
    fn metrics_keep_their_kinds_and_tell_units() {
        let histogram = Reading::Histogram {
            bounds: vec![1.0],
            counts: vec![2, 3],
            sum: 9.0,
        };
        let metric = |name: &str, kind, value| Metric {
            name: name.into(),
            help: "h".into(),
            kind,
            series: vec![crate::metric::Series {
                labels: vec![("code".into(), "x".into())],
                value,
            }],
        };
        let sent = [
            metric("a_bytes_total", MetricKind::Counter, Reading::Number(4.0)),
            metric("b", MetricKind::Gauge, Reading::Number(1.0)),
            metric("c_seconds", MetricKind::Histogram, histogram),
        ];
        let request = metrics(sent.into(), &[], 1, 2);
        let sent = &request.resource_metrics[0].scope_metrics[0].metrics;
        let units: Vec<_> = sent.iter().map(|metric| metric.unit.as_str()).collect();
        assert_eq!(units, ["By", "1", "s"]);
        let Some(Data::Histogram(histogram)) = &sent[2].data else {
            panic!("{:?}", sent[2].data)
        };
        assert_eq!(histogram.data_points[0].count, 5);
        assert!(matches!(&sent[0].data, Some(Data::Sum(sum)) if sum.is_monotonic));
    }
}
