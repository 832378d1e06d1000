//! The life of a gateway: starting, serving, draining, gone.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// How long connections may outlive the window: the time that a shard gives a socket to take its
/// close frame, and some.
const GRACE: Duration = Duration::from_secs(3);

/// How often the number of connections is looked at. Shards do not tell when they are empty: that
/// would be one more thing on their path, for something that happens once.
const LOOK: Duration = Duration::from_millis(20);

/// Where in its life a gateway is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum Phase {
    /// Not everything is there yet.
    #[default]
    Starting,
    /// Takes connections.
    Serving,
    /// Moves its connections away and refuses new ones.
    Draining,
}

/// The phase, shared by all who act on it. It only goes forward.
#[derive(Debug, Default)]
pub struct Lifecycle {
    phase: AtomicU8,
    /// For those who wait.
    told: watch::Sender<Phase>,
}

impl Lifecycle {
    /// A gateway that is starting.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The phase now.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Serving,
            _ => Phase::Draining,
        }
    }

    /// Whether new connections are refused for good.
    pub fn is_draining(&self) -> bool {
        self.phase() == Phase::Draining
    }

    /// Moves on to `phase`; never back.
    pub fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
        self.told.send_replace(self.phase());
    }

    /// Returns when it is in `phase` or past it.
    pub async fn until(&self, phase: Phase) {
        let mut told = self.told.subscribe();
        let _ = told.wait_for(|now| *now >= phase).await; // who tells it is borrowed here
    }

    /// Why the gateway is not ready, one reason a line for people; empty when it is.
    pub fn unready(&self) -> &'static [&'static str] {
        match self.phase() {
            Phase::Starting => &["starting: connections are not taken yet"],
            Phase::Serving => &[],
            Phase::Draining => &["draining: connections move to other gateways"],
        }
    }
}

/// The signals that end a gateway: SIGTERM of a supervisor, SIGINT of a terminal.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
}

impl Stop {
    /// What a process that this signal ended reports: 128 + the signal's number, as shells do.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Terminate => 143,
            Self::Interrupt => 130,
        }
    }
}

impl Signals {
    /// Takes the signals over from their default, which is to end the process.
    ///
    /// # Errors
    /// When the system refuses; outside a tokio runtime this panics.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next signal.
    pub async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => Stop::Terminate,
            _ = self.interrupt.recv() => Stop::Interrupt,
        }
    }
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Nobody is left.
    Empty,
    /// The window and its grace are over; so many connections were still there.
    OutOfTime(usize),
    /// Another signal said not to wait.
    Interrupted(Stop),
}

/// Moves all connections away: newcomers are refused from here on, `begin` tells the shards to
/// spread their goodbyes over `window`, then this waits until `connections` says zero.
///
/// Bounded by `window` and three seconds; `again` (a second signal) ends it at once.
pub async fn drain(
    lifecycle: &Lifecycle,
    window: Duration,
    begin: impl FnOnce(Duration),
    connections: impl Fn() -> usize,
    again: impl Future<Output = Stop>,
) -> Drained {
    // Before `begin`, or a connection could slip in behind the goodbyes.
    lifecycle.enter(Phase::Draining);
    begin(window);
    let deadline = Instant::now() + window + GRACE;
    let emptied = async {
        loop {
            match connections() {
                0 => return Drained::Empty,
                left if Instant::now() >= deadline => return Drained::OutOfTime(left),
                _ => sleep(LOOK).await,
            }
        }
    };
    tokio::select! {
        drained = emptied => drained,
        stop = again => Drained::Interrupted(stop),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_drain_ends_as_soon_as_nobody_is_left() {
        let lifecycle = Lifecycle::new();
        lifecycle.enter(Phase::Serving);
        let left = Cell::new(5);
        let started = Instant::now();
        let connections = || {
            left.set(left.get() - 1);
            left.get()
        };
        let asked = Cell::new(None);
        let begin = |window| {
            assert!(lifecycle.is_draining(), "newcomers are refused first");
            asked.set(Some(window));
        };
        let window = Duration::from_secs(60);
        let drained = drain(&lifecycle, window, begin, connections, pending()).await;
        assert_eq!(drained, Drained::Empty);
        assert_eq!(asked.get(), Some(window));
        assert!(started.elapsed() < Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn connections_that_stay_are_waited_for_until_the_window_and_its_grace_are_over() {
        let started = Instant::now();
        let window = Duration::from_secs(2);
        let drained = drain(&Lifecycle::new(), window, |_| (), || 7, pending()).await;
        assert_eq!(drained, Drained::OutOfTime(7));
        let took = started.elapsed();
        assert!(took >= window + GRACE && took < window + GRACE + LOOK * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_ends_it_at_once() {
        let again = async { Stop::Interrupt };
        let hour = Duration::from_secs(3600);
        let drained = drain(&Lifecycle::new(), hour, |_| (), || 7, again).await;
        assert_eq!(drained, Drained::Interrupted(Stop::Interrupt));
        assert_eq!(Stop::Interrupt.exit_code(), 130);
        assert_eq!(Stop::Terminate.exit_code(), 143);
    }

    #[tokio::test]
    async fn who_waits_for_a_phase_is_told_of_it_and_of_later_ones() {
        let lifecycle = std::sync::Arc::new(Lifecycle::new());
        let waiting = std::sync::Arc::clone(&lifecycle);
        let served = tokio::spawn(async move { waiting.until(Phase::Serving).await });
        tokio::task::yield_now().await;
        assert!(!served.is_finished());
        lifecycle.enter(Phase::Draining);
        served.await.unwrap();
        lifecycle.enter(Phase::Serving);
        lifecycle.until(Phase::Draining).await;
    }

    #[test]
    fn a_life_goes_forward_only() {
        let lifecycle = Lifecycle::new();
        assert_eq!(lifecycle.phase(), Phase::Starting);
        assert_eq!(lifecycle.unready().len(), 1);
        lifecycle.enter(Phase::Serving);
        assert!(lifecycle.unready().is_empty());
        lifecycle.enter(Phase::Draining);
        lifecycle.enter(Phase::Serving);
        assert!(lifecycle.is_draining());
        assert!(lifecycle.unready()[0].contains("drain"));
    }
}
