//! Whether this process leads, for those who act on it.

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Whether this process leads now. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Leadership(watch::Receiver<Option<Instant>>);

impl Leadership {
    /// A leadership that is told through the sender: until when it holds, or that it does not.
    pub(super) fn new() -> (watch::Sender<Option<Instant>>, Self) {
        let (sender, receiver) = watch::channel(None);
        (sender, Self(receiver))
    }

    /// A leadership that never ends, for one operator that runs alone, and for tests.
    #[must_use]
    pub fn alone() -> Self {
        Self(watch::channel(Some(Instant::now() + FOR_EVER)).1)
    }

    /// Whether this process may act at this moment. It asks the clock: a task that was held up for long must not take
    /// an old answer for a new one.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        holds(*self.0.borrow())
    }

    /// Awaits that this process leads.
    pub async fn begun(&mut self) {
        if self.0.wait_for(|until| holds(*until)).await.is_err() {
            std::future::pending::<()>().await; // nobody campaigns any more
        }
    }

    /// Awaits that this process does not lead any more.
    pub async fn ended(&mut self) {
        loop {
            let until = *self.0.borrow_and_update();
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

fn holds(until: Option<Instant>) -> bool {
    until.is_some_and(|until| until > Instant::now())
}
