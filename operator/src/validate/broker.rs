//! Which broker a channel has, and what needs one.

use linnet_crds::RealtimeChannelSpec;
use linnet_crds::broker::Broker;

use super::Rejection;
use crate::settings::Settings;

/// The channel's own broker, else the installation's; `None`: its single gateway is its own.
#[must_use]
pub fn resolve(spec: &RealtimeChannelSpec, settings: &Settings) -> Option<Broker> {
    let own = spec.broker.clone();
    own.or_else(|| settings.default_broker.clone())
}

/// Refuses what a single gateway without a broker can't do. `spec` has its broker resolved.
pub(super) fn check(spec: &RealtimeChannelSpec) -> Result<(), Rejection> {
    let asked = match spec {
        _ if spec.broker.is_some() => return Ok(()),
        _ if spec.autoscaling.is_some() => "spec.autoscaling".to_owned(),
        _ if spec.replicas > 1 => format!("spec.replicas: {}", spec.replicas),
        _ => return Ok(()),
    };
    let message = format!(
        "{asked} needs a broker, as several gateways must hear from each other: set spec.broker, or give the operator a \
         default one. Without, a channel has one gateway"
    );
    Err(Rejection::new("BrokerRequired", message))
}
