//! Which pods go first when there are to be fewer.
//!
//! The ReplicaSet removes pods in this order: not running, not ready, then the lower
//! `controller.kubernetes.io/pod-deletion-cost`. So the least-loaded pods get a cost below the others' (which have
//! none, so 0), and only then is the number of replicas lowered.

use super::demand::Gateway;

/// The annotation that a ReplicaSet looks at (Kubernetes KEP 2255).
pub const COST_ANNOTATION: &str = "controller.kubernetes.io/pod-deletion-cost";
/// The cost of those that are to go. No other controller writes this one, so it tells which annotations are ours:
/// Karpenter, for one, writes others.
pub const COST: &str = "-100417";

/// The annotations to write so that of `gateways` just the `going` least-loaded ones have our cost: per pod the cost, or
/// `None` to take it away.
pub fn costs(gateways: &[Gateway], going: usize) -> Vec<(String, Option<&'static str>)> {
    let mut staying: Vec<&Gateway> = gateways.iter().filter(|one| !one.leaving).collect();
    let ours = |one: &Gateway| one.cost.as_deref() == Some(COST);
    // One that does not say how many it has counts as full, unless it takes none. Who was chosen stays chosen: clients
    // come and go while the choice is written.
    staying.sort_by_key(|one| {
        let load = one.connections.unwrap_or(u32::MAX);
        (one.ready, !ours(one), load, one.pod.clone())
    });
    let split = going.min(staying.len());
    let (going, staying) = staying.split_at(split);
    let marked = going.iter().filter(|one| !ours(one));
    let stale = staying.iter().filter(|one| ours(one));
    marked
        .map(|one| (one.pod.clone(), Some(COST)))
        .chain(stale.map(|one| (one.pod.clone(), None)))
        .collect()
}
