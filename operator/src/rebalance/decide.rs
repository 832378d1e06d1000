//! Which gateway is to make room now.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// How long after a gateway became ready others make room for it. Later than that, differences have other reasons.
const LATELY: SignedDuration = SignedDuration::from_hours(1);

/// Shortest window of a step: goodbyes are to be spread however short a drain is.
const SHORTEST: Duration = Duration::from_secs(5);

/// Longest that a gateway takes (`windowSeconds`).
const LONGEST: Duration = Duration::from_secs(3600);

/// So many steps in a row that move nobody are one too many: something in front of the Service sends clients back.
const IN_VAIN: u32 = 2;

/// A gateway, as far as this looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Name of its pod.
    pub pod: String,
    /// Since when it takes connections; `None`: it does not.
    pub ready_since: Option<Timestamp>,
    /// Whether its pod goes.
    pub leaving: bool,
    /// What it says; `None` where it did not answer.
    pub load: Option<Load>,
}

/// What a gateway says of its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Connections that are open.
    pub connections: u32,
    /// Those of them that are on their way to others.
    pub moving: u32,
    /// Whether it moves all of them away.
    pub draining: bool,
}

/// What is remembered of a channel.
#[derive(Debug, Default)]
pub struct Memory {
    /// When the newest gateway became ready: with a newer one all begins anew.
    newest: Option<Timestamp>,
    /// The last step.
    last: Option<Asked>,
    /// Steps in a row that moved nobody.
    in_vain: u32,
    /// Steps since the newest gateway became ready.
    steps: u32,
}

#[derive(Debug)]
struct Asked {
    pod: String,
    connections: u32,
    excess: u32,
}

impl Memory {
    /// The gateway did not do as it was asked.
    pub fn refused(&mut self) {
        self.last = None;
        self.in_vain += 1;
    }
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing, until something happens.
    Rest,
    /// Nothing yet: look again.
    Look,
    /// Have this pod's gateway keep so many connections, and move the others within the window.
    Move {
        /// The pod.
        pod: String,
        /// Connections that stay.
        keep: u32,
        /// The window.
        window: Duration,
        /// Whether it is the first since gateways were added.
        first: bool,
    },
    /// Have these gateways keep what they have: this is no time to move anybody.
    Stay(Vec<String>),
    /// Nothing any more until gateways are added again: clients come back to where they were.
    GiveUp,
}

/// Decides for a channel whose gateways drain within `drain`. `paced` is whether connections are to move at all, `settled`
/// whether no gateway is being replaced, made or removed.
pub fn decide(
    memory: &mut Memory,
    (paced, settled): (bool, bool),
    drain: Duration,
    gateways: &[Gateway],
    now: Timestamp,
) -> Step {
    let ready = gateways.iter().filter_map(|gateway| {
        let since = gateway.ready_since.filter(|_| !gateway.leaving)?;
        Some((since, gateway))
    });
    let ready: Vec<_> = ready.collect();
    let loads: Vec<(&str, Load)> = ready
        .iter()
        .filter_map(|(_, gateway)| Some((gateway.pod.as_str(), gateway.load?)))
        .collect();
    let drains = loads.iter().any(|(_, load)| load.draining);
    let moving = loads
        .iter()
        .filter(|(_, load)| load.moving > 0 && !load.draining);
    let moving: Vec<String> = moving.map(|(pod, _)| (*pod).to_owned()).collect();
    if !paced {
        return Step::Rest; // a person may have asked
    }
    if !settled || drains {
        return match moving.is_empty() {
            true => Step::Rest,
            false => Step::Stay(moving),
        };
    }
    let newest = ready.iter().map(|(since, _)| *since).max();
    let Some(newest) = newest.filter(|newest| now.duration_since(*newest) < LATELY) else {
        return Step::Rest;
    };
    if memory.newest != Some(newest) {
        *memory = Memory {
            newest: Some(newest),
            ..Memory::default()
        };
    }
    if ready.len() < 2 || memory.in_vain >= IN_VAIN {
        return Step::Rest;
    }
    if loads.len() < ready.len() || !moving.is_empty() {
        return Step::Look;
    }
    memory.judge(&loads);
    if memory.in_vain >= IN_VAIN {
        return Step::GiveUp;
    }
    let Some((pod, crowded)) = loads.iter().max_by_key(|(_, load)| load.connections) else {
        return Step::Rest;
    };
    let total: u64 = loads
        .iter()
        .map(|(_, load)| u64::from(load.connections))
        .sum();
    let mean = u32::try_from(total.div_ceil(loads.len() as u64)).unwrap_or(u32::MAX);
    let excess = crowded.connections.saturating_sub(mean);
    if excess <= tolerance(mean) {
        return Step::Rest;
    }
    memory.steps += 1;
    memory.last = Some(Asked {
        pod: (*pod).to_owned(),
        connections: crowded.connections,
        excess,
    });
    // No faster than a drain, which moves all of them within its window.
    let window = drain.mul_f64(f64::from(excess) / f64::from(crowded.connections));
    Step::Move {
        pod: (*pod).to_owned(),
        keep: mean,
        window: window.clamp(SHORTEST, LONGEST),
        first: memory.steps == 1,
    }
}

impl Memory {
    /// Holds the last step against what became of it. Of `n` gateways, one client in `n` comes back by chance; where
    /// three in four are there again, it is none.
    fn judge(&mut self, loads: &[(&str, Load)]) {
        let Some(asked) = self.last.take() else {
            return;
        };
        let Some((_, load)) = loads.iter().find(|(pod, _)| *pod == asked.pod) else {
            return; // it is gone, and that is another matter
        };
        let fell = asked.connections.saturating_sub(load.connections);
        match u64::from(fell) * 4 < u64::from(asked.excess) {
            true => self.in_vain += 1,
            false => self.in_vain = 0,
        }
    }
}

/// How many more than the mean are right as they are: a tenth, as for the number of gateways, and no fewer than chance
/// gives where every connection goes anywhere (three standard deviations).
fn tolerance(mean: u32) -> u32 {
    let chance = 3.0 * f64::from(mean).sqrt();
    (mean / 10).max(chance as u32)
}
