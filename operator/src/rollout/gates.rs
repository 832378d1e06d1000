//! What has to wait.

use super::progress::Progress;

/// Whether something may be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It may.
    Open,
    /// So many pods still move their connections away: another move would follow on the heels of the first.
    Going(usize),
    /// Pods are being replaced.
    Rolling,
}

impl Gate {
    /// Whether it may be done.
    #[must_use]
    pub fn is_open(self) -> bool {
        self == Self::Open
    }
}

/// What may be done to a channel's Deployment now. More replicas, and live configuration, may always be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gates {
    /// Another pod template.
    pub template: Gate,
    /// Fewer replicas, as a person or another autoscaler asks for.
    pub scale_down: Gate,
    /// Fewer replicas, as the operator's own autoscaling would have it. There is time.
    pub autoscale_down: Gate,
}

/// What may be done where the rollout is so far.
#[must_use]
pub fn gates(progress: Progress) -> Gates {
    let Progress {
        rolling,
        going,
        new_ready,
    } = progress;
    let settled = match going {
        0 => Gate::Open,
        going => Gate::Going(going),
    };
    // A template of which no pod became ready serves nobody: what mends it, or ends it, must not wait.
    let broken = rolling && !new_ready;
    let asked = if broken { Gate::Open } else { settled };
    Gates {
        template: asked,
        scale_down: asked,
        autoscale_down: match (rolling, settled) {
            (true, Gate::Open) => Gate::Rolling,
            (_, gate) => gate,
        },
    }
}
