//! Keeps the streams of a channel that is there to stay.

use std::collections::BTreeMap;

use kube::Client;
use kube::runtime::events::{Event, EventType};
use linnet_crds::broker::Nats;
use tokio::time::Instant;

use super::condition::{Problem, condition};
use super::memory::Streams;
use super::{finalizer, read};
use crate::assets::{Done, Keeper, Kind, Kept, Left, Plan, Record};
use crate::children::Child;
use crate::dereference::Observed;
use crate::names;
use crate::settings::Settings;
use crate::status::Draft;
use crate::validate::{namespace, secrets};

/// What came of it.
#[derive(Default)]
pub struct Tended {
    /// `BrokerReady`.
    pub condition: Option<Draft>,
    /// Where the channel's streams are, to be kept beside its configuration; `None` where it never had any.
    pub record: Option<String>,
    /// What people want to know.
    pub events: Vec<Event>,
}

/// Makes the channel's streams what it asks for, where that is due: each time that it asks for something else, after a
/// failure, and every few minutes. The finalizer comes first, so that no stream is made that a deletion would not find.
///
/// # Errors
/// What the API server says. What NATS says is a condition.
pub async fn tend(
    streams: &Streams,
    client: &Client,
    settings: &Settings,
    observed: &mut Observed,
) -> kube::Result<Tended> {
    let (nats, plan) = read::plan(&observed.channel, settings);
    let wanted = finalizer::is_wanted(&observed.channel, nats.is_some());
    finalizer::settle(client, &mut observed.channel, wanted).await?;
    let before = recorded(observed);
    let Some(nats) = nats else {
        let record = before.next(Vec::new(), Vec::new());
        return Ok(Tended {
            condition: condition(Ok(&[]), &record.left, true),
            record: written(&record),
            events: Vec::new(),
        });
    };
    let mut tended = Tended::default();
    let uid = observed.uid().to_owned();
    let now = Instant::now();
    let outcome = match streams.known(&uid, &nats.urls, &plan, now) {
        Some(orphans) => Ok(orphans),
        None if !secrets_are_there(observed, settings) => {
            // The status says which is missing.
            return Ok(Tended {
                record: written(&before),
                ..tended
            });
        }
        None => match ask(streams, client, &observed.channel, &nats, &plan).await? {
            Ok(Kept { done, orphans }) => {
                tended.events = done.iter().map(told).collect();
                streams.good(&uid, &nats.urls, &plan, orphans.clone(), now);
                Ok(orphans)
            }
            Err(problem) => {
                streams.bad(&uid);
                Err(problem)
            }
        },
    };
    let record = match &outcome {
        Ok(orphans) => before.next(nats.urls.clone(), history(&plan, orphans)),
        // What is there is not known: what was known of the broker stays, and one before is not forgotten either.
        Err(_) => before.moved(nats.urls.clone(), history(&plan, &[])),
    };
    let left: &[Left] = &record.left;
    tended.condition = condition(outcome.as_deref(), left, false);
    tended.record = written(&record);
    Ok(tended)
}

async fn ask(
    streams: &Streams,
    client: &Client,
    channel: &linnet_crds::RealtimeChannel,
    nats: &Nats,
    plan: &Plan,
) -> kube::Result<Result<Kept, Problem>> {
    let secrets = read::secrets(client, &namespace(channel), nats).await?;
    let broker = match streams.brokers.get(nats, &secrets).await {
        Ok(broker) => broker,
        Err(error) => return Ok(Err(error.into())),
    };
    Ok(Keeper::new(&broker, plan).keep().await.map_err(Problem::from))
}

/// The streams of history that are on the broker.
fn history(plan: &Plan, orphans: &[String]) -> Vec<String> {
    let planned = plan.assets.iter().filter(|asset| asset.kind == Kind::History);
    let planned = planned.map(|asset| asset.name().to_owned());
    planned.chain(orphans.iter().cloned()).collect()
}

fn secrets_are_there(observed: &Observed, settings: &Settings) -> bool {
    let mut spec = observed.channel.spec.clone();
    spec.broker = crate::validate::broker::resolve(&spec, settings);
    secrets::missing_for_broker(&spec, &observed.secrets).is_empty()
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

fn written(record: &Record) -> Option<String> {
    let empty = record.streams.is_empty() && record.left.is_empty();
    // It has a form in JSON: it is made of texts.
    (!empty).then(|| serde_json::to_string(record).ok())?
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
