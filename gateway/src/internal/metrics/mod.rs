//! What is measured, under which name: added up from the counters of all parts at every scrape.
//!
//! [`clients`] is what shards and the public port count, [`rooms`] what the hub does, [`tokens`], [`handler`] and [`broker`]
//! what they say, and [`own`] is of the process itself; [`page`] is what all of them are written with.

mod api;
mod broker;
mod clients;
mod handler;
mod own;
mod page;
mod rooms;
mod tokens;

use std::fmt::{self, Debug};
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::info::Info;

use self::page::Page;
use crate::api::ApiMetrics;
use crate::auth::Tokens;
use crate::broker::nats::health::Health;
use crate::config::watch::Watched;
use crate::handler::HandlerMetrics;
use crate::metrics::{Counter, HubMetrics, ShardMetrics};
use crate::transport::http::HttpMetrics;

/// The counters of all parts.
pub struct GatewayMetrics {
    /// One set a shard.
    pub shards: Vec<Arc<ShardMetrics>>,
    /// The hub's.
    pub hub: Arc<HubMetrics>,
    /// The public port's.
    pub http: Arc<HttpMetrics>,
    /// What becomes of calls of the server APIs.
    pub api: Arc<ApiMetrics>,
    /// What becomes of tokens.
    pub tokens: Arc<Tokens>,
    /// What becomes of calls to the channel's handler.
    pub handler: Arc<HandlerMetrics>,
    /// Which configuration is in force.
    pub config: Arc<Watched>,
    /// The broker's, where gateways share one.
    pub broker: Option<Arc<Health>>,
}

impl Debug for GatewayMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayMetrics").finish_non_exhaustive()
    }
}

impl Collector for GatewayMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        page.metric("linnet_build", "This gateway", None, &build)?;
        self.connections(&mut page)?;
        self.messages(&mut page)?;
        self.queues(&mut page)?;
        rooms::write(&self.hub, &mut page)?;
        tokens::write(&self.tokens, &mut page)?;
        api::write(&self.api, &mut page)?;
        handler::write(&self.handler, &mut page)?;
        if let Some(broker) = &self.broker {
            broker::write(broker, &mut page)?;
        }
        own::telemetry(&mut page)?;
        own::process(&mut page)?;
        let valid = i64::from(self.config.status().error.is_none());
        page.gauge(
            "linnet_config_valid",
            "1 where the manifest's file is in force as it is, 0 where an older one is",
            None,
            valid.unsigned_abs(),
        )
    }
}

impl GatewayMetrics {
    /// One counter of all shards.
    fn sum(&self, counter: impl Fn(&ShardMetrics) -> &Counter) -> u64 {
        self.shards.iter().map(|shard| counter(shard).get()).sum()
    }
}
