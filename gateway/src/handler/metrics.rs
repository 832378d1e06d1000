//! What is counted of calls. All but what is refused at once happens on one thread.

use crate::metrics::{Counter, Histogram};

/// What a handler is asked or told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Event {
    /// Somebody connects.
    Connect,
    /// Somebody has left.
    Disconnect,
    /// A client asks.
    Request,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// There is an answer.
    Answered,
    /// It says no.
    Rejected,
    /// There is none that can be used.
    Failed,
    /// There was none in time.
    Timeout,
    /// Too many calls waited, or were under way: this one was not made.
    Overloaded,
}

impl Event {
    /// All of them, in order of their numbers.
    pub const ALL: [Self; 3] = [Self::Connect, Self::Disconnect, Self::Request];

    /// As metrics and spans name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Disconnect => "disconnect",
            Self::Request => "request",
        }
    }

    /// The CloudEvent's `type`.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Connect => "dev.linnet.connect",
            Self::Disconnect => "dev.linnet.disconnect",
            Self::Request => "dev.linnet.request",
        }
    }
}

impl Outcome {
    /// All of them, in order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Answered,
        Self::Rejected,
        Self::Failed,
        Self::Timeout,
        Self::Overloaded,
    ];

    /// As metrics name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Overloaded => "overloaded",
        }
    }
}

/// The counters.
#[derive(Debug, Default)]
pub struct HandlerMetrics {
    calls: [[Counter; Outcome::ALL.len()]; Event::ALL.len()],
    /// Calls that the back end has not answered yet.
    pub in_flight: Counter,
    /// Seconds from a call's turn to its end.
    pub duration: Histogram,
}

impl HandlerMetrics {
    /// How many calls of that kind have ended so.
    #[must_use]
    pub fn calls(&self, event: Event, outcome: Outcome) -> u64 {
        self.calls[event as usize][outcome as usize].get()
    }

    pub(super) fn count(&self, event: Event, outcome: Outcome) {
        self.calls[event as usize][outcome as usize].add_shared(1);
    }
}
