//! The operator's own port: whether it lives, whether it is ready, what it measures. A standby answers like a leader.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::{HeaderMap, HeaderName, StatusCode, header};
use linnet_telemetry::exposition;
use tokio::net::TcpListener;

use crate::controller::Context;
use crate::leader::Leadership;
use crate::metrics::{Exposition, Metrics, Objects};

/// What the port tells about.
#[derive(Clone)]
pub struct Health {
    leadership: Leadership,
    metrics: Arc<Metrics>,
    /// What this process knows while it leads.
    context: Arc<Mutex<Option<Arc<Context>>>>,
}

impl Health {
    /// Of a process that has this leadership and counts here.
    #[must_use]
    pub fn new(leadership: Leadership, metrics: Arc<Metrics>) -> Self {
        Self {
            leadership,
            metrics,
            context: Arc::default(),
        }
    }

    /// The process serves channels with this context, or none.
    pub fn serves(&self, context: Option<Arc<Context>>) {
        *self.context.lock().unwrap_or_else(PoisonError::into_inner) = context;
    }

    /// All metrics, as they are now, in the OpenMetrics text format.
    ///
    /// # Errors
    /// None in practice: it writes to a text.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let exposition = Exposition {
            metrics: Arc::clone(&self.metrics),
            objects: self.objects(),
            leads: self.leadership.is_leading(),
        };
        exposition.text()
    }

    fn objects(&self) -> Objects {
        let context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        let context = context.clone();
        context.map(|context| context.objects()).unwrap_or_default()
    }
}

/// The routes.
pub fn router(health: Health) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health)
}

/// Serves the port until it is dropped.
///
/// # Errors
/// None in practice: what goes wrong with one connection ends only that.
pub async fn serve(listener: TcpListener, health: Health) -> std::io::Result<()> {
    axum::serve(listener, router(health)).await
}

/// 200 once the API server has answered about the lease: from then on this process leads, or could. The body says which.
async fn ready(State(health): State<Health>) -> (StatusCode, String) {
    let leadership = &health.leadership;
    if leadership.is_leading() {
        return (StatusCode::OK, "leading\n".to_owned());
    }
    match leadership.holder() {
        Some(Some(holder)) => (StatusCode::OK, format!("standing by: {holder} leads\n")),
        Some(None) => (StatusCode::OK, "standing by\n".to_owned()),
        None => {
            let reason = "the API server has not said yet who leads\n";
            (StatusCode::SERVICE_UNAVAILABLE, reason.to_owned())
        }
    }
}

async fn metrics(
    State(health): State<Health>,
    headers: HeaderMap,
) -> Result<([(HeaderName, &'static str); 1], String), StatusCode> {
    let text = health.text();
    // Writing to a string can't fail.
    let text = text.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|value| value.to_str().ok());
    let (kind, text) = exposition::answer(accept, text);
    Ok(([(header::CONTENT_TYPE, kind)], text))
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn ask(leadership: Leadership, path: &str) -> (u16, String) {
        accepting(leadership, path, "*/*").await
    }

    async fn accepting(leadership: Leadership, path: &str, accept: &str) -> (u16, String) {
        let router = router(Health::new(leadership, Arc::new(Metrics::new())));
        let request = Request::get(path).header("accept", accept);
        let request = request.body(Body::empty()).unwrap();
        let answer = router.oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body(), 100_000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn one_that_has_not_reached_the_api_server_lives_but_is_not_ready() {
        let unheard = || Leadership::of(None, None);
        assert_eq!(ask(unheard(), "/livez").await.0, 200);
        assert_eq!(ask(unheard(), "/readyz").await.0, 503);
    }

    #[tokio::test]
    async fn a_standby_is_ready_and_says_who_leads() {
        let standby = Leadership::of(None, Some(Some("other_1")));
        assert_eq!(
            ask(standby, "/readyz").await,
            (200, "standing by: other_1 leads\n".into())
        );
        assert_eq!(
            ask(Leadership::alone(), "/readyz").await,
            (200, "leading\n".into())
        );
    }

    #[tokio::test]
    async fn metrics_say_who_leads() {
        let (status, text) = ask(Leadership::alone(), "/metrics").await;
        assert_eq!(status, 200);
        assert!(text.contains("linnet_operator_leader 1"), "{text}");
        assert!(text.ends_with("# EOF\n"));
        let (_, older) = accepting(Leadership::alone(), "/metrics", "text/plain").await;
        assert!(older.contains("linnet_operator_leader 1") && !older.contains("# EOF"));
    }
}
