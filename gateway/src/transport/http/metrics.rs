//! What the public port counts: connections that did not become a WebSocket, by reason.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

use crate::logging::pace::Pace;
use crate::metrics::Counter;

/// Why a handshake was refused. A fixed set, so that it can be a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// The broker is not there yet.
    Starting,
    /// The gateway is going away.
    Draining,
    /// Over `limits.connectsPerSecond`.
    Rate,
    /// Over `limits.connectionsPerGateway` or the file limit.
    Full,
    /// Over `limits.connectsPerSecondPerAddress`.
    AddressRate,
    /// Over `limits.connectionsPerAddress`.
    AddressFull,
    /// Too many sockets of one address wait to be heard.
    AddressWaiting,
    /// After many refused tokens of the same address.
    Backoff,
    /// Not GET.
    Method,
    /// Does not ask for a WebSocket, or not properly.
    Upgrade,
    /// Another version of WebSocket.
    Version,
    /// A faulty `Sec-WebSocket-Key`.
    Key,
    /// A page that may not connect.
    Origin,
    /// Only unknown subprotocols.
    Subprotocol,
    /// A token that is malformed, given twice or given where none is taken.
    Token,
    /// A parameter that can't be used.
    Query,
    /// A token that was refused.
    InvalidToken,
    /// A token that can't be checked now.
    NoKeys,
    /// Not HTTP, or headers over their bound.
    Malformed,
    /// Headers that did not arrive in time, or an answer that was not read.
    Timeout,
    /// What the handshake refuses for a reason that is not in this list.
    Other,
}

impl Reason {
    /// All reasons, in order of their numbers.
    pub const ALL: [Self; 21] = [
        Self::Starting,
        Self::Draining,
        Self::Rate,
        Self::Full,
        Self::AddressRate,
        Self::AddressFull,
        Self::AddressWaiting,
        Self::Backoff,
        Self::Method,
        Self::Upgrade,
        Self::Version,
        Self::Key,
        Self::Origin,
        Self::Subprotocol,
        Self::Token,
        Self::Query,
        Self::InvalidToken,
        Self::NoKeys,
        Self::Malformed,
        Self::Timeout,
        Self::Other,
    ];

    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Draining => "draining",
            Self::Rate => "rate",
            Self::Full => "full",
            Self::AddressRate => "address_rate",
            Self::AddressFull => "address_full",
            Self::AddressWaiting => "address_waiting",
            Self::Backoff => "backoff",
            Self::Method => "method",
            Self::Upgrade => "upgrade",
            Self::Version => "version",
            Self::Key => "key",
            Self::Origin => "origin",
            Self::Subprotocol => "subprotocol",
            Self::Token => "token",
            Self::Query => "query",
            Self::InvalidToken => "invalid_token",
            Self::NoKeys => "keys_unavailable",
            Self::Malformed => "malformed",
            Self::Timeout => "timeout",
            Self::Other => "other",
        }
    }

    /// The reason of that label.
    pub(super) fn of(label: &str) -> Self {
        let found = Self::ALL.into_iter().find(|known| known.as_str() == label);
        found.unwrap_or(Self::Other)
    }
}

/// Counters of refusals, and the pace of log lines about them.
#[derive(Debug, Default)]
pub struct HttpMetrics {
    refused: [Counter; Reason::ALL.len()],
    lines: Mutex<[Pace; Reason::ALL.len()]>,
    passed_on: [Counter; Passed::ALL.len()],
}

/// What clients ask whose sessions by long-polling live on another gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Passed {
    /// What there is to tell.
    Poll,
    /// To hear what they say.
    Payload,
}

impl Passed {
    /// All of it, in order of its numbers.
    pub const ALL: [Self; 2] = [Self::Poll, Self::Payload];

    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Payload => "payload",
        }
    }
}

impl HttpMetrics {
    /// Handshakes refused for `reason` since the start.
    #[must_use]
    pub fn refused(&self, reason: Reason) -> u64 {
        self.refused[reason as usize].get()
    }

    /// Requests passed on to other gateways since the start.
    #[must_use]
    pub fn passed_on(&self, what: Passed) -> u64 {
        self.passed_on[what as usize].get()
    }

    /// Counts one that was passed on.
    pub(in crate::transport) fn pass_on(&self, what: Passed) {
        self.passed_on[what as usize].add_shared(1);
    }

    /// Counts a refusal; gives how many a log line now would stand for, if it is time for one.
    pub(super) fn refuse(&self, reason: Reason, now: Instant) -> Option<u64> {
        let index = reason as usize;
        self.refused[index].add_shared(1);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines[index].due(1, now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn reasons_stand_in_the_order_of_their_numbers_and_have_labels_of_their_own() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            assert_eq!(Reason::of(reason.as_str()), reason);
        }
        assert_eq!(Reason::of("new"), Reason::Other);
    }

    #[test]
    fn a_flood_is_one_line_in_ten_seconds_that_says_how_many() {
        let metrics = HttpMetrics::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(metrics.refuse(Reason::Rate, at(0)), Some(1));
        assert_eq!(metrics.refuse(Reason::Key, at(1)), Some(1));
        for _ in 0..100 {
            assert_eq!(metrics.refuse(Reason::Rate, at(9)), None);
        }
        assert_eq!(metrics.refuse(Reason::Rate, at(10)), Some(101));
        assert_eq!(metrics.refuse(Reason::Rate, at(11)), None);
        assert_eq!(metrics.refused(Reason::Rate), 103);
        assert_eq!(metrics.refused(Reason::Key), 1);
    }
}
