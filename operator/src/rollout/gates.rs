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
    pub fn is_open(self) -> bool {
        self == Self::Open
    }
}

/// What may be done to a channel's Deployment now. More replicas, and live configuration, may always be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gates {
    /// Another pod template.
    pub template: Gate,
    /// Fewer replicas.
    pub scale_down: Gate,
}

/// What may be done where the rollout is so far.
pub fn gates(progress: Progress) -> Gates {
    let Progress {
        rolling,
        going,
        new_ready,
    } = progress;
    let going_gate = match going {
        0 => Gate::Open,
        going => Gate::Going(going),
    };
    // A template of which no pod became ready serves nobody: what mends it must not wait.
    let broken = rolling && !new_ready;
    Gates {
        template: if broken { Gate::Open } else { going_gate },
        // A Deployment that shrinks while it is broken takes away ready pods of the template before.
        scale_down: match (rolling, going_gate) {
            (true, Gate::Open) => Gate::Rolling,
            (_, gate) => gate,
        },
    }
}
