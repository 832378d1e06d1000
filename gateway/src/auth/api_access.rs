//! The API keys of the moment, and who a call is from.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::access::{Asker, Verb, Verdict};
use super::api_keys::{ApiKeys, Scope};
use super::claims::Identity;
use super::policy::Policy;
use super::tokens::{TokenError, Tokens};
use crate::config::Rules;
use crate::config::watch::files::{self, Next};
use crate::names::{RoomName, UserId};

/// Lets callers of the server APIs in. Follows the Secret that the configuration names.
#[derive(Debug, Default)]
pub struct ApiAccess {
    keys: Arc<ArcSwap<ApiKeys>>,
    tokens: Arc<Tokens>,
    /// Where Secrets lie.
    secrets: Option<PathBuf>,
    current: Mutex<Option<Followed>>,
}

/// A Secret that is followed for as long as this is there.
#[derive(Debug)]
struct Followed {
    name: String,
    _alive: Arc<()>,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Whoever has the API key of this name: a service, for which the rules of rooms do not hold.
    Key(Box<str>),
    /// The user of a token.
    User(Box<Identity>),
}

impl Caller {
    /// The user of the token.
    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        match self {
            Self::Key(_) => None,
            Self::User(identity) => Some(&identity.user),
        }
    }

    /// Whether it may do this in a room.
    #[must_use]
    pub fn may(&self, verb: Verb, room: &RoomName, rules: &Rules) -> bool {
        match self {
            Self::Key(_) => true,
            Self::User(identity) => {
                let asker = Asker {
                    name: identity.user.as_str(),
                    grants: Some(&identity.grants),
                };
                Verdict::of(rules, room.as_str(), asker).allows(verb)
            }
        }
    }

    /// Tells the caller from all others, and from all sessions of clients: a user's name has no control characters, and a
    /// session's scope begins with `~`.
    #[must_use]
    pub fn scope(&self) -> Vec<u8> {
        match self {
            Self::Key(name) => [b"\0key:", name.as_bytes()].concat(),
            Self::User(identity) => identity.user.as_str().into(),
        }
    }
}

/// Why a call is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Send a key.
    #[error("an API key is needed: send it as the header Authorization: Bearer KEY")]
    NoKey,
    /// Send another one.
    #[error("the API key is not known")]
    UnknownKey,
    /// Send another token.
    #[error("the token is not accepted: {0}")]
    Token(#[from] TokenError),
    /// Give the key or the token the scope, or use another one.
    #[error("the API key or the token lacks the scope {}", .0.as_str())]
    NoScope(Scope),
}

impl ApiAccess {
    /// Nobody with a key may call yet. Secrets lie below `secrets`; `tokens` knows whose token is whose.
    #[must_use]
    pub fn new(secrets: Option<PathBuf>, tokens: Arc<Tokens>) -> Self {
        Self {
            secrets,
            tokens,
            ..Self::default()
        }
    }

    /// Follows the Secret of this name. Keys that are there are in force when this returns.
    pub fn configure(&self, secret: Option<&str>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().map(|followed| followed.name.as_str()) == secret {
            return;
        }
        *current = None;
        self.keys.store(Arc::default());
        let Some(name) = secret else {
            return;
        };
        let Some(secrets) = &self.secrets else {
            let field = "spec.authentication.apiKeySecretName";
            tracing::error!("{field} names a Secret: say with --secrets in which folder it is");
            return;
        };
        let alive = Arc::new(());
        let (folder, keys) = (secrets.join(name), Arc::clone(&self.keys));
        let followed = Arc::downgrade(&alive);
        let mut complaint = String::new();
        let mut look = {
            let folder = folder.clone();
            move || {
                let (read, errors) = ApiKeys::read(&folder);
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                let errors = errors.join("; ");
                if errors != complaint {
                    if !errors.is_empty() {
                        tracing::error!("API keys can't be used: {errors}");
                    }
                    complaint = errors;
                }
                // A Secret that can't be read as a whole leaves the last keys; one without keys takes them all.
                if folder.is_dir() {
                    keys.store(Arc::new(read));
                }
            }
        };
        look();
        // Any name in the folder will do: it is the folder that is watched.
        let watching = files::watch(folder.join("api"), move |_| {
            if followed.strong_count() == 0 {
                return Next::Stop;
            }
            look();
            Next::GoOn
        });
        if let Err(error) = watching {
            tracing::error!(%error, folder = %folder.display(), "API keys can't be watched");
        }
        *current = Some(Followed {
            name: name.to_owned(),
            _alive: alive,
        });
    }

    /// Whose call this is, if the `Authorization` that came with it is a key, or a token that `policy` takes, with the
    /// scope.
    ///
    /// # Errors
    /// Why it is not let in.
    pub fn allow(
        &self,
        authorization: Option<&str>,
        scope: Scope,
        policy: Option<&Policy>,
    ) -> Result<Caller, Denied> {
        let (kind, secret) = authorization
            .and_then(|value| value.split_once(' '))
            .ok_or(Denied::NoKey)?;
        if !kind.eq_ignore_ascii_case("bearer") {
            return Err(Denied::NoKey);
        }
        let secret = secret.trim();
        let holder = self.keys.load().identify(secret);
        let (scopes, caller) = match holder {
            Some(holder) => (holder.scopes, Caller::Key(holder.name)),
            // Three parts make a signed token (RFC 7515 §3.1).
            None if policy.is_some() && secret.split('.').count() == 3 => {
                let identity = self.tokens.verify(secret, policy)?;
                (identity.scopes, Caller::User(Box::new(identity)))
            }
            None => return Err(Denied::UnknownKey),
        };
        match scopes.has(scope) {
            true => Ok(caller),
            false => Err(Denied::NoScope(scope)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn no_client_can_have_the_scope_of_a_key() {
        let scope = Caller::Key("shop-of-12-ch".into()).scope();
        let text = String::from_utf8(scope.clone()).unwrap();
        assert!(UserId::from_token(&text).is_none());
        assert_ne!(scope[0], b'~', "sessions begin with it");
    }

    #[test]
    fn a_call_needs_a_known_key_with_the_scope() {
        let secrets = tempfile::tempdir().unwrap();
        let folder = secrets.path().join("keys");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("api.a"), format!("{KEY}\nscopes: revoke")).unwrap();
        let access = ApiAccess::new(Some(secrets.path().to_owned()), Arc::default());
        let key = format!("Bearer {KEY}");
        let allow = |authorization: &str, scope| access.allow(Some(authorization), scope, None);
        assert_eq!(allow(&key, Scope::Revoke), Err(Denied::UnknownKey));
        access.configure(Some("keys"));
        assert_eq!(allow(&key, Scope::Revoke), Ok(Caller::Key("a".into())));
        assert_eq!(
            allow(&format!("bearer  {KEY}"), Scope::Revoke),
            Ok(Caller::Key("a".into()))
        );
        assert_eq!(allow(&key, Scope::Send), Err(Denied::NoScope(Scope::Send)));
        assert_eq!(allow(KEY, Scope::Revoke), Err(Denied::NoKey));
        assert_eq!(
            allow(&format!("Basic {KEY}"), Scope::Revoke),
            Err(Denied::NoKey)
        );
        assert_eq!(access.allow(None, Scope::Revoke, None), Err(Denied::NoKey));
        access.configure(None);
        assert_eq!(allow(&key, Scope::Revoke), Err(Denied::UnknownKey));
    }
}
