//! The relay's own port: whether it lives, whether it is ready, what it measures.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::{HeaderName, StatusCode, header};

use crate::metrics::Metrics;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The routes.
pub fn router(metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(text))
        .with_state(metrics)
}

/// 200 while it takes part in the work. A gateway that is away does not change that: the rows wait, and the metrics tell.
async fn ready(State(metrics): State<Arc<Metrics>>) -> (StatusCode, &'static str) {
    match metrics.is_connected() {
        true => (StatusCode::OK, "ready\n"),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            "no connection to the database\n",
        ),
    }
}

async fn text(
    State(metrics): State<Arc<Metrics>>,
) -> Result<([(HeaderName, &'static str); 1], String), StatusCode> {
    // Writing to a text can't fail.
    let text = metrics
        .text()
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn ask(metrics: &Arc<Metrics>, path: &str) -> StatusCode {
        let router = router(Arc::clone(metrics));
        let request = Request::get(path).body(Body::empty()).unwrap();
        router.oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn it_lives_at_once_and_is_ready_with_a_database() {
        let metrics = Arc::new(Metrics::default());
        assert_eq!(ask(&metrics, "/livez").await, 200);
        assert_eq!(ask(&metrics, "/metrics").await, 200);
        assert_eq!(ask(&metrics, "/readyz").await, 503);
        metrics.connected(true);
        assert_eq!(ask(&metrics, "/readyz").await, 200);
    }
}
