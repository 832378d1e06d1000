//! `GET /v1/stats`: what this gateway has done and has to do.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::call::{Answered, Call, look};
use super::problem::{Problem, Problems};
use crate::auth::api_keys::Scope;
use crate::metrics::{Counter, HubMetrics, ShardMetrics};

/// Where the numbers are.
#[derive(Debug)]
pub struct Counts {
    /// This gateway's name.
    pub gateway: Arc<str>,
    /// Of each shard.
    pub shards: Vec<Arc<ShardMetrics>>,
    /// Of the hub.
    pub hub: Arc<HubMetrics>,
}

/// Numbers of one gateway, counted since it started unless they say otherwise.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Stats {
    /// The gateway: others have numbers of their own.
    gateway: String,
    /// Connections now.
    connections: u64,
    /// Connections that were opened.
    connections_opened: u64,
    /// Rooms in memory now.
    rooms: u64,
    /// Bytes of messages in memory now.
    history_bytes: u64,
    /// Messages that clients published or sent.
    messages_received: u64,
    /// Messages that were written to clients.
    messages_delivered: u64,
    /// Messages that were published here, by clients and services.
    messages_published: u64,
    /// Publishes that were repeats.
    duplicates: u64,
    /// Bytes from clients.
    received_bytes: u64,
    /// Bytes to clients.
    sent_bytes: u64,
}

impl Counts {
    fn read(&self) -> Stats {
        let sum = |counter: fn(&ShardMetrics) -> &Counter| {
            self.shards.iter().map(|shard| counter(shard).get()).sum()
        };
        Stats {
            gateway: self.gateway.to_string(),
            connections: sum(|shard| &shard.connections),
            connections_opened: sum(|shard| &shard.connections_opened),
            rooms: self.hub.rooms.get(),
            history_bytes: self.hub.ring_bytes.get(),
            messages_received: sum(|shard| &shard.messages_in),
            messages_delivered: sum(|shard| &shard.messages_out),
            messages_published: self.hub.published.get(),
            duplicates: self.hub.duplicates.get(),
            received_bytes: sum(|shard| &shard.bytes_in),
            sent_bytes: sum(|shard| &shard.bytes_out),
        }
    }
}

/// Nothing may be asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Tells numbers
///
/// Of the gateway that answers. `/metrics` has more of them, for Prometheus.
#[utoipa::path(
    get,
    path = "/v1/stats",
    operation_id = "stats",
    tag = "channel",
    responses((status = 200, description = "The numbers", body = Stats), Problems),
    security(("key" = []), ("token" = ["linnet:inspect"]))
)]
pub(super) async fn stats(State(api): State<Api>, request: Request) -> Response {
    look(api, Scope::Inspect, request, act).await
}

async fn act(api: Api, _: Call, _: Nothing) -> Result<Answered, Problem> {
    Ok(Answered::json(&api.0.counts.read()))
}
