//! Deletes the streams of a channel that is being deleted, and lets it go.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, DeleteParams, Preconditions};
use kube::runtime::events::{Event, EventType};
use kube::{Client, ResourceExt};
use tokio::time::Instant;

use super::condition::Problem;
use super::memory::Streams;
use super::{finalizer, read, tend};
use crate::assets::{After, Before, Keeper, Plan, Situation, Warning, after, before};
use crate::children::Child;
use crate::dereference::Observed;
use crate::fleet;
use crate::names;
use crate::settings::Settings;
use crate::validate::namespace;

/// When to look again while gateways go or NATS is away.
const AGAIN: Duration = Duration::from_secs(5);

/// Does the next step of a channel's deletion. Gives when to look again, `None` once it may go, and what people want to
/// know.
///
/// # Errors
/// What the API server says.
pub async fn delete(
    streams: &Streams,
    client: &Client,
    settings: &Settings,
    observed: &mut Observed,
) -> kube::Result<(Option<Duration>, Vec<Event>)> {
    if !finalizer::is_there(&observed.channel) {
        return Ok((None, Vec::new()));
    }
    let (nats, plan) = read::plan(&observed.channel, settings);
    let names = plan.names();
    let missing = nats.as_ref().and_then(|nats| {
        let needed = read::needed(nats);
        needed
            .into_iter()
            .find(|name| matches!(observed.secrets.get(name), Some(None)))
    });
    let situation = Situation {
        delete: finalizer::is_wanted(&observed.channel, nats.is_some()),
        abandon: is_abandoned(observed),
        broker: nats.is_some(),
        missing_secret: missing.as_deref(),
        gateways: fleet::remaining(&observed.pods, Timestamp::now()),
        streams: &names,
    };
    let warning = match (before(&situation), nats) {
        (Before::Release(warning), _) => warning,
        (_, None) => None,
        (Before::StopGateways, _) => {
            stop_gateways(client, observed).await?;
            return Ok((Some(AGAIN), Vec::new()));
        }
        (Before::Delete, Some(nats)) => {
            // A Deployment without pods would make one.
            stop_gateways(client, observed).await?;
            let secrets = read::secrets(client, &namespace(&observed.channel), &nats).await;
            let outcome = match secrets {
                Ok(secrets) => try_to(streams, &nats, &secrets, &plan).await,
                Err(kube::Error::Api(status)) if status.is_forbidden() => {
                    Err(Problem::Secrets(status.message.clone()).to_string())
                }
                Err(error) => return Err(error),
            };
            let uid = observed.uid();
            let (outcome, failing) = match &outcome {
                Ok(others) => (Ok(others.as_slice()), Duration::ZERO),
                Err(why) => (Err(why.as_str()), streams.failed(uid, Instant::now())),
            };
            match after(outcome, &names, failing, streams.gone_after) {
                After::Release(warning) => warning,
                After::Again => {
                    let news = outcome.err().filter(|_| failing.is_zero());
                    let news = news.map(|why| {
                        let note = format!(
                            "its streams on NATS can't be deleted, which is tried for {} s: {why}",
                            streams.gone_after.as_secs()
                        );
                        warn("DeletionWaits", note)
                    });
                    return Ok((Some(AGAIN), news.into_iter().collect()));
                }
            }
        }
    };
    let mut events: Vec<Event> = warning.iter().map(stays).collect();
    events.extend(left(observed));
    for event in &events {
        tracing::warn!(
            channel = observed.channel.name_any(),
            namespace = observed.channel.namespace(),
            note = event.note,
            "streams stay"
        );
    }
    finalizer::settle(client, &mut observed.channel, false).await?;
    streams.forget(observed.uid());
    Ok((None, events))
}

/// Gives the streams that are another's.
async fn try_to(
    streams: &Streams,
    nats: &linnet_crds::broker::Nats,
    secrets: &crate::assets::Secrets,
    plan: &Plan,
) -> Result<Vec<(String, String)>, String> {
    let broker = streams.brokers.get(nats, secrets).await;
    let broker = broker.map_err(|error| Problem::from(error).to_string())?;
    let deleted = Keeper::new(&broker, plan).delete().await;
    let deleted = deleted.map_err(|error| Problem::from(error).to_string())?;
    tracing::info!(streams = ?deleted.deleted, owner = plan.owner, "streams are deleted with their channel");
    Ok(deleted.others)
}

async fn stop_gateways(client: &Client, observed: &Observed) -> kube::Result<()> {
    let Some(deployment) = observed.deployment() else {
        return Ok(());
    };
    if deployment.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let api: Api<Deployment> = Api::namespaced(client.clone(), &namespace(&observed.channel));
    let params = DeleteParams::background().preconditions(Preconditions {
        uid: deployment.uid(),
        resource_version: None,
    });
    let name = Child::Deployment.name(&observed.channel.name_any());
    match api.delete(&name, &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_abandoned(observed: &Observed) -> bool {
    let annotation = observed.channel.annotations().get(names::ABANDON_STREAMS);
    annotation.is_some_and(|value| value == "true")
}

fn stays(warning: &Warning) -> Event {
    warn("StreamsStay", warning.to_string())
}

/// What it has on brokers that it had before: nobody deletes that.
fn left(observed: &Observed) -> Option<Event> {
    let left = tend::recorded(observed).left;
    let stays: Vec<_> = left.iter().map(ToString::to_string).collect();
    let note = || {
        format!(
            "streams on brokers that it had before stay: {}",
            stays.join("; ")
        )
    };
    (!stays.is_empty()).then(|| warn("StreamsStay", note()))
}

fn warn(reason: &str, note: String) -> Event {
    Event {
        type_: EventType::Warning,
        reason: reason.into(),
        note: Some(note),
        action: "Delete".into(),
        secondary: None,
    }
}
