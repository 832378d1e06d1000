use serde_json::json;

use super::*;
use crate::children::Child;
use crate::dereference::Seen;
use crate::settings::Settings;
use crate::validate::tests::{channel, validated};

fn observed(spec: serde_json::Value) -> Observed {
    Observed {
        channel: channel(spec),
        taken: Vec::new(),
        live: Live::new(),
        pods: Vec::new(),
        readings: Default::default(),
        secrets: Default::default(),
    }
}

fn fleet(ready: i32) -> Live {
    let deployment = json!({
        "metadata": {
            "generation": 1,
            "ownerReferences": [{"apiVersion": "v", "kind": "k", "name": "n", "uid": "0f1e", "controller": true}],
        },
        "spec": {"replicas": 1, "selector": {}, "template": {}},
        "status": {
            "observedGeneration": 1, "replicas": 1, "readyReplicas": ready, "updatedReplicas": 1,
        },
    });
    [(Child::Deployment, Seen::Object(deployment))].into()
}

fn status(
    observed: &Observed,
    live: &Live,
    failures: &[Failure],
    others: Vec<Draft>,
) -> RealtimeChannelStatus {
    let spec = serde_json::to_value(&observed.channel.spec).unwrap();
    let channel = validated(spec, &Settings::plain());
    let facts = Facts {
        observed,
        validated: Ok(&channel),
        live,
        failures,
        others,
        waits: None,
    };
    compose(facts, Timestamp::from_second(100).unwrap())
}

fn ready(status: &RealtimeChannelStatus) -> (String, String) {
    let ready = &status.conditions[0];
    assert_eq!(ready.type_, "Ready", "it is the first");
    (ready.status.clone(), ready.reason.clone())
}

fn reads(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[test]
fn a_channel_is_ready_when_all_that_have_a_say_hold() {
    let observed = observed(json!({}));
    let up = status(&observed, &fleet(1), &[], vec![]);
    assert_eq!(ready(&up), reads("True", "Serving"));
    let types: Vec<_> = up.conditions.iter().map(|c| c.type_.as_str()).collect();
    assert_eq!(
        types,
        [
            "Ready",
            "Accepted",
            "ConfigurationApplied",
            "GatewaysAvailable"
        ]
    );
    let down = status(&observed, &fleet(0), &[], vec![]);
    assert_eq!(ready(&down), reads("False", "NoGatewayReady"));
}

#[test]
fn the_broker_has_a_say_and_autoscaling_has_none() {
    let observed = observed(json!({}));
    let broker = Draft::fails(types::BROKER_READY, "Unreachable", "no answer");
    let scaling = Draft::fails(types::SCALING_ACTIVE, "NoReadings", "no answer");
    let away = status(&observed, &fleet(1), &[], vec![broker]);
    assert_eq!(ready(&away), reads("False", "Unreachable"));
    let blind = status(&observed, &fleet(1), &[], vec![scaling]);
    assert_eq!(ready(&blind), reads("True", "Serving"));
}

#[test]
fn what_was_refused_makes_a_channel_unready_even_while_it_serves() {
    let failure = Failure {
        ending: false,
        child: Child::PodDisruptionBudget,
        message: "cannot patch PodDisruptionBudget chat-gateway".into(),
    };
    let status = status(&observed(json!({})), &fleet(1), &[failure], vec![]);
    assert_eq!(ready(&status), reads("False", "ApplyFailed"));
    assert!(
        status.conditions[0]
            .message
            .contains("cannot patch PodDisruptionBudget")
    );
}

#[test]
fn the_same_facts_give_the_same_status_whenever_they_are_told() {
    let mut observed = observed(json!({}));
    let first = status(&observed, &fleet(1), &[], vec![]);
    observed.channel.status = Some(first.clone());
    let spec = serde_json::to_value(&observed.channel.spec).unwrap();
    let channel = validated(spec, &Settings::plain());
    let facts = Facts {
        observed: &observed,
        validated: Ok(&channel),
        live: &fleet(1),
        failures: &[],
        others: vec![],
        waits: None,
    };
    assert_eq!(compose(facts, Timestamp::from_second(900).unwrap()), first);
}

#[test]
fn what_was_not_accepted_is_told_beside_what_still_runs() {
    let observed = observed(json!({}));
    let rejection = Rejection {
        reason: "InvalidSpec",
        message: "spec.rooms[0].match: no".into(),
    };
    let facts = Facts {
        observed: &observed,
        validated: Err(&rejection),
        live: &fleet(1),
        failures: &[],
        others: vec![],
        waits: None,
    };
    let status = compose(facts, Timestamp::from_second(1).unwrap());
    assert_eq!(ready(&status), reads("False", "InvalidSpec"));
    assert_eq!(status.replicas, Some(1));
    assert_eq!(status.updated_replicas, Some(0));
    let types: Vec<_> = status.conditions.iter().map(|c| c.type_.as_str()).collect();
    assert_eq!(
        types,
        [
            "Ready",
            "Accepted",
            "ConfigurationApplied",
            "GatewaysAvailable"
        ]
    );
}

#[test]
fn a_secret_of_tokens_that_is_missing_is_told_until_it_is_there() {
    let jwt = json!({"jwt": {"keySecretName": "keys"}, "anonymous": "Allow"});
    let mut observed = observed(json!({ "authentication": jwt }));
    let reason = |observed: &Observed| {
        let status = status(observed, &Live::new(), &[], Vec::new());
        let applied = status.conditions.into_iter();
        let mut applied = applied.filter(|condition| condition.type_ == "ConfigurationApplied");
        let applied = applied.next().unwrap();
        (applied.reason, applied.message)
    };
    observed.secrets.insert("keys".into(), None);
    let (missing, message) = reason(&observed);
    assert_eq!(missing, "SecretMissing");
    assert!(message.contains("Secret keys is missing"), "{message}");
    let keys = ["jwt.a.pem".to_owned()];
    observed.secrets.insert("keys".into(), Some(keys.into()));
    assert_eq!(reason(&observed).0, "NoGateways");
}
