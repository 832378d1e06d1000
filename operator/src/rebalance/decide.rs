//! Which gateway is to make room now.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// How long after a gateway was started others make room for it. Later than that, differences have other reasons.
const LATELY: SignedDuration = SignedDuration::from_hours(1);

/// When to look again at what can't be waited for.
const LOOK: Duration = Duration::from_secs(5);

/// Longest wait until a gateway that did not do as it was asked is asked again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

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
    /// When its pod was started. Not since when it is ready: that begins anew whenever readiness is lost for a moment.
    pub started: Option<Timestamp>,
    /// Whether it takes connections.
    pub ready: bool,
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
    /// When the newest gateway that was seen ready was started: with a newer one all begins anew.
    newest: Option<Timestamp>,
    /// The last step, until it is held against what became of it.
    last: Option<Asked>,
    /// Steps in a row that moved nobody.
    in_vain: u32,
    /// Steps since this began; none where it ended.
    steps: u32,
    /// Times in a row that a gateway did not do as it was asked.
    refusals: u32,
    /// Until when nobody is asked again.
    waits_until: Option<Timestamp>,
}

#[derive(Debug)]
struct Asked {
    pod: String,
    connections: u32,
    excess: u32,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing, until something happens.
    Rest,
    /// Nothing yet: look again after this time.
    Look(Duration),
    /// Have this pod's gateway keep so many connections, and move the others within the window.
    Move {
        /// The pod.
        pod: String,
        /// Connections that stay.
        keep: u32,
        /// The window.
        window: Duration,
    },
    /// Have these gateways keep what they have: this is no time to move anybody.
    Stay(Vec<String>),
    /// Nothing any more until gateways are added again.
    End(End),
}

/// Why connections that moved do not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The gateways have about as many each.
    Even,
    /// Clients come back to where they were.
    InVain,
    /// The gateways are not new any more.
    Late,
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
    let ready = gateways
        .iter()
        .filter(|gateway| gateway.ready && !gateway.leaving);
    let ready: Vec<_> = ready.collect();
    let loads: Vec<(&str, Load)> = ready
        .iter()
        .filter_map(|gateway| Some((gateway.pod.as_str(), gateway.load?)))
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
    memory.see(ready.iter().filter_map(|gateway| gateway.started).max());
    let lately = |started: &Timestamp| now.duration_since(*started) < LATELY;
    let late = !memory.newest.as_ref().is_some_and(lately);
    let is_new = |gateway: &&Gateway| gateway.started.as_ref().is_some_and(lately);
    let idle = match late {
        true => memory.steps == 0,
        false => !ready.iter().any(is_new),
    };
    if ready.len() < 2 || idle || memory.in_vain >= IN_VAIN {
        return Step::Rest;
    }
    if !moving.is_empty() {
        return Step::Look(LOOK);
    }
    if loads.len() < ready.len() {
        return match late {
            true => memory.end(End::Late),
            false => Step::Look(LOOK),
        };
    }
    memory.judge(&loads);
    if memory.in_vain >= IN_VAIN {
        return memory.end(End::InVain);
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
        return match memory.steps {
            0 => Step::Rest,
            _ => memory.end(End::Even),
        };
    }
    if late {
        return memory.end(End::Late);
    }
    if let Some(until) = memory.waits_until.filter(|until| *until > now) {
        return Step::Look(until.duration_since(now).unsigned_abs());
    }
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
    }
}

impl Memory {
    /// The gateway does as it was asked. Gives whether it is the first since this began.
    pub fn taken(&mut self) -> bool {
        (self.refusals, self.waits_until) = (0, None);
        self.steps += 1;
        self.steps == 1
    }

    /// The gateway did not do as it was asked: that tells nothing of where clients go. Gives how often in a row this was,
    /// and when to ask again: each time later, up to a minute.
    pub fn refused(&mut self, now: Timestamp) -> (u32, Duration) {
        let wait = LOOK * 2_u32.saturating_pow(self.refusals);
        let wait = wait.min(LONGEST_WAIT);
        self.last = None;
        self.refusals += 1;
        self.waits_until = SignedDuration::try_from(wait).ok().map(|wait| now + wait);
        (self.refusals, wait)
    }

    /// The newest gateway that is ready was started then. One that only was away for a moment is none that was added.
    fn see(&mut self, newest: Option<Timestamp>) {
        if newest > self.newest {
            *self = Self {
                newest,
                ..Self::default()
            };
        }
    }

    fn end(&mut self, end: End) -> Step {
        self.steps = 0;
        Step::End(end)
    }

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
