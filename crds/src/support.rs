//! What this version's gateway does not do yet.
//!
//! The API is complete from its first version; behaviour arrives later. A manifest that asks for
//! behaviour that is missing is refused rather than served differently from what it says. When a
//! behaviour arrives, its lines here go.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::authentication::Authentication;
use crate::expose::Expose;
use crate::gateway::Gateway;
use crate::network_policy::NetworkPolicy;
use crate::rollout::Rebalance;
use crate::rooms::{Access, Delivery, RoomRule};
use crate::service::Service;
use crate::toggle::Permission;
use crate::validate::Problem;
use crate::{RealtimeChannel, RealtimeChannelSpec};

const MESSAGE: &str = "not yet supported by this version of the gateway";

/// A field of the spec, and whether it asks for what is missing.
type Unsupported<T> = (&'static str, fn(&T) -> bool);

const SPEC: &[Unsupported<RealtimeChannelSpec>] = &[
    ("replicas", |s| s.replicas != 1),
    ("autoscaling", |s| s.autoscaling.is_some()),
    ("gateway", |s| s.gateway != Gateway::default()),
    ("rollout.maxSurge", |s| {
        s.rollout.max_surge != IntOrString::String("100%".into())
    }),
    ("rollout.rebalance", |s| {
        s.rollout.rebalance != Rebalance::Disabled
    }),
    ("service", |s| s.service != Service::default()),
    ("expose.hosts", |s| {
        s.expose.hosts != Expose::default().hosts
    }),
    ("expose.ingress", |s| s.expose.ingress.is_some()),
    ("expose.httpRoute", |s| s.expose.http_route.is_some()),
    ("networkPolicy", |s| {
        s.network_policy != NetworkPolicy::default()
    }),
    ("transports.socketIO.mode", |s| {
        s.transports.socket_io.mode.is_enabled()
    }),
    ("transports.serverSentEvents.mode", |s| {
        s.transports.server_sent_events.mode.is_enabled()
    }),
    ("broker", |s| s.broker.is_some()),
    ("history.replicas", |s| {
        s.history.as_ref().is_some_and(|h| h.replicas != 1)
    }),
    ("history.partitions", |s| {
        s.history.as_ref().is_some_and(|h| h.partitions != 1)
    }),
    ("authentication.jwt", |s| s.authentication.jwt.is_some()),
    ("authentication.apiKeySecretName", |s| {
        s.authentication.api_key_secret_name.is_some()
    }),
    ("authentication.queryToken", |s| {
        s.authentication.query_token == Permission::Allow
    }),
    ("authentication.trustedProxies", |s| {
        s.authentication.trusted_proxies != Authentication::default().trusted_proxies
    }),
    ("limits.connectionsPerAddress", |s| {
        s.limits.connections_per_address.is_some()
    }),
    ("limits.connectsPerSecondPerAddress", |s| {
        s.limits.connects_per_second_per_address.is_some()
    }),
    ("handler", |s| s.handler.is_some()),
    ("telemetry.otlpEndpoint", |s| {
        s.telemetry.otlp_endpoint.is_some()
    }),
    ("telemetry.trustClientTraces", |s| {
        s.telemetry.trust_client_traces == Permission::Allow
    }),
];

const ROOM: &[Unsupported<RoomRule>] = &[
    ("subscribe", |r| {
        matches!(r.subscribe, Access::Authenticated | Access::Claim)
    }),
    ("publish", |r| {
        matches!(r.publish, Access::Authenticated | Access::Claim)
    }),
    ("schema", |r| r.schema.is_some()),
    ("delivery", |r| r.delivery == Delivery::Worker),
];

/// The fields of `channel` that ask for what this version's gateway does not do.
#[must_use]
pub fn unsupported(channel: &RealtimeChannel) -> Vec<Problem> {
    let mut problems = Vec::new();
    find(SPEC, &channel.spec, "spec", &mut problems);
    for (i, rule) in channel.spec.rooms.iter().enumerate() {
        find(ROOM, rule, &format!("spec.rooms[{i}]"), &mut problems);
    }
    problems
}

fn find<T>(table: &[Unsupported<T>], value: &T, parent: &str, problems: &mut Vec<Problem>) {
    for (field, asks) in table {
        if asks(value) {
            problems.push(Problem::new(format!("{parent}.{field}"), MESSAGE));
        }
    }
}
