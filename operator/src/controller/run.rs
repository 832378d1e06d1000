//! Wires the watches to the passes.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::watcher;
use linnet_crds::RealtimeChannel;
use tracing::Instrument;

use super::context::{Context, PASS};
use super::pass::{PassError, key, pass};
use super::watches::{channel_of, channel_store, channels, children};

/// Passes that run at the same time, in a scope.
const AT_ONCE: u16 = 16;

/// How long events of one channel are collected: a pass that writes eight children is told of each.
const TOGETHER: Duration = Duration::from_millis(150);

/// Where channels are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In all namespaces.
    Cluster,
    /// In this one.
    Namespace(String),
}

/// Serves channels until `stop` is done; passes that have begun are brought to their end.
pub async fn run(
    context: Arc<Context>,
    scopes: Vec<Scope>,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let stop = stop.shared();
    let controllers = scopes
        .into_iter()
        .map(|scope| serve(Arc::clone(&context), scope, stop.clone()));
    join_all(controllers).await;
}

async fn serve(
    context: Arc<Context>,
    scope: Scope,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let client = context.client.clone();
    let (reader, writer) = channel_store();
    context.knows(reader.clone());
    let config = controller::Config::default()
        .concurrency(AT_ONCE)
        .debounce(TOGETHER);
    let pods = children::<Pod>(&client, &scope);
    Controller::for_stream(channels(&client, &scope, writer), reader)
        .with_config(config)
        .owns_stream(children::<ServiceAccount>(&client, &scope))
        .owns_stream(children::<ConfigMap>(&client, &scope))
        .owns_stream(children::<Service>(&client, &scope))
        .owns_stream(children::<NetworkPolicy>(&client, &scope))
        .owns_stream(children::<PodDisruptionBudget>(&client, &scope))
        .owns_stream(children::<Deployment>(&client, &scope))
        .owns_stream(children::<Ingress>(&client, &scope))
        .watches_stream(pods, |pod: PartialObjectMeta<Pod>| channel_of(&pod))
        .graceful_shutdown_on(stop)
        .run(reconcile, fail, context)
        .for_each(|outcome| {
            tell(outcome);
            std::future::ready(())
        })
        .await;
}

async fn reconcile(
    channel: Arc<RealtimeChannel>,
    context: Arc<Context>,
) -> Result<Action, PassError> {
    let metadata = &channel.metadata;
    let (namespace, name) = (metadata.namespace.as_deref(), metadata.name.as_deref());
    let (Some(namespace), Some(name)) = (namespace, name) else {
        return Ok(Action::await_change());
    };
    let span = tracing::info_span!("pass", namespace, channel = name);
    let pass = pass(&context, namespace, name).instrument(span);
    let Ok(next) = tokio::time::timeout(PASS, pass).await else {
        return Err(PassError::TimedOut(PASS));
    };
    match next? {
        Some(wait) => {
            context.backoffs.reset(&key(&channel));
            Ok(Action::requeue(wait))
        }
        None => {
            context.forget(&key(&channel), metadata.uid.as_deref());
            Ok(Action::await_change())
        }
    }
}

fn fail(channel: Arc<RealtimeChannel>, _: &PassError, context: Arc<Context>) -> Action {
    Action::requeue(context.backoffs.failed(&key(&channel)))
}

type Outcome = Result<
    (kube::runtime::reflector::ObjectRef<RealtimeChannel>, Action),
    controller::Error<PassError, watcher::Error>,
>;

fn tell(outcome: Outcome) {
    match outcome {
        Ok((channel, action)) => {
            tracing::debug!(
                name = channel.name,
                namespace = channel.namespace,
                ?action,
                "passed"
            );
        }
        // Deleted while it waited for its pass.
        Err(controller::Error::ObjectNotFound(channel)) => {
            tracing::debug!(
                name = channel.name,
                namespace = channel.namespace,
                "is gone"
            );
        }
        Err(controller::Error::ReconcilerFailed(error, channel)) => {
            tracing::warn!(name = channel.name, namespace = channel.namespace, %error, "a pass failed");
        }
        Err(error) => tracing::warn!(%error, "a watch failed and is begun anew"),
    }
}
