//! `/metrics`: the answer to a scrape.

use axum::extract::State;
use http::{HeaderName, StatusCode, header};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::Internal;

/// OpenMetrics 1.0, which every Prometheus since 2.5 reads, and which others take for the older
/// text format without harm.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics, added up now.
pub(super) async fn metrics(
    State(internal): State<Internal>,
) -> Result<([(HeaderName, &'static str); 1], String), StatusCode> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(internal.metrics));
    let mut text = String::with_capacity(16 * 1024);
    // Writing to a string can't fail.
    encode(&mut text, &registry).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text))
}
