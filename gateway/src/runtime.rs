//! Starts the threads of a gateway: one per shard, and one for the hub's clock. A remote broker has the latter and the
//! first shard on one thread.

use std::io;
use std::sync::Arc;
use std::thread;

use anyhow::Context;
use tokio::sync::mpsc;

use crate::api::desk::{Desk, DeskOutlet};
use crate::auth::{Revoker, Tokens};
use crate::broker::embedded::Embedded;
use crate::broker::nats::answers::Answers;
use crate::broker::nats::health::Health;
use crate::broker::nats::presence::link::LinkHandle;
use crate::broker::nats::relay::Relay;
use crate::broker::nats::{Nats, Settings};
use crate::config::Channel;
use crate::handler;
use crate::hub::state::Hub;
use crate::hub::{self, HubHandle};
use crate::metrics::HubMetrics;
use crate::transport::shard::Shards;
use crate::transport::shard::backlog::QueueMemory;
use crate::transport::shard::command::Command;
use crate::transport::shard::outlet::ShardOutlet;
use crate::transport::shard::state::{Shard, Thread};

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
    /// Where answers of the server APIs are kept for all gateways.
    pub answers: Option<Answers>,
    /// The way to the channel's other gateways.
    pub relay: Option<Relay>,
    /// What waits for slow clients.
    pub queue_memory: Arc<QueueMemory>,
    /// Revokes users on all gateways.
    pub revoker: Revoker,
    /// Asks the hub for the server APIs.
    pub desk: Arc<Desk>,
}

impl Gateway {
    /// Starts `shards` shards and the hub. The threads live as long as the process. `health` is told what is wrong
    /// with the broker, and when it is there; what `handler` answers goes to
    /// the shards.
    pub fn start(
        channel: Arc<Channel>,
        tokens: &Arc<Tokens>,
        name: Arc<str>,
        shards: usize,
        nats: Settings,
        health: Arc<Health>,
        handler: handler::Handle,
    ) -> anyhow::Result<Self> {
        let shards = shards.clamp(1, usize::from(u16::MAX));
        let queue_memory = Arc::new(QueueMemory::new(channel.limits.queue_memory, shards));
        let (hub, inbox) = hub::actor::handle();
        let mut handles = Vec::with_capacity(shards);
        let mut beside = None;
        for number in 0..shards {
            // A remote broker's tasks and the first shard share a thread: a change of threads on the way of a message
            // costs more than all that either does with it.
            let thread = match channel.nats.is_some() && number == 0 {
                true => Thread::Shared,
                false => Thread::Own,
            };
            let (shard, handle) = Shard::new(
                number as u16,
                name.clone(),
                channel.clone(),
                tokens.clone(),
                hub.clone(),
                queue_memory.clone(),
                thread,
            )
            .context("a shard's event loop cannot be made")?;
            let shard = shard.with_handler(handler.clone());
            handles.push(handle);
            match thread {
                Thread::Shared => beside = Some(shard),
                Thread::Own => spawn(format!("shard-{number}"), move || {
                    end_with(number, shard.run())
                })?,
            }
        }
        let shards = Shards::new(handles);
        let answers = shards.clone();
        handler.answer_to(move |handled| {
            if let Some(shard) = answers.get(handled.to.shard.into()) {
                shard.send(Command::Handled(Box::new(handled)));
            }
        });
        let cut = shards.clone();
        tokens.revocations().tell(move || cut.revoked());
        let (revoke, jobs) = mpsc::channel(REVOKE_JOBS);
        let shared = channel.nats.is_some().then_some(revoke);
        let revoker = Revoker::new(Arc::clone(tokens.revocations()), shared);
        let revocations = Arc::clone(tokens.revocations());
        let hub_metrics = Arc::new(HubMetrics::default());
        let desk = Desk::new(hub.clone());
        let outlet = ShardOutlet::new(shards.clone(), queue_memory.clone());
        let outlet = DeskOutlet::new(outlet, Arc::clone(&desk));
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
                    .map(|mut broker| {
                        broker.share(revocations, jobs);
                        handler.use_nats(broker.client());
                        let presence = broker.presence();
                        let shared = (presence, broker.answers(), broker.relay());
                        let state = Hub::new(channel.clone(), broker, outlet, count, metrics);
                        attendant.start(state.with_directory(directory), inbox);
                        Some(shared)
                    }),
            };
            let failed = begun.is_err();
            let _ = ready.send(begun); // who waited has gone: so does the process
            if !failed {
                attendant.attend().await;
            }
        };
        match beside {
            None => spawn("hub".into(), move || runtime.block_on(attend))?,
            // All are tasks of the same kind: those wake each other without a system call.
            Some(shard) => spawn("shard-0".into(), move || {
                runtime.block_on(async {
                    tokio::spawn(attend);
                    let ended = tokio::spawn(shard.run_beside()).await;
                    end_with(0, ended.map_err(io::Error::other).flatten());
                });
            })?,
        }
        let shared = started.recv().context("the hub's thread has ended")??;
        let (presence, answers, relay) = match shared {
            Some((presence, answers, relay)) => (Some(presence), Some(answers), Some(relay)),
            None => (None, None, None),
        };
        Ok(Self {
            shards,
            hub,
            hub_metrics,
            presence,
            answers,
            relay,
            queue_memory,
            revoker,
            desk,
        })
    }
}

/// Its connections are lost if a shard's loop fails: the supervisor starts the gateway anew.
fn end_with(number: usize, ended: io::Result<()>) {
    if let Err(error) = ended {
        tracing::error!(%error, number, "a shard's event loop has failed");
        std::process::abort();
    }
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    thread::Builder::new()
        .name(name.clone())
        .spawn(run)
        .with_context(|| format!("the thread {name} cannot start"))?;
    Ok(())
}
