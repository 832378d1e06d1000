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

use super::decide::{End, Gateway, Load, Memory, Step, decide};
use crate::build::pod::INTERNAL_PORT;
use crate::dereference::Observed;
use crate::fleet;
use crate::gateways::{self, Missing};

/// How long after a step's window its last connections may be there.
const LAST: Duration = Duration::from_secs(2);

/// How long a gateway has to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// So many times in a row that a gateway does not do as it was asked are told: one may be a moment's.
const TOLD: u32 = 2;

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
        Step::Look(wait) => Outcome {
            again: Some(wait),
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
        Step::End(end) => Outcome {
            again: None,
            events: vec![ended(end)],
        },
        Step::Move { pod, keep, window } => {
            let answer = ask(observed, &pod, keep, window).await;
            let mut all = rebalances.all();
            let memory = all.entry(key.to_owned()).or_default();
            match answer {
                Ok(()) => Outcome {
                    again: Some(window + LAST),
                    events: memory.taken().then(begins).into_iter().collect(),
                },
                Err(error) => {
                    tracing::warn!(pod, %error, "a gateway can't be asked to make room");
                    let (times, wait) = memory.refused(Timestamp::now());
                    let told = (times == TOLD).then(|| refused(&pod, &error));
                    Outcome {
                        again: Some(wait),
                        events: told.into_iter().collect(),
                    }
                }
            }
        }
    }
}

fn begins() -> Event {
    let note = "connections move to the gateways that were added, from one gateway at a time";
    event(EventType::Normal, "Rebalancing", note.into())
}

fn refused(pod: &str, error: &Missing) -> Event {
    let note = format!(
        "the gateway of pod {pod} has the most connections and can't be asked to make room: {error}. It is asked again \
         for an hour after the newest gateway was started"
    );
    event(EventType::Warning, "RebalanceRefused", note)
}

fn ended(end: End) -> Event {
    let (type_, reason, note) = match end {
        End::Even => (
            EventType::Normal,
            "Rebalanced",
            "the gateways have about as many connections each",
        ),
        End::InVain => (
            EventType::Warning,
            "RebalanceInVain",
            "clients that were asked to move came back to the gateway that they were on: something in front of the \
             Service keeps them there. They stay until gateways are added again",
        ),
        End::Late => (
            EventType::Warning,
            "RebalanceUnfinished",
            "an hour after the newest gateway was started some gateways still have far more connections than others. They \
             stay until gateways are added again",
        ),
    };
    event(type_, reason, note.into())
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
        started: fleet::started(pod),
        ready: fleet::is_ready(pod),
        leaving: pod.metadata.deletion_timestamp.is_some(),
        load: reading.map(|reading| Load {
            connections: reading.connections,
            moving: reading.moving,
            draining: reading.draining,
        }),
        pod: name,
    }
}
