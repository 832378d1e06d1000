//! One decision.

use std::time::Duration;

use linnet_crds::autoscaling::Autoscaling;
use tokio::time::Instant;

use super::demand::{Gateway, Load, needed};
use super::victims::costs;
use super::window::Memory;

/// Whether gateways may be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// They may.
    Free,
    /// Not now: gateways are being replaced, or some are still going.
    Rollout,
}

/// What is to be done. The costs are written first, and only when that is done the number of replicas: who is killed
/// between the two leaves costs that the next decision clears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// How many gateways there are to be.
    pub replicas: i32,
    /// Annotations to write before that: per pod the cost, or `None` to take it away.
    pub costs: Vec<(String, Option<&'static str>)>,
    /// Why, for the condition.
    pub outcome: Outcome,
    /// What was counted.
    pub load: Load,
}

/// Why there are to be as many as there are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As many as the connections need.
    Enough,
    /// More are made.
    Up,
    /// Fewer are enough, and one step is done.
    Down,
    /// Fewer would be enough, but have not been for the whole window yet.
    Stabilizing,
    /// Fewer are enough, but gateways are being replaced.
    Waiting,
    /// The connections need more than `maxReplicas`.
    AtMaximum,
    /// The connections need fewer than `minReplicas`.
    AtMinimum,
    /// No gateway said how many it has.
    Unknown,
}

impl Outcome {
    /// The reason of the condition.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Enough => "AsNeeded",
            Self::Up => "ScalingUp",
            Self::Down => "ScalingDown",
            Self::Stabilizing => "Stabilizing",
            Self::Waiting => "RolloutInProgress",
            Self::AtMaximum => "AtMaximum",
            Self::AtMinimum => "AtMinimum",
            Self::Unknown => "NoReadings",
        }
    }
}

/// How many gateways a channel begins with when it is scaled for the first time and has `replicas` in its spec.
pub fn initial(scaling: &Autoscaling, replicas: i32) -> i32 {
    within(scaling, replicas)
}

/// Decides for a channel that has `current` replicas and these `gateways`.
pub fn decide(
    memory: &mut Memory,
    scaling: &Autoscaling,
    current: i32,
    gateways: &[Gateway],
    hold: Hold,
    now: Instant,
) -> Decision {
    let target = scaling.target_connections;
    let load = Load::of(gateways, target);
    let window = Duration::from_secs(scaling.scale_down.stabilization_window_seconds.into());
    let down = needed(load.most, target, current);
    let lately = memory.most(down, window, now);
    let up = needed(load.least, target, current);
    let decision = |replicas: i32, outcome| Decision {
        replicas,
        costs: costs(gateways, usize::try_from(current - replicas).unwrap_or(0)),
        outcome,
        load,
    };
    let bounded = within(scaling, current);
    if current < bounded {
        // Below the minimum, whatever the connections need.
        return decision(bounded.max(within(scaling, up)), Outcome::Up);
    }
    if up > current {
        let replicas = within(scaling, up);
        return match replicas > current {
            true => decision(replicas, Outcome::Up),
            false => decision(step_down(current, bounded, hold), Outcome::AtMaximum),
        };
    }
    if current > bounded {
        // The maximum was lowered: that is not a matter of the connections.
        return match hold {
            Hold::Free => decision(step_down(current, bounded, hold), Outcome::Down),
            Hold::Rollout => decision(current, Outcome::Waiting),
        };
    }
    if down >= current {
        let blind = !gateways.is_empty() && load.missing == gateways.len();
        let outcome = if blind {
            Outcome::Unknown
        } else {
            Outcome::Enough
        };
        return decision(current, outcome);
    }
    let enough = match lately {
        Some(most) if most < current => within(scaling, most),
        _ if within(scaling, down) == current => current,
        _ => return decision(current, Outcome::Stabilizing),
    };
    match (enough == current, hold) {
        (true, _) => decision(current, Outcome::AtMinimum),
        (false, Hold::Rollout) => decision(current, Outcome::Waiting),
        (false, Hold::Free) => decision(step_down(current, enough, hold), Outcome::Down),
    }
}

/// One step from `current` towards `enough`: one gateway, or a tenth of them.
fn step_down(current: i32, enough: i32, hold: Hold) -> i32 {
    match hold {
        Hold::Rollout => current,
        Hold::Free => enough.max(current - (current / 10).max(1)),
    }
}

fn within(scaling: &Autoscaling, replicas: i32) -> i32 {
    // The schema keeps the minimum below the maximum; an object from before that rule may not.
    replicas.max(scaling.min_replicas).min(scaling.max_replicas)
}
