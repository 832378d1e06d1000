//! The internal port: how the gateway is, for supervisors, the operator and Prometheus.
//!
//! What it says without an API key is nothing about clients; it is to be reachable from inside only.

mod exposition;
mod health;
mod metrics;
mod process;
mod rebalance;
mod serve;
pub mod top;
pub mod waiting;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

pub use metrics::GatewayMetrics;
pub use serve::serve;

use crate::api::{self, Api, grpc};
use crate::broker::nats::health::Health;
use crate::config::watch::Watched;
use crate::drain::Lifecycle;
use crate::transport::http::Public;
use crate::transport::shard::Shards;

/// What the internal port tells about.
#[derive(Debug, Clone)]
pub struct Internal {
    /// The gateway's name.
    pub name: Arc<str>,
    /// Whether it is ready.
    pub lifecycle: Arc<Lifecycle>,
    /// Which configuration is in force.
    pub config: Arc<Watched>,
    /// How many connections there are.
    pub public: Arc<Public>,
    /// Where the connections are.
    pub shards: Shards,
    /// How the broker is, where gateways share one.
    pub broker: Option<Arc<Health>>,
    /// Who is largest and slowest, looked up when asked.
    pub top: Looks,
    /// The server APIs.
    pub api: Api,
    /// Everything that is counted.
    pub metrics: Arc<GatewayMetrics>,
}

/// Looks up who is largest and slowest.
#[derive(Clone)]
pub struct Looks(pub top::LookUp);

impl std::fmt::Debug for Looks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Looks")
    }
}

/// The routes of the internal port.
pub fn router(internal: Internal) -> Router {
    let api = api::router(internal.api.clone());
    let grpc = grpc::router(
        internal.api.clone(),
        Arc::clone(&internal.lifecycle),
        Arc::clone(&internal.public),
    );
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/status", get(health::status))
        .route("/metrics", get(exposition::metrics))
        .route("/rebalance", post(rebalance::rebalance))
        .route("/top", get(top::top))
        .with_state(internal)
        .nest("/v1", api)
        .merge(grpc)
}

#[cfg(test)]
mod tests;
