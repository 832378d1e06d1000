//! The status, from everything that is known after a pass.

use jiff::Timestamp;
use linnet_crds::status::RealtimeChannelStatus;

use super::conditions::{Draft, Truth, settle, types};
use super::{configuration, exposed, gateways, url};
use crate::apply::write::Failure;
use crate::dereference::{Live, Observed, own_deployment};
use crate::names;
use crate::validate::{Rejection, Validated, secrets};

/// Everything that is known after a pass.
#[derive(Debug)]
pub struct Facts<'a> {
    /// What was there before it.
    pub observed: &'a Observed,
    /// What the channel asks for, or why it can't be had.
    pub validated: Result<&'a Validated, &'a Rejection>,
    /// What is there after it.
    pub live: &'a Live,
    /// Writes that were refused.
    pub failures: &'a [Failure],
    /// Conditions of what has rooms of its own: `BrokerReady` as the broker's assets are, `ScalingActive`.
    pub others: Vec<Draft>,
    /// What of the gateways waits, and for what.
    pub waits: Option<&'a str>,
}

/// Puts the status together.
#[must_use]
pub fn compose(facts: Facts<'_>, now: Timestamp) -> RealtimeChannelStatus {
    let observed = facts.observed;
    let metadata = &observed.channel.metadata;
    let previous = observed.channel.status.clone().unwrap_or_default();
    let deployment = own_deployment(facts.live, observed.uid());
    let numbers = deployment
        .as_ref()
        .map(gateways::numbers)
        .unwrap_or_default();
    let (updated, url) = match facts.validated {
        Ok(channel) => {
            let updated = deployment.as_ref().map_or(0, |deployment| {
                let (pods, hash) = (&observed.pods, &channel.hash);
                gateways::updated(deployment, pods, &observed.readings, hash)
            });
            (updated, Some(url::of(channel, facts.live)))
        }
        // No gateway runs what was not accepted.
        Err(_) => (0, previous.url),
    };
    RealtimeChannelStatus {
        observed_generation: metadata.generation,
        replicas: Some(numbers.existing),
        ready_replicas: Some(numbers.ready),
        updated_replicas: Some(updated),
        selector: metadata.name.as_deref().map(names::selector_text),
        url,
        conditions: settle(
            &previous.conditions,
            drafts(facts, deployment.as_ref()),
            metadata.generation,
            now,
        ),
    }
}

fn drafts(
    facts: Facts<'_>,
    deployment: Option<&k8s_openapi::api::apps::v1::Deployment>,
) -> Vec<Draft> {
    let observed = facts.observed;
    let mut drafts = vec![accepted(facts.validated)];
    match facts.validated {
        Ok(channel) => {
            let hash = &channel.hash;
            let missing = secrets::missing_for_authentication(&channel.spec, &observed.secrets);
            drafts.push(match missing.is_empty() {
                true => configuration::condition(&observed.pods, &observed.readings, hash),
                false => configuration::secret_missing(&missing),
            });
        }
        Err(_) if deployment.is_some() => drafts.push(configuration::not_accepted()),
        Err(_) => {}
    }
    drafts.push(match deployment {
        Some(deployment) => {
            let mut draft = gateways::condition(deployment, &observed.pods);
            if let Some(waits) = facts.waits {
                draft.message = format!("{}; {waits}", draft.message);
            }
            draft
        }
        None => Draft::fails(
            types::GATEWAYS_AVAILABLE,
            "NotApplied",
            "there is no Deployment of gateways yet",
        ),
    });
    let mut others = facts.others;
    if let Ok(channel) = facts.validated {
        let missing = secrets::missing_for_broker(&channel.spec, &observed.secrets);
        if !missing.is_empty() {
            others.retain(|draft| draft.type_ != types::BROKER_READY);
            let message = missing.join("; ");
            drafts.push(Draft::fails(types::BROKER_READY, "SecretMissing", message));
        }
        drafts.extend(exposed::condition(channel, facts.live));
    }
    drafts.extend(others);
    if observed.is_paused() {
        let message = format!(
            "the annotation {} stops all writes to what the channel consists of: remove it to go on",
            names::PAUSED
        );
        drafts.push(Draft::holds(types::PAUSED, "Annotated", message));
    }
    drafts.insert(0, ready(&drafts, facts.failures));
    drafts
}

fn accepted(validated: Result<&Validated, &Rejection>) -> Draft {
    match validated {
        Ok(_) => Draft::holds(types::ACCEPTED, "Valid", "the spec can be carried out"),
        Err(Rejection { reason, message }) => Draft::fails(types::ACCEPTED, reason, message),
    }
}

/// Whether the channel serves clients as it is asked to: the first condition that has a say and does not hold is the
/// reason. What was refused by the API server counts too, even where clients do not notice.
fn ready(drafts: &[Draft], failures: &[Failure]) -> Draft {
    const SAY: [&str; 4] = [
        types::ACCEPTED,
        types::GATEWAYS_AVAILABLE,
        types::BROKER_READY,
        types::EXPOSED,
    ];
    let find = |type_: &&str| drafts.iter().find(|draft| draft.type_ == *type_);
    let mut failing = SAY
        .iter()
        .filter_map(find)
        .filter(|draft| draft.truth != Truth::True);
    let refused: Vec<_> = failures
        .iter()
        .map(|failure| failure.message.as_str())
        .collect();
    match failing.next() {
        Some(draft) if draft.type_ == types::ACCEPTED || failures.is_empty() => {
            let message = format!("{}: {}", draft.type_, draft.message);
            Draft::new(types::READY, draft.truth, &draft.reason, message)
        }
        None if failures.is_empty() => Draft::holds(types::READY, "Serving", "clients can connect"),
        _ => Draft::fails(types::READY, "ApplyFailed", refused.join("; ")),
    }
}

#[cfg(test)]
mod tests;
