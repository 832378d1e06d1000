//! The reads.

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, DynamicObject, ListParams};
use kube::{Client, ResourceExt};
use linnet_crds::RealtimeChannel;
use serde_json::Value;

use super::{Observed, Seen};
use crate::build::pod;
use crate::children::Child;
use crate::gateways::{self, Readings, Target};
use crate::names;
use crate::settings::Settings;
use crate::validate::hosts::Taken;
use crate::validate::secrets::{self, Found};
use crate::validate::{broker, namespace};

/// How long a gateway has to answer: it is in the same network, and a pass waits for it.
const ANSWER: Duration = Duration::from_secs(1);

/// Reads a channel and all that is there of it; `None`: it is gone. `taken` tells its hosts that older channels have.
///
/// The channel is read anew although it is watched: the watch may not have brought the operator's own last writes yet,
/// and a status that is computed from an old one would be written for nothing.
///
/// # Errors
/// What the API server says, missing rights to single kinds aside.
pub async fn dereference(
    client: &Client,
    namespace: &str,
    name: &str,
    taken: impl FnOnce(&RealtimeChannel) -> Vec<Taken>,
    settings: &Settings,
) -> kube::Result<Option<Observed>> {
    let channels: Api<RealtimeChannel> = Api::namespaced(client.clone(), namespace);
    let Some(mut channel) = channels.get_opt(name).await? else {
        return Ok(None);
    };
    channel.managed_fields_mut().clear();
    let (live, pods, secrets) = futures_util::try_join!(
        live(client, &channel),
        pods(client, &channel),
        secrets(client, &channel, settings),
    )?;
    Ok(Some(Observed {
        taken: taken(&channel),
        channel,
        live: live.into_iter().collect(),
        readings: readings(&pods).await,
        pods,
        secrets,
    }))
}

async fn live(client: &Client, channel: &RealtimeChannel) -> kube::Result<Vec<(Child, Seen)>> {
    let (namespace, name) = (namespace(channel), channel.name_any());
    try_join_all(Child::ALL.map(|child| see(client, &namespace, &name, child))).await
}

async fn see(
    client: &Client,
    namespace: &str,
    channel: &str,
    child: Child,
) -> kube::Result<(Child, Seen)> {
    let resource = child.resource();
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let seen = match api.get(&child.name(channel)).await {
        Ok(object) => Seen::Object(without_managed_fields(object)?),
        Err(kube::Error::Api(status)) if status.code == 404 => {
            // About an object that is not there the API server tells which one; about a kind that is not there it
            // has nothing to tell.
            let named = status.details.as_ref().is_some_and(|d| !d.name.is_empty());
            if named { Seen::Nothing } else { Seen::NoApi }
        }
        Err(kube::Error::Api(status)) if status.is_forbidden() => {
            Seen::Unreadable(status.message.clone())
        }
        Err(error) => return Err(error),
    };
    Ok((child, seen))
}

pub(crate) fn without_managed_fields(mut object: DynamicObject) -> kube::Result<Value> {
    object.managed_fields_mut().clear();
    serde_json::to_value(object).map_err(kube::Error::SerdeError)
}

async fn pods(client: &Client, channel: &RealtimeChannel) -> kube::Result<Vec<Pod>> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &namespace(channel));
    let selector = names::selector_text(&channel.name_any());
    let pods = api.list(&ListParams::default().labels(&selector)).await?;
    Ok(pods.items)
}

/// What the gateways of running pods say.
async fn readings(pods: &[Pod]) -> Readings {
    let running = pods.iter().filter_map(|pod| {
        let status = pod.status.as_ref()?;
        (status.phase.as_deref() == Some("Running")).then(|| Target {
            pod: pod.name_any(),
            address: status.pod_ip.as_ref().and_then(|ip| ip.parse().ok()),
        })
    });
    gateways::poll(running.collect(), pod::INTERNAL_PORT, ANSWER).await
}

/// The keys of the Secrets that the channel names. One that must not be read is left out: whether it is there shows in
/// the pods.
async fn secrets(
    client: &Client,
    channel: &RealtimeChannel,
    settings: &Settings,
) -> kube::Result<Found> {
    let mut spec = channel.spec.clone();
    spec.broker = broker::resolve(&spec, settings);
    let api: Api<Secret> = Api::namespaced(client.clone(), &namespace(channel));
    let reads = secrets::mounted(&spec).into_iter().map(|name| {
        let api = api.clone();
        async move {
            let read = api.get_opt(&name).await;
            (name, read)
        }
    });
    let mut found = Found::new();
    for (name, read) in join_all(reads).await {
        match read {
            Ok(None) => {
                found.insert(name, None);
            }
            Ok(Some(secret)) => {
                let keys = secret.data.unwrap_or_default().into_keys();
                found.insert(name, Some(keys.collect()));
            }
            Err(kube::Error::Api(status)) if status.is_forbidden() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
