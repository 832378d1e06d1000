//! Moving some connections to other gateways, as the operator asks for after it has added some.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Internal;
use crate::drain::Phase;

/// Longest window, in seconds: that of a drain (`spec.rollout.drainSeconds`).
const LONGEST: u64 = 3600;

/// What is asked for. It is a state and no step: who asks twice moves nobody twice.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Rebalance {
    /// So many connections stay.
    keep: usize,
    /// Seconds over which the others are told to go.
    window_seconds: u64,
}

/// How it stands.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Moving {
    /// Connections that are open, those on their way included.
    connections: usize,
    /// Connections that are on their way.
    moving: usize,
}

/// Spreads the goodbyes of all connections but `keep` over the window. Where more may stay than do, those that were to
/// go and do not know yet stay. A JSON content type is required: no page in a browser sends one without being let to.
pub(super) async fn rebalance(
    State(internal): State<Internal>,
    Json(asked): Json<Rebalance>,
) -> Result<Json<Moving>, (StatusCode, String)> {
    if !(1..=LONGEST).contains(&asked.window_seconds) {
        let told = format!("windowSeconds must be from 1 to {LONGEST}\n");
        return Err((StatusCode::UNPROCESSABLE_ENTITY, told));
    }
    if internal.lifecycle.phase() != Phase::Serving {
        let reasons = internal.lifecycle.unready().join("\n");
        return Err((StatusCode::CONFLICT, format!("{reasons}\n")));
    }
    let window = Duration::from_secs(asked.window_seconds);
    let moving = internal.shards.thin(asked.keep, window).await;
    let connections = internal.public.connections();
    tracing::info!(
        keep = asked.keep,
        window_seconds = asked.window_seconds,
        connections,
        moving,
        "connections move to other gateways"
    );
    Ok(Json(Moving {
        connections,
        moving,
    }))
}
