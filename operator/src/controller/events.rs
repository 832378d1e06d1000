//! Events on channels: what a person wants to know, told when it begins and when it ends.

use kube::Resource;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::events::{Event, EventType, Recorder};
use linnet_crds::status::RealtimeChannelStatus;
use linnet_crds::{RealtimeChannel, RealtimeChannelSpec};

use crate::status::conditions::types;

/// Reasons that are steps on the way: no news to anybody.
const ON_THE_WAY: [&str; 7] = [
    "NotApplied",
    "NoGateways",
    "Pending",
    "NoAnswer",
    "NotAccepted",
    "RoutePending",
    "LoadBalancerPending",
];

/// Longest note of an event, in bytes (events.k8s.io/v1).
const LONGEST_NOTE: usize = 1024;

/// Tells what became of the channel. Events are a courtesy: one that can't be written, as in a namespace that is being
/// deleted, is only logged.
pub async fn publish(recorder: &Recorder, channel: &RealtimeChannel, events: Vec<Event>) {
    let reference = channel.object_ref(&());
    for event in events {
        if let Err(error) = recorder.publish(&event, &reference).await {
            tracing::debug!(%error, reason = event.reason, "an event is lost");
        }
    }
}

/// Tells that a channel can't be read, of which only the metadata are known.
pub async fn unreadable(recorder: &Recorder, channel: &InvalidObject) {
    let stub = RealtimeChannel {
        metadata: channel.metadata.clone(),
        spec: RealtimeChannelSpec::default(),
        status: None,
    };
    let message = format!(
        "this operator can't read it and leaves its gateways as they are; it may be older than the CRD: {}",
        channel.error
    );
    let news = event(
        EventType::Warning,
        "RealtimeChannel",
        "Unreadable",
        &message,
    );
    publish(recorder, &stub, vec![news]).await;
}

/// The news between two statuses.
#[must_use]
pub fn news(before: Option<&RealtimeChannelStatus>, now: &RealtimeChannelStatus) -> Vec<Event> {
    let before = before
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    let mut events = Vec::new();
    for condition in &now.conditions {
        let old = before.iter().find(|old| old.type_ == condition.type_);
        let changed = old
            .is_none_or(|old| (&old.status, &old.reason) != (&condition.status, &condition.reason));
        if !changed || ON_THE_WAY.contains(&condition.reason.as_str()) {
            continue;
        }
        let held = old.is_some_and(|old| old.status == "True");
        let failed = old.is_some_and(|old| old.status == "False");
        let type_ = match (condition.type_.as_str(), condition.status.as_str()) {
            // Its reasons are those of the others, save this one.
            (types::READY, "False") if condition.reason != "ApplyFailed" => continue,
            (types::READY, "True") if held => continue,
            (types::BROKER_READY, "True") if condition.reason == "StreamsLeftBehind" => {
                EventType::Warning
            }
            (types::CONFIGURATION_APPLIED, "True") if condition.reason == "PassedOver" => {
                EventType::Warning
            }
            (types::READY | types::PAUSED, "True") => EventType::Normal,
            (_, "True") if failed => EventType::Normal,
            // A fleet that starts has no ready gateway either, and one may be made without any.
            (types::GATEWAYS_AVAILABLE, "False") if !held => continue,
            (types::GATEWAYS_AVAILABLE, "False") if condition.reason == "ScaledToZero" => {
                EventType::Normal
            }
            (_, "False") => EventType::Warning,
            _ => continue,
        };
        events.push(event(
            type_,
            &condition.type_,
            &condition.reason,
            &condition.message,
        ));
    }
    let resumed = before.iter().any(|old| old.type_ == types::PAUSED)
        && !now.conditions.iter().any(|new| new.type_ == types::PAUSED);
    if resumed {
        let note = "the operator writes again";
        events.push(event(EventType::Normal, types::PAUSED, "Resumed", note));
    }
    events
}

fn event(type_: EventType, condition: &str, reason: &str, message: &str) -> Event {
    let mut note = format!("{condition}: {message}");
    if note.len() > LONGEST_NOTE {
        let end = (0..=LONGEST_NOTE - '…'.len_utf8())
            .rev()
            .find(|&at| note.is_char_boundary(at));
        note.truncate(end.unwrap_or(0));
        note.push('…');
    }
    Event {
        type_,
        reason: reason.to_owned(),
        note: Some(note),
        action: "Reconcile".into(),
        secondary: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(conditions: &[(&str, &str, &str)]) -> RealtimeChannelStatus {
        let conditions: Vec<_> = conditions
            .iter()
            .map(|(type_, status, reason)| {
                json!({"type": type_, "status": status, "reason": reason, "message": "m",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"})
            })
            .collect();
        serde_json::from_value(json!({"conditions": conditions})).unwrap()
    }

    fn told(before: &[(&str, &str, &str)], now: &[(&str, &str, &str)]) -> Vec<(EventType, String)> {
        let events = news(Some(&status(before)), &status(now));
        events
            .into_iter()
            .map(|event| (event.type_, event.reason))
            .collect()
    }

    #[test]
    fn a_fleet_that_comes_up_is_one_piece_of_news() {
        let steps: [&[(&str, &str, &str)]; 3] = [
            &[
                ("Ready", "False", "NotApplied"),
                ("GatewaysAvailable", "False", "NotApplied"),
            ],
            &[
                ("Ready", "False", "NoGatewayReady"),
                ("GatewaysAvailable", "False", "NoGatewayReady"),
            ],
            &[
                ("Ready", "True", "Serving"),
                ("GatewaysAvailable", "True", "AllGatewaysReady"),
            ],
        ];
        assert_eq!(told(&[], steps[0]), []);
        assert_eq!(told(steps[0], steps[1]), []);
        let up = told(steps[1], steps[2]);
        assert!(up.contains(&(EventType::Normal, "Serving".into())));
    }

    #[test]
    fn what_fails_is_a_warning_when_it_begins_and_not_again() {
        let good = [("Accepted", "True", "Valid")];
        let bad = [("Accepted", "False", "InvalidSpec")];
        assert_eq!(
            told(&good, &bad),
            [(EventType::Warning, "InvalidSpec".into())]
        );
        assert_eq!(told(&bad, &bad), []);
        assert_eq!(told(&bad, &good), [(EventType::Normal, "Valid".into())]);
        assert_eq!(
            told(&[], &bad),
            [(EventType::Warning, "InvalidSpec".into())]
        );
    }

    #[test]
    fn what_gateways_pass_over_is_a_warning_though_nothing_fails() {
        let before = [("ConfigurationApplied", "True", "AllGateways")];
        let now = [("ConfigurationApplied", "True", "PassedOver")];
        assert_eq!(
            told(&before, &now),
            [(EventType::Warning, "PassedOver".into())]
        );
        assert_eq!(told(&now, &before), []);
    }

    #[test]
    fn a_fleet_that_is_lost_is_a_warning_and_one_that_is_scaled_to_zero_is_not() {
        let up = [("GatewaysAvailable", "True", "AllGatewaysReady")];
        let lost = [("GatewaysAvailable", "False", "NoGatewayReady")];
        let zero = [("GatewaysAvailable", "False", "ScaledToZero")];
        assert_eq!(
            told(&up, &lost),
            [(EventType::Warning, "NoGatewayReady".into())]
        );
        assert_eq!(
            told(&up, &zero),
            [(EventType::Normal, "ScaledToZero".into())]
        );
    }

    #[test]
    fn a_pause_is_told_at_both_ends() {
        let paused = [("Paused", "True", "Annotated")];
        assert_eq!(
            told(&[], &paused),
            [(EventType::Normal, "Annotated".into())]
        );
        assert_eq!(told(&paused, &[]), [(EventType::Normal, "Resumed".into())]);
    }

    #[test]
    fn a_note_is_never_longer_than_the_server_takes() {
        let note = event(EventType::Normal, "Ready", "x", &"ü".repeat(LONGEST_NOTE)).note;
        assert!(note.unwrap().len() <= LONGEST_NOTE);
    }
}
