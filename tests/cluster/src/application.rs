//! The examples that are whole applications, `examples/<name>/kubernetes.yaml`.

use crate::channel::READY;
use crate::{Kubectl, Namespace};
use crate::{cluster, image};

/// Seconds until an application must be there: it may wait for its database or its channel, and be started again.
const SETTLED: &str = "--timeout=180s";

/// The manifests of an example as they are, but with its channel at `host` of the ingress, with the images under test,
/// and with the PostgreSQL that the cluster has.
///
/// # Panics
/// When there is no such example, or it does not begin with its channel.
#[must_use]
pub fn manifests(name: &str, host: &str) -> String {
    let path = cluster::file("examples").join(name).join("kubernetes.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, spec) = text.split_once("\nspec:\n").unwrap();
    assert!(before.contains("\nkind: RealtimeChannel\n"), "{before}");
    let expose = format!("  expose: {{hosts: [{host}], ingress: {{className: contour}}}}\n");
    let tag = image::tag();
    format!("{before}\nspec:\n{expose}{spec}")
        .replace(":dev\n", &format!(":{tag}\n"))
        .replace(
            "docker.io/library/postgres:17",
            &format!("linnet-postgres:{tag}"),
        )
}

/// Applies an example; gives the host of its channel once that is Ready and all `workloads` (`deployment/x`) are there.
pub async fn on_stage(
    name: &str,
    channel: &str,
    workloads: &[&str],
    namespace: &Namespace,
) -> String {
    let kubectl = namespace.kubectl();
    let host = format!("{}.linnet.localhost", namespace.name());
    kubectl.apply(&manifests(name, &host)).await;
    kubectl.wait("condition=Ready", channel, READY).await;
    for workload in workloads {
        rolled_out(&kubectl, workload).await;
    }
    host
}

/// Waits until all pods of a workload are as it wants them.
///
/// # Panics
/// When they are not in time.
pub async fn rolled_out(kubectl: &Kubectl, workload: &str) {
    let done = kubectl.ask(&["rollout", "status", workload, SETTLED]).await;
    if let Err(error) = done {
        let pods = kubectl.ask(&["get", "pods", "--output", "wide"]).await;
        let happened = kubectl.happened().await;
        panic!("{error}\n{}\n{happened}", pods.unwrap_or_default());
    }
}
