//! Whether this process leads, for those who act on it.

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Whether this process leads now. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Leadership(watch::Receiver<Told>);

/// What a campaign tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Told {
    /// Until when this process leads; `None` where it does not.
    pub until: Option<Instant>,
    /// Who holds the Lease, if anybody; `None` until the API server has said so once.
    pub holder: Option<Option<String>>,
}

impl Leadership {
    /// A leadership that is told through the sender.
    pub(super) fn new() -> (watch::Sender<Told>, Self) {
        let (sender, receiver) = watch::channel(Told::default());
        (sender, Self(receiver))
    }

    /// A leadership that stays as it is.
    #[cfg(test)]
    pub(crate) fn of(until: Option<Instant>, holder: Option<Option<&str>>) -> Self {
        let holder = holder.map(|holder| holder.map(str::to_owned));
        Self(watch::channel(Told { until, holder }).1)
    }

    /// A leadership that never ends, for one operator that runs alone, and for tests.
    #[must_use]
    pub fn alone() -> Self {
        let told = Told {
            until: Some(Instant::now() + FOR_EVER),
            holder: Some(None),
        };
        Self(watch::channel(told).1)
    }

    /// Whether this process may act at this moment. It asks the clock: a task that was held up for long must not take
    /// an old answer for a new one.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        holds(&self.0.borrow())
    }

    /// Who holds the Lease, as far as this process knows; `None`: nobody has told it yet.
    #[must_use]
    pub fn holder(&self) -> Option<Option<String>> {
        self.0.borrow().holder.clone()
    }

    /// Awaits that this process leads.
    pub async fn begun(&mut self) {
        if self.0.wait_for(holds).await.is_err() {
            std::future::pending::<()>().await; // nobody campaigns any more
        }
    }

    /// Awaits that this process does not lead any more.
    pub async fn ended(&mut self) {
        loop {
            let until = self.0.borrow_and_update().until;
            let Some(until) = until.filter(|until| *until > Instant::now()) else {
                return;
            };
            tokio::select! {
                changed = self.0.changed() => {
                    if changed.is_err() {
                        // Nobody renews it: it holds for as long as was promised.
                        sleep_until(until).await;
                        return;
                    }
                }
                () = sleep_until(until) => {}
            }
        }
    }
}

/// Long enough to be called for ever, short enough to be added to a clock.
const FOR_EVER: std::time::Duration = std::time::Duration::from_secs(100 * 365 * 24 * 3600);

fn holds(told: &Told) -> bool {
    told.until.is_some_and(|until| until > Instant::now())
}
