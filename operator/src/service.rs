//! The operator as a process: stands for the lease, serves channels while it leads, tells how it is, and hands over when
//! it is to end.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::ListParams;
use kube::{Client, ResourceExt};
use linnet_telemetry::{Exporter, Settings as Telemetry};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use crate::controller::watches::api;
use crate::controller::{self, Context, Scope};
use crate::health::{self, Health};
use crate::leader::{Campaign, Leadership, Terms, campaign};
use crate::metrics::Metrics;
use crate::names;
use crate::settings::Settings;

/// How long passes that have begun may take to end when the process does. Within the 30 s that a pod has, with some left
/// for giving the lease back.
const LAST_PASSES: Duration = Duration::from_secs(20);

/// How long the last spans and metrics may take on their way to a collector.
const LAST_SPANS: Duration = Duration::from_secs(1);

/// Between two tries to read what is there at the start of a leadership.
const PAUSE: Duration = Duration::from_secs(2);

/// Deployments that are read at once: a thousand whole ones would be most of the operator's memory.
const PAGE: u32 = 100;

/// The operator's process.
pub struct Service {
    /// The API server.
    pub client: Client,
    /// What holds for the installation.
    pub settings: Settings,
    /// Where channels are served.
    pub scopes: Vec<Scope>,
    /// Name of the lease.
    pub lease: String,
    /// Its namespace.
    pub namespace: String,
    /// Name of the process' pod.
    pub pod: Option<String>,
    /// Channels that roll at once for a release.
    pub rollouts: usize,
    /// How long a broker may be away before a deletion gives its streams up.
    pub broker_gone_after: Duration,
    /// Where spans and metrics are sent.
    pub telemetry: Telemetry,
}

impl Service {
    /// Runs until `stop` is done: then the passes that have begun are brought to their end, and the lease is given back.
    pub async fn run(self, listener: TcpListener, stop: impl Future<Output = ()> + Send + 'static) {
        let (stops, stopping) = watch::channel(false);
        tokio::spawn(async move {
            stop.await;
            tracing::info!("stops: passes that have begun are brought to their end");
            stops.send_replace(true);
            // The sender stays for as long as anybody asks.
            stops.closed().await;
        });
        let (over, is_over) = oneshot::channel::<()>();
        let (leadership, work) = campaign(self.client.clone(), self.campaign(), async {
            let _ = is_over.await; // dropped: this task has ended
        });
        let campaign = tokio::spawn(work);
        let metrics = Arc::new(Metrics::new());
        let health = Health::new(leadership.clone(), Arc::clone(&metrics));
        let port = tokio::spawn(health::serve(listener, health.clone()));
        let told = health.clone();
        let exporter = Exporter::of_process(self.telemetry.clone(), move || {
            told.text().unwrap_or_default()
        });
        let mut leads = leadership.clone();
        let mut ends = stopping.clone();
        loop {
            tokio::select! {
                () = leads.begun() => {}
                () = stopped(&mut ends) => break,
            }
            self.lead(&leadership, &stopping, &metrics, &health).await;
            metrics.queue.clear();
            if *stopping.borrow() {
                break;
            }
        }
        drop(over);
        if let Err(error) = campaign.await {
            tracing::error!(%error, "the campaign for the lease has failed");
        }
        port.abort();
        if let Some(exporter) = exporter {
            exporter.end(LAST_SPANS);
        }
    }

    /// Serves channels for as long as this process leads. When it does not any more, passes end where they stand: the next
    /// leader may have begun its own.
    async fn lead(
        &self,
        leadership: &Leadership,
        stopping: &watch::Receiver<bool>,
        metrics: &Arc<Metrics>,
        health: &Health,
    ) {
        // What is remembered between passes is as old as a leadership: another one may have decided meanwhile.
        let context = Context::new(self.client.clone(), self.settings.clone(), self.pod.clone())
            .bounded(self.rollouts, self.broker_gone_after)
            .counting(Arc::clone(metrics));
        let context = Arc::new(context);
        let mut ended = leadership.clone();
        let (mut ends, mut last, stop) = (stopping.clone(), stopping.clone(), stopping.clone());
        let serving = async {
            tokio::select! {
                () = self.resume(&context) => {}
                () = stopped(&mut ends) => return,
            }
            health.serves(Some(Arc::clone(&context)));
            let mut stop = stop;
            let stop = async move { stopped(&mut stop).await };
            controller::run(Arc::clone(&context), self.scopes.clone(), stop).await;
        };
        let too_long = async {
            stopped(&mut last).await;
            sleep(LAST_PASSES).await;
        };
        tokio::select! {
            () = serving => {}
            () = ended.ended() => tracing::warn!("leads no more: passes end where they stand"),
            () = too_long => tracing::warn!("a pass has not ended in time"),
        }
        health.serves(None);
    }

    /// Learns which channels are being rolled, so that a release goes on where the leader before left it.
    async fn resume(&self, context: &Context) {
        for scope in &self.scopes {
            while let Err(error) = resume(&self.client, scope, context).await {
                tracing::warn!(%error, "can't read the Deployments");
                sleep(PAUSE).await;
            }
        }
    }

    fn campaign(&self) -> Campaign {
        let host = || {
            std::env::var("HOSTNAME")
                .ok()
                .filter(|name| !name.is_empty())
        };
        Campaign {
            lease: self.lease.clone(),
            namespace: self.namespace.clone(),
            pod: self
                .pod
                .clone()
                .or_else(host)
                .unwrap_or_else(|| names::OPERATOR.into()),
            terms: Terms::default(),
        }
    }
}

async fn resume(client: &Client, scope: &Scope, context: &Context) -> Result<(), kube::Error> {
    let deployments = api::<Deployment>(client, scope);
    let mut page = ListParams::default().labels(names::OURS).limit(PAGE);
    loop {
        let list = timeout(controller::context::PASS, deployments.list(&page)).await;
        let list = list.map_err(|elapsed| kube::Error::Service(elapsed.into()))??;
        let keyed = list.items.iter().filter_map(|deployment| {
            let channel = names::channel_of(deployment.labels())?;
            Some((format!("{}/{channel}", deployment.namespace()?), deployment))
        });
        context
            .fleets
            .resume(&context.settings.gateway_image, keyed);
        match list.metadata.continue_.filter(|more| !more.is_empty()) {
            Some(more) => page = page.continue_token(&more),
            None => return Ok(()),
        }
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    if stopping.wait_for(|stops| *stops).await.is_err() {
        std::future::pending::<()>().await; // the process ends
    }
}

#[cfg(test)]
mod tests;
