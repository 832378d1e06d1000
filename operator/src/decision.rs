//! What may become of a channel's fleet in this pass. Who decides is `scaling` and `rollout`; `apply` obeys.

use k8s_openapi::api::apps::v1::Deployment;
use linnet_crds::RealtimeChannelSpec;

/// What may become of the fleet now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// So many gateways.
    pub replicas: i32,
    /// Whether their pod template may change.
    pub template: Template,
}

/// Which pod template the gateways have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template {
    /// What the channel asks for.
    Newest,
    /// The one that they have: a change of it waits.
    Held,
}

impl Decision {
    /// What the spec says, where nothing waits. With autoscaling, the number that there is, within its bounds.
    #[must_use]
    pub fn plain(spec: &RealtimeChannelSpec, live: Option<&Deployment>) -> Self {
        let replicas = match &spec.autoscaling {
            None => spec.replicas,
            Some(scaling) => {
                let now = live.and_then(|live| live.spec.as_ref()?.replicas);
                now.unwrap_or(scaling.min_replicas)
                    .max(scaling.min_replicas)
                    .min(scaling.max_replicas)
            }
        };
        Self {
            replicas,
            template: Template::Newest,
        }
    }
}
