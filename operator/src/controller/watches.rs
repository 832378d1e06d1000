//! The streams that say when to look at a channel.

use std::fmt::Debug;
use std::future::ready;

use futures_util::{Stream, StreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use kube::core::error_boundary::InvalidObject;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{Predicate, PredicateConfig, WatchStreamExt, predicates};
use kube::{Api, Client, Resource, ResourceExt};
use linnet_crds::RealtimeChannel;
use serde::de::DeserializeOwned;

use super::run::Scope;
use crate::names;

/// Where `kubectl apply` keeps the whole manifest.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Where objects of a kind are watched.
pub fn api<K>(client: &Client, scope: &Scope) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match scope {
        Scope::Cluster => Api::all(client.clone()),
        Scope::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
    }
}

/// Channels whose spec, annotations or labels changed, or that are to be deleted; not those whose status changed, as
/// the operator writes that itself. `writer` keeps all channels, without what only the API server needs; `tell` is given
/// those that can't be read.
pub fn channels<F>(
    client: &Client,
    scope: &Scope,
    writer: Writer<RealtimeChannel>,
    tell: F,
) -> impl Stream<Item = Result<RealtimeChannel, watcher::Error>> + Send + use<F>
where
    F: Fn(&InvalidObject) + Send + 'static,
{
    let api: Api<DeserializeGuard<RealtimeChannel>> = api(client, scope);
    watcher::watcher(api, watcher::Config::default().streaming_lists())
        .default_backoff()
        .filter_map(move |event| ready(event.map(|event| readable(event, &tell)).transpose()))
        .modify(without_ballast)
        .reflect(writer)
        .applied_objects()
        .predicate_filter(
            predicates::generation
                .combine(predicates::finalizers)
                .combine(predicates::annotations)
                .combine(predicates::labels),
            PredicateConfig::default(),
        )
}

/// The event without what can't be read: a channel of a newer version must not keep all others from being served. One
/// that could be read before is taken for gone; its gateways go on as they are.
fn readable(
    event: Event<DeserializeGuard<RealtimeChannel>>,
    tell: &impl Fn(&InvalidObject),
) -> Option<Event<RealtimeChannel>> {
    Some(match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(DeserializeGuard(read)) => Event::InitApply(read.inspect_err(tell).ok()?),
        Event::Apply(DeserializeGuard(Ok(channel))) => Event::Apply(channel),
        Event::Delete(DeserializeGuard(Ok(channel))) => Event::Delete(channel),
        Event::Apply(DeserializeGuard(Err(unreadable))) => {
            tell(&unreadable);
            Event::Delete(stub(unreadable))
        }
        Event::Delete(DeserializeGuard(Err(unreadable))) => Event::Delete(stub(unreadable)),
    })
}

/// Takes away what is of use to the API server and kubectl only: it may be more than all the rest.
fn without_ballast(channel: &mut RealtimeChannel) {
    channel.managed_fields_mut().clear();
    channel.annotations_mut().remove(LAST_APPLIED);
}

fn stub(unreadable: InvalidObject) -> RealtimeChannel {
    RealtimeChannel {
        metadata: unreadable.metadata,
        spec: linnet_crds::RealtimeChannelSpec::default(),
        status: None,
    }
}

/// Metadata of the operator's objects of a kind, each time that one changes. Nothing is kept of them: a pass reads what
/// it needs.
pub fn children<K>(
    client: &Client,
    scope: &Scope,
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
    let api: Api<PartialObjectMeta<K>> = api(client, scope);
    let config = watcher::Config::default()
        .labels(names::OURS)
        .streaming_lists();
    watcher::watcher(api, config)
        .default_backoff()
        .touched_objects()
        .predicate_filter(predicates::resource_version, PredicateConfig::default())
}

/// The channel of a pod. Pods belong to a ReplicaSet, so their labels tell.
#[must_use]
pub fn channel_of(pod: &PartialObjectMeta<Pod>) -> Option<ObjectRef<RealtimeChannel>> {
    let channel = names::channel_of(pod.labels())?;
    Some(ObjectRef::new(channel).within(&pod.namespace()?))
}

/// A store for channels, and what fills it.
#[must_use]
pub fn channel_store() -> (
    kube::runtime::reflector::Store<RealtimeChannel>,
    Writer<RealtimeChannel>,
) {
    store()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde_json::{Value, json};

    use super::*;

    fn guard(spec: Value) -> DeserializeGuard<RealtimeChannel> {
        serde_json::from_value(json!({
            "apiVersion": "realtime.linnet.dev/v1alpha1", "kind": "RealtimeChannel",
            "metadata": {"name": "chat", "namespace": "talk"}, "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn a_channel_that_can_not_be_read_is_taken_for_gone_and_harms_nobody() {
        let bad = || guard(json!({"console": "Sometimes"}));
        let told = RefCell::new(Vec::new());
        let tell = |invalid: &InvalidObject| told.borrow_mut().push(invalid.metadata.name.clone());
        assert!(readable(Event::InitApply(bad()), &tell).is_none());
        match readable(Event::Apply(bad()), &tell) {
            Some(Event::Delete(stub)) => assert_eq!(stub.name_any(), "chat"),
            other => panic!("{other:?}"),
        }
        assert_eq!(told.take(), [Some("chat".into()), Some("chat".into())]);
        let good = readable(Event::Apply(guard(json!({}))), &tell);
        assert!(matches!(good, Some(Event::Apply(_))));
        assert_eq!(told.take(), []);
    }

    #[test]
    fn what_kubectl_keeps_of_a_manifest_is_not_kept_here() {
        let annotations = json!({LAST_APPLIED: "{}", "a": "b"});
        let mut channel: RealtimeChannel = serde_json::from_value(json!({
            "apiVersion": "realtime.linnet.dev/v1alpha1", "kind": "RealtimeChannel", "spec": {},
            "metadata": {"name": "chat", "annotations": annotations, "managedFields": [{"manager": "m"}]},
        }))
        .unwrap();
        without_ballast(&mut channel);
        assert_eq!(channel.annotations().keys().collect::<Vec<_>>(), ["a"]);
        assert!(channel.managed_fields().is_empty());
    }

    #[test]
    fn a_pod_is_of_the_channel_that_its_labels_name() {
        let pod: PartialObjectMeta<Pod> = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "talk", "labels": names::labels("chat")},
        }))
        .unwrap();
        let channel = channel_of(&pod).unwrap();
        assert_eq!(
            (channel.name.as_str(), channel.namespace.as_deref()),
            ("chat", Some("talk"))
        );
    }
}
