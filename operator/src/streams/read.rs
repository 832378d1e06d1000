//! What a channel's broker needs, read from the cluster.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use linnet_crds::RealtimeChannel;
use linnet_crds::broker::Nats;
use linnet_gateway::config::Channel;

use crate::assets::{Plan, Secrets};
use crate::settings::Settings;
use crate::validate::broker;
use crate::validate::secrets::Found;

/// The channel with the broker that it has in this installation, and what it needs there.
pub(super) fn plan(channel: &RealtimeChannel, settings: &Settings) -> (Option<Nats>, Plan) {
    let mut channel = channel.clone();
    channel.spec.broker = broker::resolve(&channel.spec, settings);
    let compiled = Channel::compile(&channel);
    let plan = Plan::of(&settings.subject_prefix, &compiled);
    (compiled.nats, plan)
}

/// Names of the Secrets that the way to `nats` needs.
pub(super) fn needed(nats: &Nats) -> BTreeSet<String> {
    let tls = nats.tls.as_ref();
    let names = [
        nats.credentials_secret_name.as_ref(),
        tls.and_then(|tls| tls.ca_secret_name.as_ref()),
        tls.and_then(|tls| tls.cert_secret_name.as_ref()),
    ];
    names.into_iter().flatten().cloned().collect()
}

/// Whether none of them is known to be missing.
pub(super) fn are_there(nats: &Nats, found: &Found) -> bool {
    needed(nats)
        .iter()
        .all(|name| !matches!(found.get(name), Some(None)))
}

/// Reads them. One that is not there is left out.
pub(super) async fn secrets(
    client: &Client,
    namespace: &str,
    nats: &Nats,
) -> kube::Result<Secrets> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let reads = needed(nats).into_iter().map(|name| {
        let api = api.clone();
        async move {
            let secret = api.get_opt(&name).await?;
            Ok::<_, kube::Error>((name, secret))
        }
    });
    let mut secrets = Secrets::new();
    for read in join_all(reads).await {
        if let (name, Some(secret)) = read? {
            let data = secret.data.unwrap_or_default().into_iter();
            secrets.insert(name, data.map(|(key, value)| (key, value.0)).collect());
        }
    }
    Ok(secrets)
}
