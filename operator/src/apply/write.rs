//! The writes themselves.

use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use serde_json::json;

use super::plan::{Action, Write};
use crate::children::Child;
use crate::dereference::{Live, Seen, without_managed_fields};
use crate::names;

/// A write that the API server refused. Trying it again at once would not help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Of which child.
    pub child: Child,
    /// What was refused, and why.
    pub message: String,
    /// Whether it was refused because the namespace is being deleted, and the channel with it.
    pub ending: bool,
}

/// Carries `writes` out, and keeps `live` what is there. A refused write does not keep others from being tried, save the
/// Deployment: its pods need what comes before it.
///
/// # Errors
/// What may be gone at the next try: the API server is away, overloaded, or somebody else was quicker.
pub async fn carry_out(
    client: &Client,
    namespace: &str,
    channel: &str,
    writes: Vec<Write>,
    live: &mut Live,
) -> kube::Result<Vec<Failure>> {
    let mut failures: Vec<Failure> = Vec::new();
    for write in writes {
        let child = write.child;
        let lacks =
            |failure: &Failure| matches!(failure.child, Child::ServiceAccount | Child::ConfigMap);
        if child == Child::Deployment && failures.iter().any(lacks) {
            continue;
        }
        if failures.iter().any(|failure| failure.ending) {
            break; // nothing that is made now would stay
        }
        let verb = write.action.verb();
        match carry_out_one(client, namespace, channel, write).await {
            Ok(seen) => {
                live.insert(child, seen);
            }
            Err(kube::Error::Api(status)) if is_final(&status) => failures.push(Failure {
                child,
                message: format!(
                    "cannot {verb} {} {}: {}",
                    child.kind(),
                    child.name(channel),
                    status.message
                ),
                ending: is_ending(&status),
            }),
            Err(error) => return Err(error),
        }
    }
    Ok(failures)
}

/// Whether the answer is about what was asked, so that asking again would give the same.
fn is_final(status: &kube::core::Status) -> bool {
    (400..500).contains(&status.code) && ![404, 409, 410, 429].contains(&status.code)
}

/// Whether the API server makes nothing new in the namespace, as it is being deleted (its admission plugin
/// NamespaceLifecycle).
fn is_ending(status: &kube::core::Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .into_iter()
        .any(|cause| cause.reason == "NamespaceTerminating")
}

async fn carry_out_one(
    client: &Client,
    namespace: &str,
    channel: &str,
    write: Write,
) -> kube::Result<Seen> {
    let Write {
        child,
        action,
        because,
    } = write;
    let resource = child.resource();
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let name = child.name(channel);
    tracing::info!(
        kind = child.kind(),
        name,
        verb = action.verb(),
        because,
        "writes a child"
    );
    match action {
        Action::Apply(manifest) => {
            let params = PatchParams::apply(names::OPERATOR)
                .force()
                .validation_strict();
            let object = api.patch(&name, &params, &Patch::Apply(manifest)).await?;
            Ok(Seen::Object(without_managed_fields(object)?))
        }
        Action::Replicas(replicas) => {
            let params = PatchParams {
                field_manager: Some(names::OPERATOR.into()),
                ..PatchParams::default()
            };
            let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
            let object = api.patch(&name, &params, &patch).await?;
            Ok(Seen::Object(without_managed_fields(object)?))
        }
        Action::Delete { uid } => {
            let params = DeleteParams::background().preconditions(Preconditions {
                uid: Some(uid),
                resource_version: None,
            });
            match api.delete(&name, &params).await {
                Ok(_) => Ok(Seen::Nothing),
                Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Seen::Nothing),
                Err(error) => Err(error),
            }
        }
    }
}
