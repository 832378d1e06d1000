//! When a channel that is deleted with `deletionPolicy: Delete` may go.
//!
//! Its streams are deleted first, but nothing may keep a channel, or its namespace, from going for ever. Whatever stays
//! is named.

use std::time::Duration;

/// What is known before NATS is asked.
#[derive(Debug, Clone)]
pub struct Situation<'a> {
    /// `spec.history.deletionPolicy` is `Delete`.
    pub delete: bool,
    /// The channel's annotation says that the streams are given up.
    pub abandon: bool,
    /// The channel has a broker.
    pub broker: bool,
    /// A Secret that is needed to reach it, and is not there.
    pub missing_secret: Option<&'a str>,
    /// Pods of the channel that are there, and not past their grace.
    pub gateways: usize,
    /// Names of its streams.
    pub streams: &'a [String],
}

/// What to do before NATS is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// Let the channel go.
    Release(Option<Warning>),
    /// Take the gateways away, and wait until they are gone: a stream that is deleted under them would be an outage for
    /// clients that are still to be moved, and gateways make the bucket of their leases anew.
    StopGateways,
    /// Delete the streams.
    Delete,
}

/// What to do after NATS was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// Let the channel go.
    Release(Option<Warning>),
    /// Try again.
    Again,
}

/// What stays, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Names of the streams.
    pub streams: Vec<String>,
    /// Why they were not deleted.
    pub why: String,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "deleted without its streams on NATS, which stay: {} ({})",
            self.streams.join(", "),
            self.why
        )
    }
}

/// What to do before NATS is asked.
pub fn before(situation: &Situation<'_>) -> Before {
    let stays = |why: String| {
        Before::Release(Some(Warning {
            streams: situation.streams.to_vec(),
            why,
        }))
    };
    if !situation.delete || !situation.broker || situation.streams.is_empty() {
        return Before::Release(None);
    }
    if situation.abandon {
        return stays("as its annotation says".to_owned());
    }
    if let Some(secret) = situation.missing_secret {
        return stays(format!("the Secret {secret} is not there"));
    }
    match situation.gateways {
        0 => Before::Delete,
        _ => Before::StopGateways,
    }
}

/// What to do after NATS was asked. `outcome` is what was found there: the streams that are another's, or why nothing
/// could be done; `failing` is for how long that has been so, `gone_after` how long is waited.
pub fn after(
    outcome: Result<&[(String, String)], &str>,
    streams: &[String],
    failing: Duration,
    gone_after: Duration,
) -> After {
    match outcome {
        Ok([]) => After::Release(None),
        Ok(others) => {
            let owners: Vec<String> = others
                .iter()
                .map(|(stream, owner)| format!("{stream} belongs to {owner}"))
                .collect();
            After::Release(Some(Warning {
                streams: others.iter().map(|(stream, _)| stream.clone()).collect(),
                why: owners.join(", "),
            }))
        }
        Err(_) if failing < gone_after => After::Again,
        Err(why) => After::Release(Some(Warning {
            streams: streams.to_vec(),
            why: format!("for {} s: {why}", failing.as_secs()),
        })),
    }
}
