//! The way of one row: where it may have been published long ago its room is looked into first, then it is published.

mod archive;

use std::time::Duration;

use tokio::time::Instant;

use crate::doubt::Doubt;
use crate::gateway::{Gateway, Outcome, Verdict};
use crate::lanes::Held;
use crate::metrics::Metrics;
use archive::{Archive, Seen};

/// Brings rows to their rooms.
#[derive(Debug)]
pub struct Courier {
    gateway: Gateway,
    archive: Archive,
    trusted: Duration,
}

/// What became of a row.
#[derive(Debug)]
pub struct Delivered {
    /// The row.
    pub held: Held,
    /// How it went; `None` where its room had it already.
    pub outcome: Option<Outcome>,
    /// What is known of it, if it is to be sent again.
    pub doubt: Option<Doubt>,
}

impl Courier {
    /// A row that may have been sent longer than `trusted` ago is looked for in its room before it is sent again.
    #[must_use]
    pub fn new(gateway: Gateway, trusted: Duration) -> Self {
        Self {
            gateway,
            archive: Archive::default(),
            trusted,
        }
    }

    /// Brings one row.
    pub async fn deliver(&self, held: Held, metrics: &Metrics) -> Delivered {
        let mut doubt = held.doubt;
        if let Some(old) = doubt.filter(|doubt| doubt.is_old(Instant::now(), self.trusted)) {
            match self.archive.look(&self.gateway, &held.row, old.since).await {
                Ok(Seen::Yes) => {
                    return Delivered {
                        held,
                        outcome: None,
                        doubt,
                    };
                }
                Ok(Seen::No) => doubt = None,
                Ok(Seen::Unproven(reason)) => {
                    metrics.unproven();
                    tracing::warn!(id = %held.row.id, room = held.row.room, reason, "may be published twice: nobody can tell whether it was");
                    doubt = None;
                }
                Err(reason) => {
                    let outcome = Outcome {
                        verdict: Verdict::Later(None),
                        code: "history".to_owned(),
                        reason,
                    };
                    return Delivered {
                        held,
                        outcome: Some(outcome),
                        doubt,
                    };
                }
            }
        }
        let sent = Instant::now();
        let outcome = self.gateway.publish(&held.row).await;
        if outcome.verdict == Verdict::Unknown {
            doubt = doubt.or(Some(Doubt::of_own(sent)));
        }
        Delivered {
            held,
            outcome: Some(outcome),
            doubt,
        }
    }
}
