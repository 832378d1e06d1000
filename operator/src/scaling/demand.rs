//! How many gateways the connections need.

/// A pod of the channel, as far as scaling looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Name of the pod.
    pub pod: String,
    /// Whether it takes connections.
    pub ready: bool,
    /// Whether it is going: its connections move to the others.
    pub leaving: bool,
    /// Connections that it says it has; `None` where it did not say.
    pub connections: Option<u32>,
    /// The value of its annotation [`super::COST_ANNOTATION`].
    pub cost: Option<String>,
}

/// What all gateways carry together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Connections if those of pods that did not say are none: more gateways are not made for what may not be there.
    pub least: u64,
    /// Connections if a pod that did not say has as many as it is meant to: none is taken from what may be there.
    pub most: u64,
    /// Pods that did not say.
    pub missing: usize,
}

impl Load {
    /// The load of `gateways`, each meant to carry `target` connections.
    pub fn of(gateways: &[Gateway], target: u32) -> Self {
        let said = |gateway: &Gateway| gateway.connections.map(u64::from);
        let least = gateways.iter().filter_map(said).sum();
        let missing = gateways.iter().filter(|one| said(one).is_none()).count();
        Self {
            least,
            most: least + missing as u64 * u64::from(target),
            missing,
        }
    }
}

/// How many gateways `connections` need, where `current` of them with up to 10 % more or less than `target` each are
/// right as they are. That is the tolerance of Kubernetes' own autoscaler.
pub(super) fn needed(connections: u64, target: u32, current: i32) -> i32 {
    let target = u64::from(target.max(1));
    let exactly = i32::try_from(connections.div_ceil(target)).unwrap_or(i32::MAX);
    let meant = u64::from(current.max(0).unsigned_abs()) * target;
    let near = connections * 10 <= meant * 11 && connections * 10 >= meant * 9;
    if near { current } else { exactly }
}
