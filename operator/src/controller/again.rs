//! When a channel that nothing happens to is looked at again.
//!
//! Most of what concerns a channel is watched. What is not: HTTPRoutes, as their API may be absent; Secrets, as a right
//! to watch them is one to read all of them; and the hosts of other channels.

use std::time::Duration;

use linnet_crds::RealtimeChannelSpec;
use linnet_crds::status::RealtimeChannelStatus;
use rand::RngExt;

use crate::status::conditions::types;

/// In a steady state, where something is not watched: an HTTPRoute that somebody edits, a stream.
const STEADY: Duration = Duration::from_secs(450);

/// In a steady state, where everything is watched: in case that an event was lost.
const WATCHED: Duration = Duration::from_secs(1800);

/// While something that is not watched is waited for.
const WAITING: Duration = Duration::from_secs(10);

/// Between two looks at how many connections there are. What a gateway answers is not watched.
const SCALED: Duration = Duration::from_secs(15);

/// While somebody else's object or host is in the way.
const CONFLICT: Duration = Duration::from_secs(20);

/// The wait until the next look. Up to a third more or less: channels that were first seen together, at the start of the
/// operator, spread.
#[must_use]
pub fn after(spec: &RealtimeChannelSpec, status: &RealtimeChannelStatus) -> Duration {
    let wait = match spec.autoscaling {
        None => wait(spec, status),
        Some(_) => wait(spec, status).min(SCALED),
    };
    spread(wait)
}

/// `wait`, up to a third more or less.
#[must_use]
pub fn spread(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.67..1.33))
}

fn wait(spec: &RealtimeChannelSpec, status: &RealtimeChannelStatus) -> Duration {
    let reason = |type_: &str| {
        let condition = status.conditions.iter().find(|c| c.type_ == type_);
        condition
            .filter(|c| c.status != "True")
            .map(|c| c.reason.as_str())
    };
    let routed = spec.expose.http_route.is_some();
    match (
        reason(types::ACCEPTED),
        reason(types::EXPOSED),
        reason(types::BROKER_READY),
        reason(types::CONFIGURATION_APPLIED),
    ) {
        (Some("NameConflict"), ..) | (_, Some("HostConflict"), ..) => CONFLICT,
        (None, Some(_), ..) if routed => WAITING,
        (None, _, Some(_), _) => WAITING,
        (None, _, _, Some(_)) => WAITING,
        _ => {
            let has_broker = status
                .conditions
                .iter()
                .any(|c| c.type_ == types::BROKER_READY);
            if routed || has_broker {
                STEADY
            } else {
                WATCHED
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seconds(spec: Value, conditions: &[(&str, &str)]) -> u64 {
        let conditions: Vec<_> = conditions
            .iter()
            .map(|(type_, reason)| {
                json!({"type": type_, "status": "False", "reason": reason, "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"})
            })
            .collect();
        let status = serde_json::from_value(json!({"conditions": conditions})).unwrap();
        wait(&serde_json::from_value(spec).unwrap(), &status).as_secs()
    }

    #[test]
    fn what_is_not_watched_is_looked_at_soon_while_it_is_waited_for() {
        let route = json!({"expose": {"httpRoute": {"parentRefs": [{"name": "g"}]}}});
        assert_eq!(seconds(route, &[("Exposed", "RoutePending")]), 10);
        assert_eq!(seconds(json!({}), &[("BrokerReady", "SecretMissing")]), 10);
        assert_eq!(
            seconds(json!({}), &[("ConfigurationApplied", "Pending")]),
            10
        );
        assert_eq!(seconds(json!({}), &[("Accepted", "NameConflict")]), 20);
        assert_eq!(seconds(json!({}), &[("Exposed", "HostConflict")]), 20);
    }

    #[test]
    fn what_only_an_edit_can_mend_waits_for_it() {
        let invalid = [
            ("Accepted", "InvalidSpec"),
            ("ConfigurationApplied", "NotAccepted"),
        ];
        assert_eq!(seconds(json!({}), &invalid), 1800);
        assert_eq!(
            seconds(json!({}), &[("GatewaysAvailable", "ScaledToZero")]),
            1800
        );
        assert_eq!(seconds(json!({}), &[]), 1800);
    }

    #[test]
    fn what_is_not_watched_is_looked_at_now_and_then_in_any_case() {
        let route = json!({"expose": {"httpRoute": {"parentRefs": [{"name": "g"}]}}});
        assert_eq!(seconds(route, &[]), 450);
        let edit = [("Accepted", "InvalidSpec"), ("BrokerReady", "NotAccepted")];
        assert_eq!(seconds(json!({}), &edit), 450);
    }
}
