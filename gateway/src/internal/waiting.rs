//! The internal port of a gateway that has no manifest to serve yet.
//!
//! Under the operator a gateway may start on a manifest that it can't serve: it is older than the operator, or the file
//! is not there yet. To end would be a crash loop, whose growing pauses delay the good manifest; so it waits, alive and
//! not ready, and says why.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::health::{self, Status};
use crate::cli::Serve;
use crate::config::watch::files::{self, Next};
use crate::config::watch::manifest::{self, LoadError, Loaded};

/// How long an answer that is on its way when the wait ends may take.
const LAST_ANSWERS: Duration = Duration::from_millis(100);

/// What the port tells.
struct Waiting {
    name: String,
    /// What is wrong with the manifest, one problem a line.
    reason: ArcSwap<String>,
}

/// Serves `listener` until the file holds a manifest that can be served. `error` is what is wrong with it now.
///
/// # Errors
/// When the system gives no thread to watch the file.
pub async fn until_good(
    options: &Serve,
    error: LoadError,
    listener: TcpListener,
) -> anyhow::Result<Loaded> {
    tell(&options.channel, &error);
    let waiting = Arc::new(Waiting {
        name: options.gateway_name(),
        reason: ArcSwap::from_pointee(error.to_string()),
    });
    let (found, mut good) = mpsc::channel(1);
    let (author, state) = (options.author(), Arc::clone(&waiting));
    let look = move |path: &Path| match manifest::load(path, author) {
        Ok(loaded) => {
            // Who waits for it may have been ended by a signal.
            let _ = found.try_send(loaded);
            Next::Stop
        }
        Err(error) => {
            let reason = error.to_string();
            if **state.reason.load() != reason {
                tell(path, &error);
                state.reason.store(Arc::new(reason));
            }
            Next::GoOn
        }
    };
    files::watch(options.channel.clone(), look)?;
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let serving = axum::serve(listener, router(waiting)).with_graceful_shutdown(async {
        let _ = ended.await;
    });
    let serving = tokio::spawn(serving.into_future());
    let loaded = good.recv().await.context("the manifest's watch has ended");
    // The listener must be gone before the gateway binds its address anew.
    let _ = end.send(());
    let abort = serving.abort_handle();
    if tokio::time::timeout(LAST_ANSWERS, serving).await.is_err() {
        abort.abort();
    }
    tracing::info!("there is a manifest to serve");
    loaded
}

fn tell(path: &Path, error: &LoadError) {
    for problem in error.to_string().lines() {
        tracing::error!(file = %path.display(), "waiting for a manifest that can be served: {problem}");
    }
}

fn router(waiting: Arc<Waiting>) -> Router {
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(ready))
        .route("/status", get(status))
        .with_state(waiting)
}

async fn ready(State(waiting): State<Arc<Waiting>>) -> (StatusCode, String) {
    let reason = waiting.reason.load();
    let lines = reason
        .lines()
        .map(|problem| format!("the manifest can't be served: {problem}\n"));
    (StatusCode::SERVICE_UNAVAILABLE, lines.collect())
}

async fn status(State(waiting): State<Arc<Waiting>>) -> Json<Status> {
    Json(Status::without_a_manifest(
        waiting.name.clone(),
        waiting.reason.load().to_string(),
    ))
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use http::Request;
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;

    async fn answer(path: &str) -> (StatusCode, String) {
        let waiting = Waiting {
            name: "gw-0".into(),
            reason: ArcSwap::from_pointee("line 3: spec.console: no\nline 4: x".into()),
        };
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router(Arc::new(waiting)).oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_gateway_without_a_manifest_lives_is_unready_and_says_why() {
        assert_eq!(answer("/livez").await.0, StatusCode::OK);
        let (code, body) = answer("/readyz").await;
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("line 3: spec.console") && body.lines().count() == 2);
        let status: Value = serde_json::from_str(&answer("/status").await.1).unwrap();
        assert_eq!(status["configHash"], "");
        assert_eq!(status["name"], "gw-0");
        assert!(status["configError"].as_str().unwrap().contains("line 4"));
    }
}
