//! One pass of one channel: the five steps.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::events::Event;
use tokio::time::Instant;
use tracing::{Instrument, info_span};

use super::context::Context;
use super::{again, events};
use crate::apply::plan::{self, Conflict};
use crate::apply::write::{self, Failure};
use crate::build::{build, config_map, deployment};
use crate::dereference::{Live, Observed, dereference};
use crate::fleet::Wait;
use crate::status::conditions::{self, types};
use crate::status::{self, Draft, Facts, Truth};
use crate::validate::{Rejection, Validated, validate};
use crate::{fleet, live, rebalance, streams};

/// Why a pass did not do all it was to. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The API server is away, or answers what nobody expects of it.
    #[error("the API server: {0}")]
    Api(#[from] kube::Error),
    /// It refused writes, most likely for a lack of rights; the channel's status names them.
    #[error("refused: {0}")]
    Refused(String),
    /// It took too long.
    #[error("not done within {0:?}")]
    TimedOut(Duration),
    /// What was built has no JSON form: a fault of the operator.
    #[error("what was built can't be written down: {0}")]
    Json(#[from] serde_json::Error),
}

/// When the next pass is to be; `None`: when something happens.
pub type Next = Option<Duration>;

/// Until the next look at a channel whose namespace is being deleted, in case that nothing is heard of it.
const ENDING: Duration = Duration::from_secs(60);

/// Passes the channel `name` of `namespace` through the five steps.
///
/// # Errors
/// Why it is to be tried again.
pub async fn pass(context: &Context, namespace: &str, name: &str) -> Result<Next, PassError> {
    let client = &context.client;
    let taken = |channel: &_| context.taken(channel);
    let observed = dereference(client, namespace, name, taken, &context.settings)
        .instrument(info_span!("dereference"))
        .await?;
    let Some(mut observed) = observed else {
        return Ok(None);
    };
    if observed.channel.metadata.deletion_timestamp.is_some() {
        return delete(context, observed).await;
    }
    let validated = info_span!("validate")
        .in_scope(|| validate(&observed.channel, &observed.taken, &context.settings));
    let mut live = observed.live.clone();
    let carried = match validated {
        Ok(validated) if observed.is_paused() => {
            // Nobody is to wait for a channel that does not move.
            context.fleets.forget(&key(&observed.channel));
            Carried::nothing(Ok(validated), &observed)
        }
        Ok(validated) => {
            carry_out(context, &mut observed, validated, &mut live)
                .instrument(info_span!("apply"))
                .await?
        }
        Err(rejection) => Carried::nothing(Err(rejection), &observed),
    };
    let facts = Facts {
        observed: &observed,
        validated: carried.validated.as_ref(),
        live: &live,
        failures: &carried.failures,
        others: carried.others,
        waits: carried.waits.as_ref().map(|wait| wait.message),
    };
    let status = status::compose(facts, Timestamp::now());
    let channel = &observed.channel;
    events::publish(&context.recorder, channel, carried.events).await;
    let updated = status::write::update(client, channel, &status)
        .instrument(info_span!("update_status"))
        .await?;
    if updated {
        let news = events::news(channel.status.as_ref(), &status);
        events::publish(&context.recorder, channel, news).await;
    }
    if carried.failures.iter().any(|failure| failure.ending) {
        // The channel goes with its namespace, which brings the next pass: nothing to complain of, or to try again.
        return Ok(Some(again::spread(ENDING)));
    }
    if !carried.failures.is_empty() {
        let messages = carried.failures.into_iter();
        let messages: Vec<_> = messages.map(|failure| failure.message).collect();
        return Err(PassError::Refused(messages.join("; ")));
    }
    let mut look = again::after(&channel.spec, &status);
    if let Some(wait) = carried.waits {
        look = look.min(again::spread(wait.again));
    }
    if let Some(moves) = carried.moves {
        look = look.min(moves);
    }
    let now = Instant::now();
    let nudge = context.with_nudges(observed.uid(), |nudges| nudges.next(now));
    let nudge = nudge.map(|at| at.saturating_duration_since(now));
    Ok(Some(nudge.map_or(look, |nudge| nudge.min(look))))
}

/// The next step of a deletion. The channel's children go with it: they name it as their owner.
async fn delete(context: &Context, mut observed: Observed) -> Result<Next, PassError> {
    let Context {
        streams,
        client,
        settings,
        ..
    } = context;
    // Nobody is to wait for a channel that goes.
    context.fleets.forget(&key(&observed.channel));
    let (next, events) = streams::delete(streams, client, settings, &mut observed).await?;
    events::publish(&context.recorder, &observed.channel, events).await;
    Ok(next)
}

/// What came of the steps in the middle.
struct Carried {
    validated: Result<Validated, Rejection>,
    /// Writes that were refused.
    failures: Vec<Failure>,
    /// Conditions of what has rooms of its own.
    others: Vec<Draft>,
    /// What people want to know.
    events: Vec<Event>,
    /// What waits.
    waits: Option<Wait>,
    /// When to look again at connections that move to other gateways.
    moves: Option<Duration>,
}

impl Carried {
    /// Nothing was done. What was said of the broker is as true as before.
    fn nothing(validated: Result<Validated, Rejection>, observed: &Observed) -> Self {
        let status = observed.channel.status.as_ref();
        let before = status.map(|status| status.conditions.as_slice());
        Self {
            validated,
            failures: Vec::new(),
            others: conditions::again(before.unwrap_or_default(), types::BROKER_READY)
                .into_iter()
                .collect(),
            events: Vec::new(),
            waits: None,
            moves: None,
        }
    }
}

/// The steps in the middle: builds what was validated, and applies it.
async fn carry_out(
    context: &Context,
    observed: &mut Observed,
    validated: Validated,
    live: &mut Live,
) -> Result<Carried, PassError> {
    let (client, settings) = (&context.client, &context.settings);
    let mut children = info_span!("build").in_scope(|| build(&validated, validated.spec.replicas));
    let conflicts = plan::conflicts(&children.clone().manifests()?, live, observed.uid());
    if !conflicts.is_empty() {
        return Ok(Carried::nothing(Err(name_conflict(&conflicts)), observed));
    }
    let prepared = streams::prepare(&context.streams, client, settings, observed)
        .instrument(info_span!("prepare_streams"))
        .await?;
    config_map::record(&mut children.config_map, prepared.record());
    let uid = observed.uid();
    let verdict = context.fleets.decide(
        &key(&observed.channel),
        &validated.spec,
        observed,
        deployment::template_hash(&children.deployment).as_deref(),
        (Instant::now(), Timestamp::now()),
    );
    deployment::scale(&mut children.deployment, verdict.decision.replicas);
    fleet::mark(client, &validated.namespace, verdict.marks).await?;
    let writes = plan::writes(children.manifests()?, live, uid, verdict.decision);
    let namespace = &validated.namespace;
    let mut failures = write::carry_out(client, namespace, &validated.name, writes, live).await?;
    failures.extend(unreadable(live, &validated.name));
    let now = Instant::now();
    let annotations = context.with_nudges(uid, |nudges| {
        nudges.due(&observed.pods, &observed.readings, &validated.hash, now)
    });
    live::annotate(client, namespace, annotations).await?;
    let key = key(&observed.channel);
    let (memory, spec) = (&context.rebalances, &validated.spec);
    let moves = rebalance::rebalance(memory, &key, spec, observed, verdict.settled).await;
    // Last: a broker that does not answer must not hold up what needs none. Gateways wait for their streams.
    let (broker, mut events) = streams::tend(&context.streams, client, observed, prepared)
        .instrument(info_span!("tend_streams"))
        .await?;
    if let Some(broker) = broker.as_ref().filter(|draft| draft.truth == Truth::False) {
        context.metrics.nats_failed(&broker.reason);
    }
    events.extend(moves.events);
    Ok(Carried {
        validated: Ok(validated),
        failures,
        others: broker.into_iter().chain(verdict.scaling).collect(),
        events,
        waits: verdict.waits,
        moves: moves.again,
    })
}

/// Children that could not even be read.
fn unreadable(live: &Live, channel: &str) -> Vec<Failure> {
    use crate::dereference::Seen;
    let unreadable = live.iter().filter_map(|(child, seen)| match seen {
        Seen::Unreadable(why) => Some(Failure {
            child: *child,
            message: format!("cannot get {} {}: {why}", child.kind(), child.name(channel)),
            ending: false,
        }),
        Seen::Object(_) | Seen::Nothing | Seen::NoApi => None,
    });
    unreadable.collect()
}

fn name_conflict(conflicts: &[Conflict]) -> Rejection {
    let names = conflicts.iter().map(|conflict| {
        let (kind, name) = (conflict.child.kind(), &conflict.name);
        match conflict.of_a_channel {
            true => format!(
                "{kind} {name} belongs to another channel, perhaps one that was just deleted"
            ),
            false => format!("{kind} {name} is there and is not this channel's"),
        }
    });
    let names: Vec<_> = names.collect();
    Rejection {
        reason: "NameConflict",
        message: format!(
            "{}: nothing of it is touched. Remove it, or give the channel another name",
            names.join("; ")
        ),
    }
}

/// What names a channel where its uid is not known.
#[must_use]
pub fn key(channel: &linnet_crds::RealtimeChannel) -> String {
    format!(
        "{}/{}",
        channel.namespace().unwrap_or_default(),
        channel.name_any()
    )
}

#[cfg(test)]
mod fleet_tests;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;
