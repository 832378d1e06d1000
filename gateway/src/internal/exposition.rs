//! `/metrics`: the answer to a scrape.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use http::{HeaderMap, HeaderName, StatusCode, header};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::{GatewayMetrics, Internal};
use crate::metrics::Exemplar;

/// OpenMetrics 1.0, which every Prometheus since 2.5 reads, and which carries exemplars.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The older format, for who asks for nothing newer.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics, added up now.
pub(super) async fn metrics(
    State(internal): State<Internal>,
    headers: HeaderMap,
) -> Result<([(HeaderName, &'static str); 1], String), StatusCode> {
    let text = internal.metrics.text();
    // Writing to a string can't fail.
    let text = text.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    Ok(match accept {
        Some(accept) if wants_older(accept) => ([(header::CONTENT_TYPE, TEXT)], older(&text)),
        _ => ([(header::CONTENT_TYPE, OPEN_METRICS)], text),
    })
}

impl GatewayMetrics {
    /// All metrics, added up now, in the OpenMetrics text format.
    ///
    /// # Errors
    /// None in practice: it writes to a text.
    pub fn text(self: &Arc<Self>) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Arc::clone(self)));
        let mut text = String::with_capacity(16 * 1024);
        encode(&mut text, &registry)?;
        // A bucket's last trace, of whichever shard has one.
        let exemplars = self.shards.iter().map(|shard| shard.delivery.exemplars());
        let mut last: Vec<Option<Exemplar>> = Vec::new();
        for of in exemplars {
            last.resize(of.len(), None);
            for (last, new) in last.iter_mut().zip(of) {
                *last = new.or(*last);
            }
        }
        if last.iter().any(Option::is_some) {
            text = with_exemplars(&text, "linnet_delivery_latency_seconds_bucket", &last);
        }
        Ok(text)
    }
}

/// Puts exemplars behind the buckets of a histogram, in order.
fn with_exemplars(text: &str, bucket: &str, exemplars: &[Option<Exemplar>]) -> String {
    let mut out = String::with_capacity(text.len() + 128 * exemplars.len());
    let mut exemplars = exemplars.iter();
    for line in text.lines() {
        out.push_str(line);
        if line.starts_with(bucket)
            && let Some(Some(exemplar)) = exemplars.next()
        {
            let at = exemplar.at as f64 / 1e3;
            let Exemplar { trace, seconds, .. } = exemplar;
            // Writing to a string can't fail.
            let _ = write!(
                out,
                " # {{trace_id=\"{}\"}} {seconds} {at}",
                trace.trace_id()
            );
        }
        out.push('\n');
    }
    out
}

fn wants_older(accept: &str) -> bool {
    accept.contains("text/plain") && !accept.contains("openmetrics")
}

/// OpenMetrics as the text format 0.0.4: a family bears the name of its samples, and what that format does not know goes.
fn older(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut suffix = "";
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let Some(comment) = line.strip_prefix("# ") else {
            let sample = line.split_once(" # ").map_or(*line, |(sample, _)| sample);
            out.push_str(sample);
            out.push('\n');
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        let (word, name, rest) = (words.next(), words.next(), words.next());
        let (Some(word @ ("HELP" | "TYPE")), Some(name), Some(rest)) = (word, name, rest) else {
            continue;
        };
        if word == "HELP" {
            // The type stands in the next line.
            let kind = lines
                .get(index + 1)
                .and_then(|next| next.rsplit(' ').next());
            suffix = match kind {
                Some("counter") => "_total",
                Some("info") => "_info",
                _ => "",
            };
        }
        let rest = if rest == "info" && word == "TYPE" {
            "gauge"
        } else {
            rest
        };
        // Writing to a string can't fail.
        let _ = writeln!(out, "# {word} {name}{suffix} {rest}");
    }
    out
}

#[cfg(test)]
mod tests {
    use linnet_telemetry::Context;

    use super::*;

    const NEWER: &str = "# HELP a_bytes A.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\na_bytes_total 3\n\
        # HELP build B.\n# TYPE build info\nbuild_info{version=\"1\"} 1\n\
        # HELP c C.\n# TYPE c histogram\nc_sum 1\nc_count 2\nc_bucket{le=\"1.0\"} 1\nc_bucket{le=\"+Inf\"} 2\n# EOF\n";

    #[test]
    fn who_asks_for_the_older_format_gets_it() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert!(!wants_older(prometheus) && !wants_older("*/*"));
        assert!(wants_older("text/plain;version=0.0.4"));
        let expected = "# HELP a_bytes_total A.\n# TYPE a_bytes_total counter\na_bytes_total 3\n\
            # HELP build_info B.\n# TYPE build_info gauge\nbuild_info{version=\"1\"} 1\n\
            # HELP c C.\n# TYPE c histogram\nc_sum 1\nc_count 2\nc_bucket{le=\"1.0\"} 1\nc_bucket{le=\"+Inf\"} 2\n";
        assert_eq!(older(NEWER), expected);
    }

    #[test]
    fn an_exemplar_stands_behind_its_bucket_and_not_in_the_older_format() {
        let trace = Context::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let exemplar = Exemplar {
            trace: trace.unwrap(),
            seconds: 0.5,
            at: 1500,
        };
        let text = with_exemplars(NEWER, "c_bucket", &[None, Some(exemplar)]);
        let line =
            "c_bucket{le=\"+Inf\"} 2 # {trace_id=\"0af7651916cd43dd8448eb211c80319c\"} 0.5 1.5\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("c_bucket{le=\"1.0\"} 1\n") && text.ends_with("# EOF\n"));
        assert_eq!(older(&text), older(NEWER));
    }
}
