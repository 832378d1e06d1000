//! Has gateways make room.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::runtime::events::{Event, EventType};
use linnet_crds::RealtimeChannelSpec;
use linnet_crds::rollout::Rebalance;

use super::decide::{Gateway, Load, Memory, Step, decide};
use crate::build::pod::INTERNAL_PORT;
use crate::dereference::Observed;
use crate::fleet;
use crate::gateways::{self, Missing};

/// When to look again at what can't be waited for.
const LOOK: Duration = Duration::from_secs(5);

/// How long after a step's window its last connections may be there.
const LAST: Duration = Duration::from_secs(2);

/// How long a gateway has to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// What is remembered between passes, of all channels.
#[derive(Debug, Default)]
pub struct Rebalances(Mutex<HashMap<String, Memory>>);

/// What came of it.
#[derive(Default)]
pub struct Outcome {
    /// When to look again; `None`: when something happens.
    pub again: Option<Duration>,
    /// What people want to know.
    pub events: Vec<Event>,
}

impl Rebalances {
    /// A channel is gone, or does not move its connections.
    pub fn forget(&self, key: &str) {
        self.all().remove(key);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Memory>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does the next step for the channel `key`; `settled` is whether no gateway is being replaced, made or removed.
pub async fn rebalance(
    rebalances: &Rebalances,
    key: &str,
    spec: &RealtimeChannelSpec,
    observed: &Observed,
    settled: bool,
) -> Outcome {
    let paced = spec.rollout.rebalance == Rebalance::Paced;
    let drain = Duration::from_secs(spec.rollout.drain_seconds.into());
    let gateways: Vec<_> = observed
        .pods
        .iter()
        .map(|pod| gateway(pod, observed))
        .collect();
    let step = {
        let mut all = rebalances.all();
        let memory = all.entry(key.to_owned()).or_default();
        let step = decide(memory, (paced, settled), drain, &gateways, Timestamp::now());
        if !paced {
            all.remove(key);
        }
        step
    };
    match step {
        Step::Rest => Outcome::default(),
        Step::Look => Outcome {
            again: Some(LOOK),
            ..Outcome::default()
        },
        Step::Stay(pods) => {
            for pod in pods {
                // One that can't be asked goes on for a window at most.
                if let Err(error) = ask(observed, &pod, u32::MAX, LAST).await {
                    tracing::warn!(pod, %error, "a gateway can't be told to keep its connections");
                }
            }
            Outcome::default()
        }
        Step::GiveUp => Outcome {
            again: None,
            events: vec![event(
                EventType::Warning,
                "RebalanceInVain",
                "clients that were asked to move came back to the gateway that they were on: something in front of the \
                 Service keeps them there. They stay until gateways are added again"
                    .into(),
            )],
        },
        Step::Move {
            pod,
            keep,
            window,
            first,
        } => match ask(observed, &pod, keep, window).await {
            Ok(()) => Outcome {
                again: Some(window + LAST),
                events: first.then(begins).into_iter().collect(),
            },
            Err(error) => {
                tracing::warn!(pod, %error, "a gateway can't be asked to make room");
                if let Some(memory) = rebalances.all().get_mut(key) {
                    memory.refused();
                }
                Outcome {
                    again: Some(LOOK),
                    ..Outcome::default()
                }
            }
        },
    }
}

fn begins() -> Event {
    let note = "connections move to the gateways that were added, from one gateway at a time";
    event(EventType::Normal, "Rebalancing", note.into())
}

fn event(type_: EventType, reason: &str, note: String) -> Event {
    Event {
        type_,
        reason: reason.to_owned(),
        note: Some(note),
        action: "Rebalance".into(),
        secondary: None,
    }
}

async fn ask(observed: &Observed, pod: &str, keep: u32, window: Duration) -> Result<(), Missing> {
    let address = observed.pods.iter().find(|one| one.name_any() == pod);
    let address = address.and_then(address_of).ok_or(Missing::NoAddress)?;
    // Whole seconds, and not fewer than meant.
    let seconds = window.as_secs() + u64::from(window.subsec_nanos() > 0);
    let asked = gateways::thin((address, INTERNAL_PORT).into(), keep, seconds);
    match tokio::time::timeout(ANSWER, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(Missing::TimedOut),
    }
}

fn address_of(pod: &Pod) -> Option<IpAddr> {
    pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}

fn gateway(pod: &Pod, observed: &Observed) -> Gateway {
    let name = pod.name_any();
    let reading = observed.readings.get(&name);
    let reading = reading.and_then(|reading| reading.as_ref().ok());
    Gateway {
        ready_since: fleet::ready_since(pod),
        leaving: pod.metadata.deletion_timestamp.is_some(),
        load: reading.map(|reading| Load {
            connections: reading.connections,
            moving: reading.moving,
            draining: reading.draining,
        }),
        pod: name,
    }
}
