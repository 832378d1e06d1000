//! `BrokerReady`, as the streams are.

use crate::assets::{AssetError, BrokerError, Left};
use crate::status::Draft;
use crate::status::conditions::types;

/// Why a channel's streams are not as they are to be.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Problem {
    /// NATS can't be reached.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// Give the operator the right to get Secrets in the channel's namespace.
    #[error("the Secrets for NATS can't be read: {0}")]
    Secrets(String),
    /// A stream can't be had.
    #[error(transparent)]
    Asset(#[from] AssetError),
}

impl Problem {
    /// One word for programs.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Broker(BrokerError::Credentials(_)) => "InvalidCredentials",
            Self::Broker(BrokerError::Unauthorized(_)) => "Unauthorized",
            Self::Broker(BrokerError::Unreachable { .. }) => "Unreachable",
            Self::Secrets(_) => "SecretUnreadable",
            Self::Asset(error) => error.reason(),
        }
    }
}

/// `BrokerReady` after NATS was asked: `orphans` are the channel's streams there that it does not ask for any more,
/// `left` what it has on brokers that it had before. `embedded`: there is no broker to be ready, only what was left.
#[must_use]
pub fn condition(
    outcome: Result<&[String], &Problem>,
    left: &[Left],
    embedded: bool,
) -> Option<Draft> {
    let type_ = types::BROKER_READY;
    let orphans = match outcome {
        Ok(orphans) => orphans,
        Err(problem) => return Some(Draft::fails(type_, problem.reason(), problem.to_string())),
    };
    let mut stays = Vec::new();
    if !orphans.is_empty() {
        stays.push(format!("{} on this broker", orphans.join(", ")));
    }
    stays.extend(left.iter().map(Left::to_string));
    let well = match embedded {
        true => "the gateway is its own broker",
        false => "NATS has all that the channel asks for",
    };
    match (stays.is_empty(), embedded) {
        (true, true) => None,
        (true, false) => Some(Draft::holds(type_, "Ready", well)),
        (false, _) => {
            let message = format!(
                "{well}; streams of this channel that it does not use any more are kept until somebody deletes them \
                 (nats stream rm): {}",
                stays.join("; ")
            );
            Some(Draft::holds(type_, "StreamsLeftBehind", message))
        }
    }
}
