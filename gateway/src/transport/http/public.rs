//! What all connections of the public port share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use http::Response;

use super::admission::Admission;
use super::console;
use super::metrics::{HttpMetrics, Reason};
use super::policy::Policy;
use super::refusal::Refusal;
use super::slots::Slots;
use crate::config::Channel;
use crate::drain::Lifecycle;
use crate::transport::shard::handle::{NewConnection, Shards};

/// Where sockets go that became WebSockets: the shards, or a stand-in in tests.
pub trait Home: Send + Sync + 'static {
    /// How many are there.
    fn connections(&self) -> usize;

    /// Takes one more.
    fn adopt(&self, connection: NewConnection);
}

impl Home for Shards {
    fn connections(&self) -> usize {
        Shards::connections(self)
    }

    fn adopt(&self, connection: NewConnection) {
        Shards::adopt(self, connection);
    }
}

/// The public port of a gateway.
pub struct Public {
    /// The path of handshakes.
    pub(super) socket_path: String,
    /// Everything else.
    pub(super) router: Router,
    pub(super) lifecycle: Arc<Lifecycle>,
    pub(super) admission: Admission,
    pub(super) slots: Slots,
    pub(super) home: Arc<dyn Home>,
    live: Arc<ArcSwap<Policy>>,
    metrics: Arc<HttpMetrics>,
}

impl Public {
    /// A port that serves `channel` and gives WebSockets to `home`, in a process that may open
    /// `file_limit` files.
    ///
    /// The channel's path and name hold for good; everything else follows [`Self::configure`].
    pub fn new(
        channel: Arc<Channel>,
        home: Arc<dyn Home>,
        lifecycle: Arc<Lifecycle>,
        file_limit: usize,
    ) -> Self {
        let (path, name) = (channel.path.clone(), channel.name.clone());
        let live = Arc::new(ArcSwap::from_pointee(Policy::compile(channel)));
        Self {
            socket_path: format!("{path}ws"),
            router: console::router(&path, &name, Arc::clone(&live)),
            lifecycle,
            admission: Admission::new(file_limit),
            slots: Slots::new(file_limit),
            home,
            live,
            metrics: Arc::default(),
        }
    }

    /// Serves by `channel` from the next request on.
    pub fn configure(&self, channel: Arc<Channel>) {
        self.live.store(Arc::new(Policy::compile(channel)));
    }

    /// Connections that are WebSockets, or about to be.
    #[must_use]
    pub fn connections(&self) -> usize {
        // In this order: one that moves from the first to the second meanwhile is counted twice,
        // the other way around it might be missed.
        self.admission.underway() + self.home.connections()
    }

    /// What the port counts.
    #[must_use]
    pub fn metrics(&self) -> &Arc<HttpMetrics> {
        &self.metrics
    }

    /// The configuration in force.
    pub(super) fn policy(&self) -> arc_swap::Guard<Arc<Policy>> {
        self.live.load()
    }

    /// Counts a refusal, logs it now and then, and gives its answer.
    pub(super) fn refuse(&self, peer: SocketAddr, refusal: Refusal) -> Response<Body> {
        if let Some(count) = self.metrics.refuse(refusal.reason, Instant::now()) {
            tracing::info!(
                reason = refusal.reason.as_str(),
                status = refusal.status().as_u16(),
                %peer,
                count,
                "handshake refused: {}",
                refusal.body()
            );
        }
        refusal.into_response()
    }

    /// Counts and now and then logs a connection that broke off before it was answered.
    pub(super) fn give_up(&self, peer: SocketAddr, reason: Reason) {
        if let Some(count) = self.metrics.refuse(reason, Instant::now()) {
            let reason = reason.as_str();
            tracing::info!(reason, %peer, count, "connection ended before a request was answered");
        }
    }
}

impl std::fmt::Debug for Public {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("Public");
        out.field("socket_path", &self.socket_path)
            .finish_non_exhaustive()
    }
}
