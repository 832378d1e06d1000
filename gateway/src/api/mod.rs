//! The server APIs on the internal port: what back ends ask of a channel, over HTTP (`docs/http-api.md`) and in [`grpc`].
//!
//! One file per route. [`call`] lets a caller in and gives the answer its form, [`problem`] is an answer that is an error,
//! and [`desk`] is the way to the hub and back, in which there is nothing of HTTP.

mod call;
pub mod desk;
mod disconnect;
pub mod grpc;
mod history;
mod metrics;
mod once;
pub mod openapi;
mod presence;
mod problem;
mod publish;
mod rates;
mod revoke;
mod rooms;
mod schema;
mod send;
mod stats;
mod users;

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::routing::{get, post};
use http::HeaderMap;
use tokio::sync::Semaphore;

use self::call::Call;
use self::desk::Desk;
pub use self::metrics::ApiMetrics;
use self::once::Once;
pub use self::problem::Problem;
use self::rates::Rates;
pub use self::stats::Counts;
use crate::auth::api_keys::Scope;
use crate::auth::{ApiAccess, Revoker};
use crate::broker::nats::answers::Answers;
use crate::config::Channel;

/// Bytes of bodies that are being read at once.
const BODIES: usize = 64 * 1024 * 1024;

/// The server APIs of a gateway. Clones are the same.
#[derive(Debug, Clone)]
pub struct Api(Arc<Parts>);

/// What routes need.
#[derive(Debug)]
struct Parts {
    access: ApiAccess,
    channel: ArcSwap<Channel>,
    desk: Arc<Desk>,
    revoker: Revoker,
    counts: Counts,
    once: Once,
    metrics: Arc<ApiMetrics>,
    rates: Rates,
    /// A permit for each byte of a body.
    bodies: Semaphore,
    /// As many as there are streams, and this one.
    streams: Arc<()>,
}

impl Api {
    /// The APIs of a channel, for whom `access` lets in. `answers` is where all gateways find them by Idempotency-Key.
    #[must_use]
    pub fn new(
        channel: Arc<Channel>,
        access: ApiAccess,
        desk: Arc<Desk>,
        revoker: Revoker,
        counts: Counts,
        answers: Option<Answers>,
    ) -> Self {
        access.configure(channel.api_key_secret.as_deref());
        Self(Arc::new(Parts {
            access,
            channel: ArcSwap::new(channel),
            desk,
            revoker,
            counts,
            once: Once::new(answers),
            metrics: Arc::default(),
            rates: Rates::default(),
            bodies: Semaphore::new(BODIES),
            streams: Arc::default(),
        }))
    }

    /// What becomes of calls.
    #[must_use]
    pub fn metrics(&self) -> &Arc<ApiMetrics> {
        &self.0.metrics
    }

    /// Lets a call in that is not one of these routes, if it has the scope.
    ///
    /// # Errors
    /// Why it is not let in.
    pub fn admit(&self, scope: Scope, headers: &HeaderMap) -> Result<(), Problem> {
        Call::admit(self, scope, headers).map(drop)
    }

    /// Streams that have not ended.
    #[must_use]
    pub fn streams(&self) -> usize {
        Arc::strong_count(&self.0.streams) - 1
    }

    /// Counts a stream, until what this gives is dropped.
    fn open_stream(&self) -> Arc<()> {
        Arc::clone(&self.0.streams)
    }

    /// Applies a new configuration.
    pub fn configure(&self, channel: Arc<Channel>) {
        let secret = channel.api_key_secret.as_deref();
        self.0.access.configure(secret);
        self.0.channel.store(channel);
    }
}

/// The routes below `/v1`.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/openapi.json", get(openapi::document))
        .route("/publish", post(publish::publish))
        .route("/send", post(send::send))
        .route("/history", get(history::history))
        .route("/presence", get(presence::presence))
        .route("/users/connections", get(users::connections))
        .route("/disconnect", post(disconnect::disconnect))
        .route("/rooms", get(rooms::rooms))
        .route("/stats", get(stats::stats))
        .route("/revoke", post(revoke::revoke))
        .fallback(problem::no_route)
        .method_not_allowed_fallback(problem::no_method)
        .with_state(api)
}

#[cfg(test)]
mod tests;
