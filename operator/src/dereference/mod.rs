//! The first step: everything about a channel that is in the cluster, read at once.

mod read;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use linnet_crds::RealtimeChannel;
use serde_json::Value;

use crate::children::Child;
use crate::gateways::Readings;
use crate::validate::hosts::Taken;
use crate::validate::secrets::Found;

pub use read::dereference;
pub(crate) use read::without_managed_fields;

/// A channel and what is there of it.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The channel as the API server has it.
    pub channel: RealtimeChannel,
    /// Hosts that it wants and older channels have.
    pub taken: Vec<Taken>,
    /// What stands where its children are to be.
    pub live: Live,
    /// The gateways' pods.
    pub pods: Vec<Pod>,
    /// What the gateways say.
    pub readings: Readings,
    /// The Secrets that it names.
    pub secrets: Found,
}

/// What stands where a channel's children are to be.
pub type Live = BTreeMap<Child, Seen>;

/// What stands where a child is to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// An object, whoever's it is.
    Object(Value),
    /// Nothing.
    Nothing,
    /// The API server does not know the kind.
    NoApi,
    /// It could not be read, for this reason: the operator lacks a right.
    Unreadable(String),
}

impl Seen {
    /// The object, where there is one.
    #[must_use]
    pub fn object(&self) -> Option<&Value> {
        match self {
            Self::Object(object) => Some(object),
            Self::Nothing | Self::NoApi | Self::Unreadable(_) => None,
        }
    }
}

impl Observed {
    /// The channel's uid; empty outside a cluster.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.channel.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Whether a person has stopped the operator's writes.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        let annotations = self.channel.metadata.annotations.as_ref();
        let paused = annotations.and_then(|all| all.get(crate::names::PAUSED));
        paused.is_some_and(|value| value == "true")
    }

    /// The channel's own Deployment, where it is there.
    #[must_use]
    pub fn deployment(&self) -> Option<Deployment> {
        own_deployment(&self.live, self.uid())
    }
}

/// The Deployment of `live`, where it belongs to the channel of this uid.
#[must_use]
pub fn own_deployment(live: &Live, uid: &str) -> Option<Deployment> {
    let object = live.get(&Child::Deployment)?.object()?;
    if !is_controlled_by(object, uid) {
        return None;
    }
    serde_json::from_value(object.clone()).ok()
}

/// Whether the object's controller is the one with this uid.
#[must_use]
pub fn is_controlled_by(object: &Value, uid: &str) -> bool {
    let owners = object["metadata"]["ownerReferences"].as_array();
    let mut owners = owners.into_iter().flatten();
    owners.any(|owner| owner["controller"] == true && owner["uid"] == *uid)
}
