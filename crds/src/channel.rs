//! `RealtimeChannel`: the root of the API.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::authentication::Authentication;
use crate::autoscaling::Autoscaling;
use crate::broker::Broker;
use crate::expose::Expose;
use crate::gateway::Gateway;
use crate::handler::Handler;
use crate::heartbeat::Heartbeat;
use crate::history::History;
use crate::limits::Limits;
use crate::network_policy::NetworkPolicy;
use crate::rollout::Rollout;
use crate::rooms::RoomRule;
use crate::rules::{forbidden_at, invalid_at, required_at};
use crate::service::Service;
use crate::status::RealtimeChannelStatus;
use crate::telemetry::Telemetry;
use crate::toggle::Toggle;
use crate::transports::Transports;
use crate::workers::Workers;

/// `apiVersion` of a manifest.
pub const API_VERSION: &str = "realtime.linnet.dev/v1alpha1";

/// `kind` of a manifest.
pub const KIND: &str = "RealtimeChannel";

/// What the channel is to be. An absent section has its defaults.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "realtime.linnet.dev",
    version = "v1alpha1",
    kind = "RealtimeChannel",
    plural = "realtimechannels",
    shortname = "rtch",
    category = "linnet",
    namespaced,
    derive = "PartialEq",
    doc = "A realtime endpoint: a fleet of WebSocket gateways with its own rooms, limits and authentication.",
    status = "RealtimeChannelStatus",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the channel serves clients"
    ),
    printcolumn(
        name = "Replicas",
        type_ = "integer",
        json_path = ".status.replicas",
        description = "Gateways that exist"
    ),
    printcolumn(
        name = "URL",
        type_ = "string",
        json_path = ".status.url",
        description = "Where clients connect"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,48}[a-z0-9])?$')")
        .message("metadata.name must start with a letter, end with a letter or digit, hold only a-z, 0-9 and -, and be at most 50 characters long")
        .reason(Reason::FieldValueInvalid)
)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    required_at(
        ".authentication",
        "has(self.authentication.jwt) || self.authentication.anonymous == 'Allow'",
        "nobody could connect: set authentication.jwt, or authentication.anonymous: Allow",
    ),
    invalid_at(
        ".autoscaling",
        "!has(self.autoscaling) || self.autoscaling.targetConnections <= self.limits.connectionsPerGateway",
        "autoscaling.targetConnections must not be more than limits.connectionsPerGateway",
    ),
    invalid_at(
        ".rooms",
        "has(self.authentication.jwt) || !has(self.rooms) || self.rooms.all(r, \
         !(r.subscribe in ['Authenticated', 'Claim']) && !(r.publish in ['Authenticated', 'Claim']))",
        "Authenticated and Claim need authentication.jwt",
    ),
    invalid_at(
        ".rollout.rebalance",
        "!has(self.rollout.rebalance) || self.rollout.rebalance != 'Paced' || self.service.sessionAffinity == 'None'",
        "Paced needs service.sessionAffinity: None: a client whose address is kept on its gateway comes straight back",
    ),
    required_at(
        ".history",
        "has(self.history) || !has(self.rooms) || self.rooms.all(r, r.delivery != 'Worker')",
        "rooms with delivery: Worker need history: workers put their output there",
    ),
    forbidden_at(
        ".rooms",
        "!has(self.rooms) || self.rooms.all(r, r.delivery != 'Worker' || r.history != 'Disabled')",
        "a room with delivery: Worker can't have history: Disabled: workers put their output there",
    ),
    invalid_at(
        ".workers.acknowledgeSeconds",
        "!has(self.history) || !has(self.rooms) || self.rooms.all(r, r.delivery != 'Worker') || \
         self.workers.acknowledgeSeconds < self.history.deduplicationSeconds",
        "workers.acknowledgeSeconds must be less than history.deduplicationSeconds, or output could double",
    ),
]))]
pub struct RealtimeChannelSpec {
    /// How many gateways run. Written through /scale by an autoscaler or `kubectl scale`. More than
    /// one needs a broker.
    #[schemars(range(min = 0, max = 10_000))]
    pub replicas: i32,

    /// Scale on connections. While set, it owns the number of replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// How the gateways' pods run.
    pub gateway: Gateway,

    /// How gateways are replaced.
    pub rollout: Rollout,

    /// The Service that clients reach the gateways through.
    pub service: Service,

    /// Where the channel is reachable from outside the cluster.
    pub expose: Expose,

    /// Who may open connections to the gateways' ports.
    pub network_policy: NetworkPolicy,

    /// Which transports are served beside WebSocket, which always is.
    pub transports: Transports,

    /// What connects the gateways. Absent: the operator's default broker, else a single gateway
    /// that is its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker: Option<Broker>,

    /// Keep messages, so that clients resume without loss and late ones catch up. Absent: no room
    /// keeps any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,

    /// Who may connect.
    pub authentication: Authentication,

    /// What is allowed in which room. The first rule whose `match` fits decides. A last rule,
    /// `match: "*"` with the defaults, is built in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "atomic"))]
    pub rooms: Vec<RoomRule>,

    /// How workers get what is published to rooms with `delivery: Worker`.
    pub workers: Workers,

    /// Bounds on what a client, and a gateway as a whole, may use.
    pub limits: Limits,

    /// How dead connections are found.
    pub heartbeat: Heartbeat,

    /// A back end that is asked about connections and answers requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<Handler>,

    /// Traces and logs.
    pub telemetry: Telemetry,

    /// Enabled serves a page at the channel's path to watch and try it, with no rights beyond a
    /// client's.
    pub console: Toggle,
}

impl Default for RealtimeChannelSpec {
    fn default() -> Self {
        Self {
            replicas: 1,
            autoscaling: None,
            gateway: Gateway::default(),
            rollout: Rollout::default(),
            service: Service::default(),
            expose: Expose::default(),
            network_policy: NetworkPolicy::default(),
            transports: Transports::default(),
            broker: None,
            history: None,
            authentication: Authentication::default(),
            rooms: Vec::new(),
            workers: Workers::default(),
            limits: Limits::default(),
            heartbeat: Heartbeat::default(),
            handler: None,
            telemetry: Telemetry::default(),
            console: Toggle::Disabled,
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::Resource;

    use super::*;

    #[test]
    fn the_names_are_those_of_the_definition() {
        assert_eq!(RealtimeChannel::api_version(&()), API_VERSION);
        assert_eq!(RealtimeChannel::kind(&()), KIND);
    }
}
