//! The finalizer that keeps a channel until its streams are deleted.

use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt};
use linnet_crds::RealtimeChannel;
use linnet_crds::history::DeletionPolicy;
use serde_json::json;

use crate::names;
use crate::validate::namespace;

/// Its name.
pub const FINALIZER: &str = "realtime.linnet.dev/streams";

/// Whether the channel is to be kept until its streams are deleted; `broker`: it has one.
pub(super) fn is_wanted(channel: &RealtimeChannel, broker: bool) -> bool {
    let policy = channel
        .spec
        .history
        .as_ref()
        .map(|history| history.deletion_policy);
    broker && policy == Some(DeletionPolicy::Delete)
}

/// Whether it has it.
pub(super) fn is_there(channel: &RealtimeChannel) -> bool {
    channel.finalizers().iter().any(|one| one == FINALIZER)
}

/// Sets the finalizer or takes it away. `channel` has what was written then; nothing is written where nothing differs.
///
/// # Errors
/// What the API server says, also when somebody else has changed the channel: it is tried again then.
pub async fn settle(
    client: &Client,
    channel: &mut RealtimeChannel,
    wanted: bool,
) -> kube::Result<()> {
    if is_there(channel) == wanted {
        return Ok(());
    }
    let mut finalizers = channel.finalizers().to_vec();
    finalizers.retain(|one| one != FINALIZER);
    if wanted {
        finalizers.push(FINALIZER.to_owned());
    }
    let patch = json!({"metadata": {
        "uid": channel.metadata.uid,
        // Finalizers are replaced whole: somebody else's may have come meanwhile.
        "resourceVersion": channel.metadata.resource_version,
        "finalizers": finalizers,
    }});
    let api: Api<RealtimeChannel> = Api::namespaced(client.clone(), &namespace(channel));
    let params = PatchParams {
        field_manager: Some(names::OPERATOR.into()),
        ..PatchParams::default()
    };
    match api
        .patch_metadata(&channel.name_any(), &params, &Patch::Merge(patch))
        .await
    {
        Ok(written) => {
            channel.metadata.resource_version = written.metadata.resource_version;
            channel.metadata.finalizers = written.metadata.finalizers;
            Ok(())
        }
        // The last finalizer of a channel that is being deleted.
        Err(kube::Error::Api(status)) if status.is_not_found() && !wanted => Ok(()),
        Err(error) => Err(error),
    }
}
