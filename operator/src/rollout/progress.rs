//! How far a rollout is.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;

/// How much later than its `deletionTimestamp` a pod is still waited for. That time already holds the whole grace
/// period; this covers the kubelet's last steps, and clocks that differ by a little.
const LATE: SignedDuration = SignedDuration::from_secs(30);

/// A pod of the channel, as far as rollouts look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Whether it takes connections.
    pub ready: bool,
    /// Whether it is made from the Deployment's newest template.
    pub newest: bool,
    /// Its `deletionTimestamp`: when it is to be gone.
    pub going_until: Option<Timestamp>,
}

impl Pod {
    /// Whether it goes, and is not past its grace at `now`.
    #[must_use]
    pub fn is_going(&self, now: Timestamp) -> bool {
        self.going_until.is_some_and(|until| until + LATE > now)
    }
}

/// How far a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Whether pods are still being replaced, made or removed by the Deployment.
    pub rolling: bool,
    /// Pods that move their connections away, and are not past their grace.
    pub going: usize,
    /// Whether a pod of the newest template takes connections.
    pub new_ready: bool,
}

/// How far `deployment`, whose pods are `pods`, is at `now`.
pub fn progress(deployment: &Deployment, pods: &[Pod], now: Timestamp) -> Progress {
    let going = |pod: &&Pod| pod.is_going(now);
    Progress {
        rolling: is_rolling(deployment),
        going: pods.iter().filter(going).count(),
        new_ready: pods
            .iter()
            .any(|pod| pod.newest && pod.ready && pod.going_until.is_none()),
    }
}

/// As `kubectl rollout status` sees it.
fn is_rolling(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    let wanted = wanted.unwrap_or(1);
    let Some(status) = &deployment.status else {
        return wanted > 0;
    };
    let observed = status.observed_generation >= deployment.metadata.generation;
    let all = status.replicas.unwrap_or(0);
    let updated = status.updated_replicas.unwrap_or(0);
    let available = status.available_replicas.unwrap_or(0);
    !observed || updated < wanted || all > updated || available < updated
}
