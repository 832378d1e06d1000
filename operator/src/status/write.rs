//! Sending a status, where it changed.

use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt};
use linnet_crds::RealtimeChannel;
use linnet_crds::channel::{API_VERSION, KIND};
use linnet_crds::status::RealtimeChannelStatus;
use serde_json::json;

use crate::names;
use crate::validate::namespace;

/// Writes `status` unless the channel has it already; tells whether it wrote.
///
/// # Errors
/// What the API server says; that the channel is gone is none.
pub async fn update(
    client: &Client,
    channel: &RealtimeChannel,
    status: &RealtimeChannelStatus,
) -> kube::Result<bool> {
    if channel.status.as_ref() == Some(status) {
        return Ok(false);
    }
    let api: Api<RealtimeChannel> = Api::namespaced(client.clone(), &namespace(channel));
    let params = PatchParams::apply(names::OPERATOR)
        .force()
        .validation_strict();
    let name = channel.name_any();
    let patch = json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        // One of the same name that was made meanwhile has a status of its own.
        "metadata": {"name": name, "uid": channel.metadata.uid},
        "status": status,
    });
    match api.patch_status(&name, &params, &Patch::Apply(patch)).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}
