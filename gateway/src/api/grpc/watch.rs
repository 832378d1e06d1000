//! Whether whoever has a stream may have it still. A token's end the session knows; keys are looked at here.

use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::time::{Instant, sleep_until};

use super::super::Api;
use super::super::call::Call;
use super::super::problem::Problem;
use crate::auth::api_keys::Scope;

/// How often a key is looked at.
const OFTEN: Duration = Duration::from_secs(5);

/// Looks whether a key is in force.
pub(super) struct Watch {
    api: Api,
    /// The key; `None`: a token.
    key: Option<String>,
    scopes: Box<[Scope]>,
    /// When it is looked at next.
    next: Instant,
}

impl Watch {
    /// That over a call's key, which must have these scopes.
    pub(super) fn of(api: &Api, call: &Call, headers: &HeaderMap, scopes: &[Scope]) -> Self {
        let authorization = headers.get(AUTHORIZATION);
        let authorization = authorization.and_then(|value| value.to_str().ok());
        Self {
            api: api.clone(),
            key: match call.caller.user() {
                Some(_) => None,
                None => authorization.map(str::to_owned),
            },
            scopes: scopes.into(),
            next: Instant::now() + OFTEN,
        }
    }

    /// Whether it is in force.
    pub(super) fn look(&self) -> Result<(), Problem> {
        let Some(key) = self.key.as_deref() else {
            return Ok(());
        };
        for scope in &self.scopes {
            self.api.0.access.allow(Some(key), *scope, None)?;
        }
        Ok(())
    }

    /// Returns when it is not in force any longer. Nothing is lost where this is given up while it waits.
    pub(super) async fn ended(&mut self) -> Problem {
        loop {
            sleep_until(self.next).await;
            self.next = Instant::now() + OFTEN;
            if let Err(problem) = self.look() {
                return problem;
            }
        }
    }
}
