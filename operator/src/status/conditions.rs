//! Conditions as the Kubernetes API conventions want them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Longest message of a condition, in bytes (metav1.Condition).
const LONGEST_MESSAGE: usize = 32_768;

/// The types of conditions, in the order in which they are shown.
pub mod types {
    /// Everything below that has a say in it holds.
    pub const READY: &str = "Ready";
    /// The spec can be carried out.
    pub const ACCEPTED: &str = "Accepted";
    /// The gateways serve the newest configuration.
    pub const CONFIGURATION_APPLIED: &str = "ConfigurationApplied";
    /// At least one gateway takes connections.
    pub const GATEWAYS_AVAILABLE: &str = "GatewaysAvailable";
    /// The broker and what the channel has on it are there.
    pub const BROKER_READY: &str = "BrokerReady";
    /// The way from outside leads to the channel.
    pub const EXPOSED: &str = "Exposed";
    /// Autoscaling is at work.
    pub const SCALING_ACTIVE: &str = "ScalingActive";
    /// A person has stopped the operator.
    pub const PAUSED: &str = "Paused";
}

/// A condition's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody can tell yet.
    Unknown,
}

impl Truth {
    fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A condition before it has its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Its type, one of [`types`].
    pub type_: &'static str,
    /// Whether it holds.
    pub truth: Truth,
    /// One word for programs.
    pub reason: String,
    /// For people. Nothing that changes by itself, such as a time or a count of connections: each change is a write.
    pub message: String,
}

impl Draft {
    /// A condition that holds.
    #[must_use]
    pub fn holds(type_: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self::new(type_, Truth::True, reason, message)
    }

    /// A condition that does not hold.
    #[must_use]
    pub fn fails(type_: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self::new(type_, Truth::False, reason, message)
    }

    /// A condition.
    #[must_use]
    pub fn new(
        type_: &'static str,
        truth: Truth,
        reason: &str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            type_,
            truth,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}

/// The conditions of `drafts`; the time of the last transition is that of `previous` where the status is the same. One
/// of `previous` that has no draft does not apply any more.
#[must_use]
pub fn settle(
    previous: &[Condition],
    drafts: Vec<Draft>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let settle = |draft: Draft| {
        let before = previous.iter().find(|before| before.type_ == draft.type_);
        let same = before.filter(|before| before.status == draft.truth.as_str());
        Condition {
            type_: draft.type_.into(),
            status: draft.truth.as_str().into(),
            reason: draft.reason,
            message: cut(draft.message),
            observed_generation: generation,
            last_transition_time: match same {
                Some(same) => same.last_transition_time.clone(),
                None => Time(whole_second(now)),
            },
        }
    };
    drafts.into_iter().map(settle).collect()
}

/// The condition of this type among `previous`, to be said again.
#[must_use]
pub fn again(previous: &[Condition], type_: &'static str) -> Option<Draft> {
    let before = previous.iter().find(|before| before.type_ == type_)?;
    let truth = match before.status.as_str() {
        "True" => Truth::True,
        "False" => Truth::False,
        _ => Truth::Unknown,
    };
    Some(Draft::new(
        type_,
        truth,
        &before.reason,
        before.message.clone(),
    ))
}

/// The API server keeps whole seconds.
fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn cut(mut message: String) -> String {
    if message.len() > LONGEST_MESSAGE {
        let end = (0..=LONGEST_MESSAGE - '…'.len_utf8())
            .rev()
            .find(|&at| message.is_char_boundary(at));
        message.truncate(end.unwrap_or(0));
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_time_of_transition_is_that_of_the_status_and_of_nothing_else() {
        let draft = |truth, message: &str| vec![Draft::new(types::READY, truth, "Why", message)];
        let first = settle(&[], draft(Truth::False, "a"), Some(1), at(10));
        let later = settle(&first, draft(Truth::False, "b"), Some(2), at(20));
        assert_eq!(later[0].last_transition_time, Time(at(10)));
        assert_eq!(later[0].message, "b");
        assert_eq!(later[0].observed_generation, Some(2));
        let turned = settle(&later, draft(Truth::True, "b"), Some(2), at(30));
        assert_eq!(turned[0].last_transition_time, Time(at(30)));
    }

    #[test]
    fn what_was_said_can_be_said_again() {
        let draft = Draft::fails(types::BROKER_READY, "Why", "m");
        let before = settle(&[], vec![draft.clone()], Some(1), at(1));
        assert_eq!(again(&before, types::BROKER_READY), Some(draft));
        assert_eq!(again(&before, types::READY), None);
    }

    #[test]
    fn what_does_not_apply_any_more_is_absent() {
        let paused = Draft::holds(types::PAUSED, "Why", "");
        let before = settle(&[], vec![paused], Some(1), at(1));
        assert_eq!(settle(&before, vec![], Some(1), at(2)), []);
    }

    #[test]
    fn a_message_is_never_longer_than_the_server_takes() {
        let draft = Draft::fails(types::ACCEPTED, "Why", "ü".repeat(LONGEST_MESSAGE));
        let condition = settle(&[], vec![draft], None, at(1)).remove(0);
        assert!(condition.message.len() <= LONGEST_MESSAGE);
        assert!(condition.message.ends_with('…'));
    }
}
