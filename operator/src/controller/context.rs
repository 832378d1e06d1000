//! What all passes share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::Store;
use linnet_crds::RealtimeChannel;

use super::backoff::Backoffs;
use crate::live::Nudges;
use crate::names;
use crate::settings::Settings;
use crate::validate::hosts::{self, Taken};

/// The longest that a pass may take: the client itself repeats what an overloaded API server refuses for minutes.
pub const PASS: Duration = Duration::from_secs(60);

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
            nudges: Mutex::default(),
            channels: RwLock::default(),
        }
    }

    /// Has a part of the channels known to all passes.
    pub fn knows(&self, channels: Store<RealtimeChannel>) {
        let mut all = self
            .channels
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        all.push(channels);
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
        if let Some(uid) = uid {
            let mut all = self
                .nudges
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            all.remove(uid);
        }
    }
}
