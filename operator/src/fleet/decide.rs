//! One decision for one channel.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use linnet_crds::RealtimeChannelSpec;
use tokio::time::Instant;

use super::mark::Mark;
use super::pods;
use crate::build::deployment::template_hash;
use crate::build::pod::CONTAINER;
use crate::decision::{Decision, Template};
use crate::dereference::Observed;
use crate::rollout::{self, Progress, Turn, Turns, gates, progress};
use crate::scaling::{self, Hold, Memory, Outcome};
use crate::status::conditions::types;
use crate::status::{Draft, Truth};

/// When to look again while pods go.
const PODS: Duration = Duration::from_secs(5);

/// What is remembered between passes, of all channels. It is as old as this process' leadership.
#[derive(Debug)]
pub struct Fleets {
    memories: Mutex<HashMap<String, Memory>>,
    turns: Mutex<Turns>,
}

/// What is to become of a fleet in this pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Its number and template.
    pub decision: Decision,
    /// Which pods are to go first, to be written before the number changes.
    pub marks: Vec<Mark>,
    /// `ScalingActive`, where the channel is scaled by the operator.
    pub scaling: Option<Draft>,
    /// What waits; `None` where nothing does.
    pub waits: Option<Wait>,
    /// Whether no gateway is being replaced, made or removed.
    pub settled: bool,
}

/// Something that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// What, and for what, for people.
    pub message: &'static str,
    /// When to look again.
    pub again: Duration,
}

impl Wait {
    /// It waits for pods that go, which are watched: this is for those that are past their grace.
    fn for_pods(message: &'static str) -> Self {
        Self {
            message,
            again: PODS,
        }
    }
}

impl Fleets {
    /// Nothing is remembered; at most `most` channels roll at once for a release.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            memories: Mutex::default(),
            turns: Mutex::new(Turns::new(most)),
        }
    }

    /// After a restart: channels that are rolling to `image`, the release's, go on to have their turn. One that rolls
    /// to anything else does so for reasons of its own. `deployments` are those of all channels, with the channel's key.
    pub fn resume<'a>(
        &self,
        image: &str,
        deployments: impl IntoIterator<Item = (String, &'a Deployment)>,
    ) {
        let now = Timestamp::now();
        let rolling = deployments
            .into_iter()
            .filter(|(_, deployment)| progress(deployment, &[], now).rolling)
            .filter(|(_, deployment)| image_of(deployment) == Some(image))
            .map(|(key, _)| key);
        self.turns().resume(rolling);
    }

    /// A channel is gone, or paused: others need not wait for it.
    pub fn forget(&self, key: &str) {
        self.turns().done(key);
        self.memories().remove(key);
    }

    /// Decides for the channel `key`. `spec` has what the channel asks for, `template` is the hash of the pod template
    /// that it is to have.
    pub fn decide(
        &self,
        key: &str,
        spec: &RealtimeChannelSpec,
        observed: &Observed,
        template: Option<&str>,
        (now, time): (Instant, Timestamp),
    ) -> Verdict {
        let deployment = observed.deployment();
        let live = deployment.as_ref().and_then(template_hash);
        let pods: Vec<rollout::Pod> = observed
            .pods
            .iter()
            .filter(|pod| pods::counts(pod))
            .map(|pod| pods::pod(pod, live.as_deref()))
            .collect();
        let progress = match &deployment {
            Some(deployment) => progress(deployment, &pods, time),
            None => Progress::default(),
        };
        let (template, mut waits) = match &deployment {
            None => (Template::Newest, None),
            Some(_) => self.template(key, observed, (live.as_deref(), template), progress),
        };
        let (replicas, gateways, scaling) = self.replicas(key, spec, observed, progress, now);
        let current = replicas.current.unwrap_or(replicas.wanted);
        let going = usize::try_from(current - replicas.wanted).unwrap_or(0);
        let costs = scaling::costs(&gateways, going);
        let chosen = costs.iter().all(|(_, cost)| cost.is_none());
        if replicas.waits {
            let message = "fewer gateways wait until the pods that go are gone";
            waits.get_or_insert_with(|| Wait::for_pods(message));
        }
        Verdict {
            decision: Decision {
                // Which pods go first must be known to the ReplicaSet's controller before it removes any: it is told in
                // this pass, and the pods' change brings the next one.
                replicas: if chosen { replicas.wanted } else { current },
                template,
            },
            marks: costs
                .into_iter()
                .filter_map(|(pod, cost)| mark_of(observed, &pod, cost))
                .collect(),
            scaling,
            waits,
            settled: !progress.rolling && progress.going == 0,
        }
    }

    /// Whether another template may be applied now.
    fn template(
        &self,
        key: &str,
        observed: &Observed,
        (live, wanted): (Option<&str>, Option<&str>),
        progress: Progress,
    ) -> (Template, Option<Wait>) {
        if live == wanted {
            if !progress.rolling && progress.going == 0 {
                self.turns().done(key);
            }
            return (Template::Newest, None);
        }
        if !gates(progress).template.is_open() {
            let waits = "a new pod template waits until the pods that go are gone";
            return (Template::Held, Some(Wait::for_pods(waits)));
        }
        // A template that differs where the channel does not is a new release's.
        let status = observed.channel.status.as_ref();
        let seen = status.and_then(|status| status.observed_generation);
        let edited = seen != observed.channel.metadata.generation;
        if edited {
            return (Template::Newest, None);
        }
        match self.turns().ask(key) {
            Turn::Now => (Template::Newest, None),
            Turn::After(others, again) => {
                // Other channels may be of other tenants: their names are for the log alone.
                tracing::debug!(?others, "a new release waits for other channels");
                let wait = Wait {
                    message: "a new release waits until the gateways of other channels are replaced",
                    again,
                };
                (Template::Held, Some(wait))
            }
        }
    }

    fn replicas(
        &self,
        key: &str,
        spec: &RealtimeChannelSpec,
        observed: &Observed,
        progress: Progress,
        now: Instant,
    ) -> (Replicas, Vec<scaling::Gateway>, Option<Draft>) {
        let deployment = observed.deployment();
        let current = deployment.and_then(|deployment| deployment.spec?.replicas);
        let gateways: Vec<scaling::Gateway> = observed
            .pods
            .iter()
            .filter(|pod| pods::counts(pod))
            .map(|pod| pods::gateway(pod, &observed.readings))
            .collect();
        let gates = gates(progress);
        let Some(autoscaling) = &spec.autoscaling else {
            self.memories().remove(key);
            let held = current.filter(|now| spec.replicas < *now && !gates.scale_down.is_open());
            let replicas = Replicas {
                current,
                wanted: held.unwrap_or(spec.replicas),
                waits: held.is_some(),
            };
            return (replicas, gateways, None);
        };
        // A channel at zero was stopped before it was scaled by connections.
        let Some(running) = current.filter(|current| *current > 0) else {
            let wanted = scaling::initial(autoscaling, spec.replicas);
            let replicas = Replicas {
                current,
                wanted,
                waits: false,
            };
            return (replicas, gateways, Some(condition(Outcome::Enough, 0)));
        };
        let hold = match gates.autoscale_down.is_open() {
            true => Hold::Free,
            false => Hold::Rollout,
        };
        let mut memories = self.memories();
        let memory = memories.entry(key.to_owned()).or_default();
        let decision = scaling::decide(memory, autoscaling, running, &gateways, hold, now);
        let replicas = Replicas {
            current,
            wanted: decision.replicas,
            waits: decision.outcome == Outcome::Waiting,
        };
        let scaling = condition(decision.outcome, decision.load.missing);
        (replicas, gateways, Some(scaling))
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memories(&self) -> MutexGuard<'_, HashMap<String, Memory>> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number of gateways.
struct Replicas {
    /// That the Deployment has.
    current: Option<i32>,
    /// That it is to have.
    wanted: i32,
    /// Whether fewer are wanted, but not yet.
    waits: bool,
}

/// `ScalingActive`. Without numbers, for each change of a condition is a write.
fn condition(outcome: Outcome, missing: usize) -> Draft {
    let says = match outcome {
        Outcome::Enough => "there are as many gateways as the connections need",
        Outcome::Up => "more gateways are made",
        Outcome::Down => "gateways are taken away step by step",
        Outcome::Stabilizing => {
            "fewer gateways would do, but not yet for spec.autoscaling.scaleDown.stabilizationWindowSeconds"
        }
        Outcome::Waiting => "fewer gateways would do: that waits until none is being replaced",
        Outcome::AtMaximum => {
            "the connections need more gateways than spec.autoscaling.maxReplicas lets there be"
        }
        Outcome::AtMinimum => "fewer gateways would do than spec.autoscaling.minReplicas asks for",
        Outcome::Unknown => "no gateway says how many connections it has",
    };
    let truth = match outcome {
        Outcome::Unknown => Truth::Unknown,
        _ => Truth::True,
    };
    let some = match outcome {
        Outcome::Unknown => "",
        _ if missing > 0 => {
            "; some gateways do not say how many connections they have, and count as full"
        }
        _ => "",
    };
    let message = format!("{says}{some}");
    Draft::new(types::SCALING_ACTIVE, truth, outcome.reason(), message)
}

/// The image of a Deployment's gateways.
fn image_of(deployment: &Deployment) -> Option<&str> {
    let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
    let gateway = pod.containers.iter().find(|one| one.name == CONTAINER)?;
    gateway.image.as_deref()
}

fn mark_of(observed: &Observed, pod: &str, cost: Option<&'static str>) -> Option<Mark> {
    let found = observed.pods.iter().find(|one| one.name_any() == pod)?;
    Some(Mark {
        pod: pod.to_owned(),
        uid: found.uid()?,
        cost,
    })
}
