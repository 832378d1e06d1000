//! Wires the watches to the passes.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{FutureExt, Stream, StreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::PartialObjectMeta;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::watcher;
use kube::{Client, Resource, ResourceExt};
use linnet_crds::RealtimeChannel;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::Instrument;
use tracing::field::Empty;

use super::context::{Context, PASS};
use super::events;
use super::pass::{PassError, key, pass};
use super::watches::{channel_of, channel_store, channels, children};
use crate::metrics::{Metrics, Outcome};

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
    let metrics = Arc::clone(&context.metrics);
    let pods = counted(&metrics, children::<Pod>(&client, &scope), |pod| {
        let channel = channel_of(pod)?;
        Some((channel.namespace?, channel.name))
    });
    let unreadable = {
        let context = Arc::clone(&context);
        move |channel: &InvalidObject| tell_unreadable(&context, channel)
    };
    let channels = counted(
        &metrics,
        channels(&client, &scope, writer, unreadable),
        |channel| Some((channel.namespace()?, channel.name_any())),
    );
    Controller::for_stream(channels, reader)
        .with_config(config)
        .owns_stream(owned::<ServiceAccount>(&client, &scope, &metrics))
        .owns_stream(owned::<ConfigMap>(&client, &scope, &metrics))
        .owns_stream(owned::<Service>(&client, &scope, &metrics))
        .owns_stream(owned::<NetworkPolicy>(&client, &scope, &metrics))
        .owns_stream(owned::<PodDisruptionBudget>(&client, &scope, &metrics))
        .owns_stream(owned::<Deployment>(&client, &scope, &metrics))
        .owns_stream(owned::<Ingress>(&client, &scope, &metrics))
        .watches_stream(pods, |pod: PartialObjectMeta<Pod>| channel_of(&pod))
        .graceful_shutdown_on(stop)
        .run(reconcile, fail, context)
        .for_each(|outcome| {
            tell(&metrics, outcome);
            std::future::ready(())
        })
        .await;
}

/// Children of a kind, each change of which is noted as one of the channel that owns it.
fn owned<K>(
    client: &Client,
    scope: &Scope,
    metrics: &Arc<Metrics>,
) -> impl Stream<Item = Result<PartialObjectMeta<K>, watcher::Error>> + Send + use<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    counted(metrics, children::<K>(client, scope), |child| {
        let owners = child.owner_references();
        let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
        Some((child.namespace()?, owner.name.clone()))
    })
}

/// Notes the channel `of` each object of a stream as one that has changed.
fn counted<K, E, S, F>(
    metrics: &Arc<Metrics>,
    stream: S,
    of: F,
) -> impl Stream<Item = Result<K, E>> + Send + use<K, E, S, F>
where
    S: Stream<Item = Result<K, E>> + Send,
    F: Fn(&K) -> Option<(String, String)> + Send,
{
    let metrics = Arc::clone(metrics);
    stream.inspect(move |object| {
        if let Ok(object) = object
            && let Some((namespace, name)) = of(object)
        {
            metrics.queue.changed(&namespace, &name);
        }
    })
}

/// Tells of a channel that can't be read: in the log, and to those who look at the channel.
fn tell_unreadable(context: &Arc<Context>, channel: &InvalidObject) {
    let metadata = &channel.metadata;
    tracing::error!(
        namespace = metadata.namespace,
        name = metadata.name,
        error = channel.error,
        "a RealtimeChannel can't be read and is left as it is: is the operator older than the CRD?"
    );
    let (context, channel) = (Arc::clone(context), channel.clone());
    // The watch must not wait for it.
    tokio::spawn(async move { events::unreadable(&context.recorder, &channel).await });
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
    let metrics = &context.metrics;
    metrics.queue.begins(namespace, name);
    let span = tracing::info_span!(
        "reconcile",
        namespace,
        channel = name,
        k8s.namespace.name = namespace,
        k8s.object.uid = metadata.uid,
        k8s.object.generation = metadata.generation,
        outcome = Empty,
        otel.status_code = Empty,
        error.type = Empty,
    );
    let began = Instant::now();
    let pass = pass(&context, namespace, name).instrument(span.clone());
    let next = match tokio::time::timeout(PASS, pass).await {
        Ok(next) => next,
        Err(_) => Err(PassError::TimedOut(PASS)),
    };
    let outcome = match &next {
        Ok(Some(_)) => Outcome::Done,
        Ok(None) => Outcome::Gone,
        Err(PassError::TimedOut(_)) => Outcome::TimedOut,
        Err(_) => Outcome::Failed,
    };
    metrics.passed(outcome, began.elapsed());
    span.record("outcome", outcome.as_str());
    if next.is_err() {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", outcome.as_str());
    }
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

type Passed = Result<
    (kube::runtime::reflector::ObjectRef<RealtimeChannel>, Action),
    controller::Error<PassError, watcher::Error>,
>;

fn tell(metrics: &Metrics, outcome: Passed) {
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
            let namespace = channel.namespace.as_deref().unwrap_or_default();
            metrics.queue.begins(namespace, &channel.name);
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
