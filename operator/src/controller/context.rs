//! What all passes share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::Store;
use linnet_crds::RealtimeChannel;

use super::backoff::Backoffs;
use crate::fleet::Fleets;
use crate::live::Nudges;
use crate::metrics::{Metrics, Objects};
use crate::names;
use crate::rebalance::Rebalances;
use crate::settings::Settings;
use crate::streams::Streams;
use crate::validate::hosts::{self, Taken};

/// The longest that a pass may take: the client itself repeats what an overloaded API server refuses for minutes.
pub const PASS: Duration = Duration::from_secs(60);

/// How long a broker may be away before a deletion gives its streams up, where no flag says otherwise.
const BROKER_GONE_AFTER: Duration = Duration::from_secs(600);

/// What all passes share.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// What holds for the installation.
    pub settings: Settings,
    /// Failures in a row.
    pub backoffs: Backoffs,
    /// Writes events.
    pub recorder: Recorder,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is remembered of the numbers of gateways, and whose turn it is to be replaced.
    pub fleets: Fleets,
    /// What is remembered of connections that move to new gateways.
    pub rebalances: Rebalances,
    /// Connections to NATS, and what is known of the streams there.
    pub streams: Streams,
    /// Which pods were asked to refresh their mounts, by the channel's uid.
    nudges: Mutex<HashMap<String, Nudges>>,
    /// All channels, as they are watched.
    channels: RwLock<Vec<Store<RealtimeChannel>>>,
}

impl Context {
    /// Of an operator whose pod has this name.
    #[must_use]
    pub fn new(client: Client, settings: Settings, pod: Option<String>) -> Self {
        let reporter = Reporter {
            controller: names::OPERATOR.into(),
            instance: pod,
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            settings,
            backoffs: Backoffs::default(),
            metrics: Arc::default(),
            fleets: Fleets::new(1),
            rebalances: Rebalances::default(),
            streams: Streams::new(BROKER_GONE_AFTER),
            nudges: Mutex::default(),
            channels: RwLock::default(),
        }
    }

    /// That counts here: what is counted outlives a leadership.
    #[must_use]
    pub fn counting(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// With other bounds: so many channels roll at once for a release, and a broker that is away for so long keeps no
    /// channel from being deleted.
    #[must_use]
    pub fn bounded(mut self, rollouts: usize, broker_gone_after: Duration) -> Self {
        self.fleets = Fleets::new(rollouts);
        self.streams = Streams::new(broker_gone_after);
        self
    }

    /// Has a part of the channels known to all passes.
    pub fn knows(&self, channels: Store<RealtimeChannel>) {
        let mut all = self
            .channels
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        all.push(channels);
    }

    /// Counts the channels that are known, by condition.
    #[must_use]
    pub fn objects(&self) -> Objects {
        let stores = self
            .channels
            .read()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut objects = Objects::default();
        for channel in stores.iter().flat_map(Store::state) {
            objects.add(channel.status.as_ref());
        }
        objects
    }

    /// The hosts of `channel` that older channels have.
    #[must_use]
    pub fn taken(&self, channel: &RealtimeChannel) -> Vec<Taken> {
        if channel.spec.expose.ingress.is_none() && channel.spec.expose.http_route.is_none() {
            return Vec::new();
        }
        let stores = self
            .channels
            .read()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let all: Vec<Arc<RealtimeChannel>> = stores.iter().flat_map(Store::state).collect();
        hosts::taken(channel, all.iter().map(AsRef::as_ref))
    }

    /// Works with what is remembered of the pods of the channel with this uid.
    pub fn with_nudges<T>(&self, uid: &str, work: impl FnOnce(&mut Nudges) -> T) -> T {
        let mut all = self
            .nudges
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let nudges = all.entry(uid.to_owned()).or_default();
        let done = work(nudges);
        if nudges.is_empty() {
            all.remove(uid);
        }
        done
    }

    /// Forgets a channel that is gone.
    pub fn forget(&self, key: &str, uid: Option<&str>) {
        self.backoffs.reset(key);
        self.fleets.forget(key);
        self.rebalances.forget(key);
        if let Some(uid) = uid {
            self.streams.forget(uid);
            let mut all = self
                .nudges
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            all.remove(uid);
        }
    }
}
