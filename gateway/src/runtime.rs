//! Starts the threads of a gateway: one per shard and one for the hub with its broker.

use std::sync::Arc;
use std::thread;

use anyhow::Context;
use tokio::sync::mpsc;

use crate::auth::{Revoker, Tokens};
use crate::broker::embedded::Embedded;
use crate::broker::nats::health::Health;
use crate::broker::nats::presence::link::LinkHandle;
use crate::broker::nats::{Nats, Settings};
use crate::config::Channel;
use crate::hub::state::Hub;
use crate::hub::{self, HubHandle};
use crate::metrics::HubMetrics;
use crate::transport::shard::Shards;
use crate::transport::shard::backlog::QueueMemory;
use crate::transport::shard::event_loop::Shard;
use crate::transport::shard::outlet::ShardOutlet;

/// Revocations that wait to be shared.
const REVOKE_JOBS: usize = 64;

/// A gateway whose loops run.
pub struct Gateway {
    /// Where sockets go.
    pub shards: Shards,
    /// Where a new configuration goes.
    pub hub: HubHandle,
    /// What the hub counts.
    pub hub_metrics: Arc<HubMetrics>,
    /// Who is where, between gateways; to be told when this one drains and ends.
    pub presence: Option<LinkHandle>,
    /// What waits for slow clients.
    pub queue_memory: Arc<QueueMemory>,
    /// Revokes users on all gateways.
    pub revoker: Revoker,
}

impl Gateway {
    /// Starts `shards` shards and the hub. The threads live as long as the process. `health` is told what is wrong
    /// with the broker, and when it is there.
    pub fn start(
        channel: Arc<Channel>,
        tokens: &Arc<Tokens>,
        name: Arc<str>,
        shards: usize,
        nats: Settings,
        health: Arc<Health>,
    ) -> anyhow::Result<Self> {
        let shards = shards.clamp(1, usize::from(u16::MAX));
        let queue_memory = Arc::new(QueueMemory::new(channel.limits.queue_memory, shards));
        let (hub, inbox) = hub::actor::handle();
        let mut handles = Vec::with_capacity(shards);
        for number in 0..shards {
            let (shard, handle) = Shard::new(
                number as u16,
                name.clone(),
                channel.clone(),
                tokens.clone(),
                hub.clone(),
                queue_memory.clone(),
            )
            .context("a shard's event loop cannot be made")?;
            handles.push(handle);
            spawn(format!("shard-{number}"), move || {
                if let Err(error) = shard.run() {
                    tracing::error!(%error, number, "a shard's event loop has failed");
                    std::process::abort(); // its connections are lost: let the supervisor start anew
                }
            })?;
        }
        let shards = Shards::new(handles);
        let cut = shards.clone();
        tokens.revocations().tell(move || cut.revoked());
        let (revoke, jobs) = mpsc::channel(REVOKE_JOBS);
        let shared = channel.nats.is_some().then_some(revoke);
        let revoker = Revoker::new(Arc::clone(tokens.revocations()), shared);
        let revocations = Arc::clone(tokens.revocations());
        let hub_metrics = Arc::new(HubMetrics::default());
        let outlet = ShardOutlet::new(shards.clone(), queue_memory.clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("the hub's runtime cannot be made")?;
        let (count, metrics) = (shards.len(), hub_metrics.clone());
        let (attendant, (ready, started)) = (hub.clone(), std::sync::mpsc::channel());
        // A broker's tasks run beside the attendant, who takes what they bring.
        let attend = async move {
            let directory = attendant.directory().clone();
            let begun = match &channel.nats {
                None => {
                    let broker = Embedded::new(&channel);
                    let state = Hub::new(channel, broker, outlet, count, metrics);
                    attendant.start(state.with_directory(directory), inbox);
                    health.warmed();
                    Ok(None)
                }
                Some(spec) => Nats::start(&channel, spec, &nats, health)
                    .await
                    .map(|broker| {
                        broker.share(revocations, jobs);
                        let presence = broker.presence();
                        let state = Hub::new(channel.clone(), broker, outlet, count, metrics);
                        attendant.start(state.with_directory(directory), inbox);
                        Some(presence)
                    }),
            };
            let failed = begun.is_err();
            let _ = ready.send(begun); // who waited has gone: so does the process
            if !failed {
                attendant.attend().await;
            }
        };
        spawn("hub".into(), move || runtime.block_on(attend))?;
        let presence = started.recv().context("the hub's thread has ended")??;
        Ok(Self {
            shards,
            hub,
            hub_metrics,
            presence,
            queue_memory,
            revoker,
        })
    }
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    thread::Builder::new()
        .name(name.clone())
        .spawn(run)
        .with_context(|| format!("the thread {name} cannot start"))?;
    Ok(())
}
