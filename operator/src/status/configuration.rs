//! `ConfigurationApplied`: whether the gateways serve what the channel says now.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::conditions::{Draft, Truth, types};
use crate::gateways::Readings;

/// Whether all gateways serve the configuration with hash `hash`, by what they say themselves. Pods that do not run yet
/// will start with it.
#[must_use]
pub fn condition(pods: &[Pod], readings: &Readings, hash: &str) -> Draft {
    let type_ = types::CONFIGURATION_APPLIED;
    let pods: Vec<_> = pods
        .iter()
        .filter(|pod| runs(pod) && pod.metadata.deletion_timestamp.is_none())
        .map(ResourceExt::name_any)
        .collect();
    if pods.is_empty() {
        let message = "no gateway runs: the configuration waits for one";
        return Draft::holds(type_, "NoGateways", message);
    }
    let (mut serving, mut refusals, mut silent) = (0, Vec::new(), Vec::new());
    // Gateways of one version say the same: one of them stands for all.
    let mut warnings = BTreeMap::new();
    for pod in &pods {
        match readings.get(pod) {
            Some(Ok(reading)) if reading.config_hash == hash => {
                serving += 1;
                if let Some(warning) = &reading.config_warning {
                    warnings.entry(warning.as_str()).or_insert(pod);
                }
            }
            Some(Ok(reading)) => {
                if let Some(error) = &reading.config_error {
                    refusals.push(format!("{pod}: {error}"));
                }
            }
            Some(Err(missing)) => silent.push(format!("{pod}: {missing}")),
            None => silent.push(format!("{pod}: not asked yet")),
        }
    }
    let all = pods.len();
    let message = format!("{serving} of {all} gateways serve it");
    if !refusals.is_empty() {
        let message = format!("{message}; refused by {}", refusals.join("; "));
        return Draft::fails(type_, "Refused", message);
    }
    if serving == all && !warnings.is_empty() {
        let warnings = warnings.into_iter();
        let warnings: Vec<_> = warnings
            .map(|(warning, pod)| format!("{pod}: {warning}"))
            .collect();
        let message = format!(
            "{message}, but they are older than some of its fields, which they pass over: {}",
            warnings.join("; ")
        );
        return Draft::holds(type_, "PassedOver", message);
    }
    if serving == all {
        return Draft::holds(type_, "AllGateways", message);
    }
    if serving + silent.len() == all {
        // Whoever answers serves it.
        let message = format!("{message}; no answer from {}", silent.join("; "));
        return Draft::new(type_, Truth::Unknown, "NoAnswer", message);
    }
    Draft::fails(type_, "Pending", message)
}

fn runs(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    status.and_then(|status| status.phase.as_deref()) == Some("Running")
}

/// Gateways can't know tokens or callers by what is not there.
#[must_use]
pub fn secret_missing(missing: &[String]) -> Draft {
    let type_ = types::CONFIGURATION_APPLIED;
    Draft::fails(type_, "SecretMissing", missing.join("; "))
}

/// While the spec is not accepted the gateways go on with an older one.
#[must_use]
pub fn not_accepted() -> Draft {
    let message = "the spec is not accepted: gateways that run serve the last one that was";
    Draft::fails(types::CONFIGURATION_APPLIED, "NotAccepted", message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gateways::{Missing, Reading};

    fn pods<const N: usize>(names: [&str; N]) -> Vec<Pod> {
        names
            .map(|name| {
                let status = json!({"phase": "Running"});
                serde_json::from_value(json!({"metadata": {"name": name}, "status": status}))
                    .unwrap()
            })
            .into()
    }

    fn says(hash: &str, error: Option<&str>) -> Result<Reading, Missing> {
        let reading = json!({
            "name": "x", "configHash": hash, "configError": error, "connections": 1,
            "draining": false, "version": "1",
        });
        Ok(serde_json::from_value(reading).unwrap())
    }

    fn readings<const N: usize>(all: [(&str, Result<Reading, Missing>); N]) -> Readings {
        all.map(|(name, reading)| (name.to_owned(), reading)).into()
    }

    #[test]
    fn it_holds_when_every_gateway_says_so() {
        let all = readings([("a", says("h", None)), ("b", says("h", None))]);
        let draft = condition(&pods(["a", "b"]), &all, "h");
        assert_eq!(draft.truth, Truth::True);
        assert_eq!(draft.message, "2 of 2 gateways serve it");
        assert_eq!(condition(&[], &all, "h").reason, "NoGateways");
    }

    #[test]
    fn a_pod_that_does_not_run_yet_is_not_waited_for() {
        let mut all = pods(["a", "b"]);
        all[1].status = None;
        let draft = condition(&all, &readings([("a", says("h", None))]), "h");
        assert_eq!(draft.message, "1 of 1 gateways serve it");
    }

    #[test]
    fn a_refusal_is_told_in_the_gateways_words() {
        let all = readings([("a", says("g", Some("line 3: no"))), ("b", says("h", None))]);
        let draft = condition(&pods(["a", "b"]), &all, "h");
        assert_eq!(
            (draft.truth, draft.reason.as_str()),
            (Truth::False, "Refused")
        );
        assert!(draft.message.contains("a: line 3: no"), "{}", draft.message);
    }

    #[test]
    fn it_is_pending_while_a_gateway_is_behind_and_unknown_where_one_does_not_answer() {
        let behind = readings([("a", says("g", None)), ("b", Err(Missing::TimedOut))]);
        assert_eq!(condition(&pods(["a", "b"]), &behind, "h").reason, "Pending");
        let silent = readings([("a", says("h", None)), ("b", Err(Missing::TimedOut))]);
        let draft = condition(&pods(["a", "b", "c"]), &silent, "h");
        assert_eq!(
            (draft.truth, draft.reason.as_str()),
            (Truth::Unknown, "NoAnswer")
        );
    }

    #[test]
    fn what_older_gateways_pass_over_is_told_once_and_is_no_failure() {
        let older = |hash| {
            let mut reading = says(hash, None).unwrap();
            reading.config_warning = Some("line 9: spec.later: unknown".into());
            Ok(reading)
        };
        let all = readings([("a", older("h")), ("b", older("h"))]);
        let draft = condition(&pods(["a", "b"]), &all, "h");
        assert_eq!(
            (draft.truth, draft.reason.as_str()),
            (Truth::True, "PassedOver")
        );
        assert!(
            draft
                .message
                .ends_with("pass over: a: line 9: spec.later: unknown"),
            "{}",
            draft.message
        );
        let behind = readings([("a", older("g")), ("b", older("h"))]);
        assert_eq!(condition(&pods(["a", "b"]), &behind, "h").reason, "Pending");
    }
}
