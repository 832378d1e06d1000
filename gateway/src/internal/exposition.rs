//! `/metrics`: the answer to a scrape.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use http::{HeaderMap, HeaderName, StatusCode, header};
use linnet_telemetry::exposition;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::{GatewayMetrics, Internal};
use crate::metrics::Exemplar;

/// All metrics, added up now.
pub(super) async fn metrics(
    State(internal): State<Internal>,
    headers: HeaderMap,
) -> Result<([(HeaderName, &'static str); 1], String), StatusCode> {
    let text = internal.metrics.text();
    // Writing to a string can't fail.
    let text = text.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|value| value.to_str().ok());
    let (kind, text) = exposition::answer(accept, text);
    Ok(([(header::CONTENT_TYPE, kind)], text))
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

#[cfg(test)]
mod tests {
    use linnet_telemetry::Context;

    use super::*;

    const TEXT: &str = "# HELP c C.\n# TYPE c histogram\nc_sum 1\nc_count 2\nc_bucket{le=\"1.0\"} 1\nc_bucket{le=\"+Inf\"} 2\n# EOF\n";

    #[test]
    fn an_exemplar_stands_behind_its_bucket() {
        let trace = Context::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let exemplar = Exemplar {
            trace: trace.unwrap(),
            seconds: 0.5,
            at: 1500,
        };
        let text = with_exemplars(TEXT, "c_bucket", &[None, Some(exemplar)]);
        let line =
            "c_bucket{le=\"+Inf\"} 2 # {trace_id=\"0af7651916cd43dd8448eb211c80319c\"} 0.5 1.5\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("c_bucket{le=\"1.0\"} 1\n") && text.ends_with("# EOF\n"));
    }
}
