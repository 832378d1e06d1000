//! How a user is revoked: the one function behind every API that does.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::revocation::Revocations;
use super::tokens::unix_seconds;
use crate::names::UserId;

/// Revokes users, on all gateways of the channel.
#[derive(Debug, Clone)]
pub struct Revoker {
    revocations: Arc<Revocations>,
    /// Where gateways share the list.
    shared: Option<mpsc::Sender<Job>>,
}

/// Somebody to be put on the list that gateways share.
#[derive(Debug)]
pub struct Job {
    /// Who.
    pub user: UserId,
    /// Tokens up to then, in seconds since the Unix epoch.
    pub at: u64,
    /// Told when it is on the list, or why it is not.
    pub done: oneshot::Sender<Result<(), RevokeError>>,
}

/// Why nobody was revoked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevokeError {
    /// Write another name.
    #[error(
        "a user's name is 1 to 256 bytes without control characters, and does not begin with ~"
    )]
    User,
    /// Try again; this gateway has cut its own connections of the user.
    #[error(
        "the list that gateways share can't be written now: only this gateway knows of it, try again: {0}"
    )]
    Shared(String),
}

impl Revoker {
    /// One whose revocations reach this gateway, and others through `shared`.
    #[must_use]
    pub fn new(revocations: Arc<Revocations>, shared: Option<mpsc::Sender<Job>>) -> Self {
        Self {
            revocations,
            shared,
        }
    }

    /// Cuts all connections of a user, and takes no token of theirs that was issued until now. Gives that time, in
    /// seconds since the Unix epoch. When it returns, this gateway has cut its own; others are about to.
    ///
    /// # Errors
    /// When there can be no such user, or other gateways can't be told.
    pub async fn revoke(&self, user: &str) -> Result<u64, RevokeError> {
        let user = UserId::from_token(user).ok_or(RevokeError::User)?;
        let at = unix_seconds();
        self.revocations.revoke(user.clone(), at);
        tracing::info!(user_id = user.as_str(), at, "a user was revoked");
        if let Some(shared) = &self.shared {
            let gone = || RevokeError::Shared("the gateway ends".into());
            let (done, told) = oneshot::channel();
            let job = Job { user, at, done };
            shared.send(job).await.map_err(|_| gone())?;
            told.await.map_err(|_| gone())??;
        }
        Ok(at)
    }
}
