//! One pass of one channel: the five steps.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use tokio::time::Instant;

use super::context::Context;
use super::{again, events};
use crate::apply::plan::{self, Conflict};
use crate::apply::write::{self, Failure};
use crate::build::build;
use crate::decision::Decision;
use crate::dereference::{Live, Observed, dereference};
use crate::live;
use crate::status::{self, Facts};
use crate::validate::{Rejection, Validated, validate};

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

/// Passes the channel `name` of `namespace` through the five steps.
///
/// # Errors
/// Why it is to be tried again.
pub async fn pass(context: &Context, namespace: &str, name: &str) -> Result<Next, PassError> {
    let client = &context.client;
    let taken = |channel: &_| context.taken(channel);
    let observed = dereference(client, namespace, name, taken, &context.settings).await?;
    let Some(observed) = observed else {
        return Ok(None);
    };
    if observed.channel.metadata.deletion_timestamp.is_some() {
        // Its children go with it: they name it as their owner.
        return Ok(None);
    }
    let validated = validate(&observed.channel, &observed.taken, &context.settings);
    let mut live = observed.live.clone();
    let (validated, failures) = match validated {
        Ok(validated) if observed.is_paused() => (Ok(validated), Vec::new()),
        Ok(validated) => carry_out(context, &observed, validated, &mut live).await?,
        Err(rejection) => (Err(rejection), Vec::new()),
    };
    let facts = Facts {
        observed: &observed,
        validated: validated.as_ref(),
        live: &live,
        failures: &failures,
        others: Vec::new(),
    };
    let status = status::compose(facts, Timestamp::now());
    let channel = &observed.channel;
    if status::write::update(client, channel, &status).await? {
        let news = events::news(channel.status.as_ref(), &status);
        events::publish(&context.recorder, channel, news).await;
    }
    if !failures.is_empty() {
        let messages: Vec<_> = failures
            .into_iter()
            .map(|failure| failure.message)
            .collect();
        return Err(PassError::Refused(messages.join("; ")));
    }
    let look = again::after(&channel.spec, &status);
    let now = Instant::now();
    let nudge = context.with_nudges(observed.uid(), |nudges| nudges.next(now));
    let nudge = nudge.map(|at| at.saturating_duration_since(now));
    Ok(Some(nudge.map_or(look, |nudge| nudge.min(look))))
}

/// The steps in the middle: builds what was validated, and applies it. Gives what was refused.
async fn carry_out(
    context: &Context,
    observed: &Observed,
    validated: Validated,
    live: &mut Live,
) -> Result<(Result<Validated, Rejection>, Vec<Failure>), PassError> {
    let uid = observed.uid();
    let decision = Decision::plain(&validated.spec, observed.deployment().as_ref());
    let wanted = build(&validated, decision.replicas).manifests()?;
    let conflicts = plan::conflicts(&wanted, live, uid);
    if !conflicts.is_empty() {
        return Ok((Err(name_conflict(&conflicts)), Vec::new()));
    }
    let writes = plan::writes(wanted, live, uid, decision);
    let (client, namespace) = (&context.client, &validated.namespace);
    let mut failures = write::carry_out(client, namespace, &validated.name, writes, live).await?;
    failures.extend(unreadable(live, &validated.name));
    let now = Instant::now();
    let annotations = context.with_nudges(uid, |nudges| {
        nudges.due(&observed.pods, &observed.readings, &validated.hash, now)
    });
    live::annotate(client, namespace, annotations).await?;
    Ok((Ok(validated), failures))
}

/// Children that could not even be read.
fn unreadable(live: &Live, channel: &str) -> Vec<Failure> {
    use crate::dereference::Seen;
    let unreadable = live.iter().filter_map(|(child, seen)| match seen {
        Seen::Unreadable(why) => Some(Failure {
            child: *child,
            message: format!("cannot get {} {}: {why}", child.kind(), child.name(channel)),
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
mod tests;
