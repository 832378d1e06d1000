//! Keeps the streams of a channel that is there to stay.

use std::collections::BTreeMap;

use kube::Client;
use kube::runtime::events::{Event, EventType};
use linnet_crds::broker::Nats;
use tokio::time::Instant;

use super::condition::{Problem, condition};
use super::memory::Streams;
use super::{finalizer, read};
use crate::assets::{Done, Keeper, Kept, Kind, Plan, Record};
use crate::children::Child;
use crate::dereference::Observed;
use crate::names;
use crate::settings::Settings;
use crate::status::Draft;
use crate::validate::namespace;

/// What a pass knows of the channel's streams before it asks NATS.
#[derive(Debug)]
pub struct Prepared {
    nats: Option<Nats>,
    plan: Plan,
    /// The orphans, where NATS need not be asked now.
    known: Option<Vec<String>>,
    record: Record,
}

impl Prepared {
    /// Where the channel's streams are, to be kept beside its configuration; `None` where it never had any.
    #[must_use]
    pub fn record(&self) -> Option<String> {
        let empty = self.record.streams.is_empty() && self.record.left.is_empty();
        // It has a form in JSON: it is made of texts.
        (!empty).then(|| serde_json::to_string(&self.record).ok())?
    }
}

/// Sees what is due, and sets the finalizer or takes it away: no stream is made that a deletion would not find.
///
/// # Errors
/// What the API server says.
pub async fn prepare(
    streams: &Streams,
    client: &Client,
    settings: &Settings,
    observed: &mut Observed,
) -> kube::Result<Prepared> {
    let (nats, plan) = read::plan(&observed.channel, settings);
    let wanted = finalizer::is_wanted(&observed.channel, nats.is_some());
    finalizer::settle(client, &mut observed.channel, wanted).await?;
    let before = recorded(observed);
    let (known, record) = match &nats {
        None => (None, before.next(Vec::new(), Vec::new())),
        Some(nats) => {
            let urls = nats.urls.clone();
            match streams.known(observed.uid(), &urls, &plan, Instant::now()) {
                Some(orphans) => {
                    let history = history(&plan, &orphans);
                    (Some(orphans), before.next(urls, history))
                }
                // What is there is not known now: what was stays on record.
                None => (None, before.moved(urls, history(&plan, &[]))),
            }
        }
    };
    Ok(Prepared {
        nats,
        plan,
        known,
        record,
    })
}

/// Makes the channel's streams what it asks for, where that is due: each time that it asks for something else, after a
/// failure, and every few minutes. Gives `BrokerReady`, and what people want to know.
///
/// # Errors
/// What the API server says. What NATS says is a condition.
pub async fn tend(
    streams: &Streams,
    client: &Client,
    observed: &Observed,
    prepared: Prepared,
) -> kube::Result<(Option<Draft>, Vec<Event>)> {
    let Prepared {
        nats,
        plan,
        known,
        record,
    } = prepared;
    let mut events = Vec::new();
    let Some(nats) = nats else {
        return Ok((condition(Ok(&[]), &record.left, true), events));
    };
    let outcome = match known {
        Some(orphans) => Ok(orphans),
        None if !read::are_there(&nats, &observed.secrets) => {
            streams.bad(observed.uid());
            return Ok((None, events)); // the status says what is missing
        }
        None => match ask(streams, client, &observed.channel, &nats, &plan).await? {
            Ok(Kept { done, orphans }) => {
                events = done.iter().map(told).collect();
                let (uid, now) = (observed.uid(), Instant::now());
                streams.good(uid, &nats.urls, &plan, orphans.clone(), now);
                Ok(orphans)
            }
            Err(problem) => {
                streams.bad(observed.uid());
                Err(problem)
            }
        },
    };
    let outcome = outcome.as_deref();
    Ok((condition(outcome, &record.left, false), events))
}

async fn ask(
    streams: &Streams,
    client: &Client,
    channel: &linnet_crds::RealtimeChannel,
    nats: &Nats,
    plan: &Plan,
) -> kube::Result<Result<Kept, Problem>> {
    let secrets = match read::secrets(client, &namespace(channel), nats).await {
        Ok(secrets) => secrets,
        Err(kube::Error::Api(status)) if status.is_forbidden() => {
            return Ok(Err(Problem::Secrets(status.message.clone())));
        }
        Err(error) => return Err(error),
    };
    let broker = match streams.brokers.get(nats, &secrets).await {
        Ok(broker) => broker,
        Err(error) => return Ok(Err(error.into())),
    };
    Ok(Keeper::new(&broker, plan)
        .keep()
        .await
        .map_err(Problem::from))
}

/// The streams with messages that are on the broker.
fn history(plan: &Plan, orphans: &[String]) -> Vec<String> {
    let planned = plan
        .assets
        .iter()
        .filter(|asset| !matches!(asset.kind, Kind::Leases | Kind::Revocations));
    let planned = planned.map(|asset| asset.name().to_owned());
    planned.chain(orphans.iter().cloned()).collect()
}

/// What was recorded of the channel's streams; nothing where that can't be read.
pub(super) fn recorded(observed: &Observed) -> Record {
    let read = || {
        let config_map = observed.live.get(&Child::ConfigMap)?.object()?;
        let text = config_map["metadata"]["annotations"][names::STREAMS].as_str()?;
        serde_json::from_str(text).ok()
    };
    read().unwrap_or_default()
}

fn told((stream, done): &(String, Done)) -> Event {
    let (reason, note) = match done {
        Done::Created => ("StreamCreated", format!("made the stream {stream} on NATS")),
        Done::Updated(fields) => {
            let fields: BTreeMap<_, ()> = fields.iter().map(|field| (*field, ())).collect();
            let fields: Vec<_> = fields.into_keys().collect();
            let note = format!("the stream {stream} on NATS: changed {}", fields.join(", "));
            ("StreamUpdated", note)
        }
    };
    Event {
        type_: EventType::Normal,
        reason: reason.into(),
        note: Some(note),
        action: "Reconcile".into(),
        secondary: None,
    }
}
