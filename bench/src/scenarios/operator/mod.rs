//! The operator on a real API server: how soon a channel serves, and what many channels cost.

mod edits;
mod room;
mod starts;
mod steady;

use anyhow::Result;
use serde_json::{Value, json};

use super::Settings;
use crate::{cluster::Kubectl, process, report::Report};

/// Where everything happens.
const NAMESPACE: &str = "linnet-bench";
/// Whom the operator is taken for: the audit log tells its requests by that.
const USER: &str = "system:serviceaccount:linnet-bench:operator";

/// Measures all of it.
pub fn run(settings: &Settings) -> Result<Report> {
    let binary = match &settings.operator {
        Some(path) => path.clone(),
        None => process::sibling("linnet-operator")?,
    };
    let kubectl = Kubectl::new(NAMESPACE)?;
    let room = room::Room::make(&kubectl)?;
    let start = || room.start(&binary);
    let channels = settings.pick(1000, 20);
    let mut report = Report::new("operator", "The operator on a real API server");
    report.method = format!(
        "linnet-operator on the machine of a one-node cluster, for one namespace, with the embedded broker. A start: from \
         kubectl apply to a WebSocket that is accepted at the Service's address, the image being there; the reference is \
         the same Deployment, Service, ConfigMap and ServiceAccount applied by hand, in turns. Then {channels} channels with \
         replicas: 0: what the API server's audit log has of the operator's writes, Events and Leases aside, over {} s, \
         and after a restart until it has read every channel; CPU time and resident memory over the same time; and for {} \
         edits the time from the API server's answer to the edit until its answer to the operator's write of the ConfigMap.",
        settings.pick(300, 5),
        settings.pick(100, 5)
    );
    starts::measure(settings, &kubectl, &start, &mut report)?;
    let operator = steady::measure(settings, &kubectl, &start, channels, &mut report)?;
    edits::measure(settings, &kubectl, channels, &mut report)?;
    operator.stop()?;
    Ok(report)
}

fn channel(name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "realtime.linnet.dev/v1alpha1",
        "kind": "RealtimeChannel",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"replicas": replicas, "authentication": {"anonymous": "Allow"}, "rollout": {"drainSeconds": 0},
            // All connections here come from one address.
            "service": {"sessionAffinity": "None"}},
    })
}
