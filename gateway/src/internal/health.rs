//! Whether the gateway lives, is ready, and what it is at.

use std::fmt::Write;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;

use super::Internal;

/// Answers as long as the process runs its loop: a gateway that drains or has a broken manifest is
/// not to be killed for it.
pub(super) async fn live() -> &'static str {
    "alive\n"
}

/// 200 when clients may be sent here, else 503 and the reasons, one a line. What is wrong without
/// being a reason to send nobody stands in the body of a 200.
pub(super) async fn ready(State(internal): State<Internal>) -> (StatusCode, String) {
    let reasons = internal.lifecycle.unready();
    let (status, mut body) = match reasons {
        [] => (StatusCode::OK, "ready\n".to_owned()),
        reasons => {
            let lines = reasons.iter().map(|reason| format!("{reason}\n"));
            (StatusCode::SERVICE_UNAVAILABLE, lines.collect())
        }
    };
    // A broker that all gateways share must not empty the Service when it is away for a while.
    for complaint in internal
        .broker
        .iter()
        .flat_map(|broker| broker.complaints())
    {
        let _ = writeln!(body, "broker: {complaint}");
    }
    if let Some(error) = &internal.config.status().error {
        for problem in error.lines() {
            // Writing to a string can't fail.
            let _ = writeln!(
                body,
                "warning: the manifest's last change is not in force: {problem}"
            );
        }
    }
    for problem in internal
        .config
        .status()
        .warning
        .iter()
        .flat_map(|warning| warning.lines())
    {
        let _ = writeln!(body, "warning: passed over: {problem}");
    }
    (status, body)
}

/// The state as the operator reads it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    name: String,
    version: &'static str,
    connections: usize,
    moving: usize,
    draining: bool,
    config_hash: String,
    config_error: Option<String>,
    config_warning: Option<String>,
}

impl Status {
    /// The state of a gateway that has no manifest to serve, for this reason.
    pub(super) fn without_a_manifest(name: String, reason: String) -> Self {
        Self {
            name,
            version: env!("CARGO_PKG_VERSION"),
            connections: 0,
            moving: 0,
            draining: false,
            config_hash: String::new(),
            config_error: Some(reason),
            config_warning: None,
        }
    }
}

/// The state.
pub(super) async fn status(State(internal): State<Internal>) -> Json<Status> {
    let config = internal.config.status();
    Json(Status {
        name: internal.name.to_string(),
        version: env!("CARGO_PKG_VERSION"),
        connections: internal.public.connections(),
        moving: internal.shards.moving(),
        draining: internal.lifecycle.is_draining(),
        config_hash: config.hash.to_string(),
        config_error: config.error.as_deref().map(str::to_owned),
        config_warning: config.warning.as_deref().map(str::to_owned),
    })
}
