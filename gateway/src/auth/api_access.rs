//! The API keys of the moment, and who a call is from.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::api_keys::{ApiKeys, Caller, Scope};
use crate::config::watch::files::{self, Next};

/// Lets callers of the server APIs in. Follows the Secret that the configuration names.
#[derive(Debug, Default)]
pub struct ApiAccess {
    keys: Arc<ArcSwap<ApiKeys>>,
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

/// Why a call is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Send a key.
    #[error("an API key is needed: send it as the header Authorization: Bearer KEY")]
    NoKey,
    /// Send another one.
    #[error("the API key is not known")]
    UnknownKey,
    /// Give the key the scope, or use another one.
    #[error("the API key lacks the scope {}", .0.as_str())]
    NoScope(Scope),
}

impl ApiAccess {
    /// Nobody may call yet. Secrets lie below `secrets`.
    #[must_use]
    pub fn new(secrets: Option<PathBuf>) -> Self {
        Self {
            secrets,
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

    /// Whose call this is, if the `Authorization` that came with it is a key with the scope.
    ///
    /// # Errors
    /// Why it is not let in.
    pub fn allow(&self, authorization: Option<&str>, scope: Scope) -> Result<Caller, Denied> {
        let (kind, key) = authorization
            .and_then(|value| value.split_once(' '))
            .ok_or(Denied::NoKey)?;
        if !kind.eq_ignore_ascii_case("bearer") {
            return Err(Denied::NoKey);
        }
        let caller = self.keys.load().identify(key.trim());
        let caller = caller.ok_or(Denied::UnknownKey)?;
        match caller.scopes.has(scope) {
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
    fn a_call_needs_a_known_key_with_the_scope() {
        let secrets = tempfile::tempdir().unwrap();
        let folder = secrets.path().join("keys");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("api.a"), format!("{KEY}\nscopes: revoke")).unwrap();
        let access = ApiAccess::new(Some(secrets.path().to_owned()));
        let key = format!("Bearer {KEY}");
        let allow = |authorization: &str, scope| {
            let allowed = access.allow(Some(authorization), scope);
            allowed.map(|caller| caller.name.to_string())
        };
        assert_eq!(allow(&key, Scope::Revoke), Err(Denied::UnknownKey));
        access.configure(Some("keys"));
        assert_eq!(allow(&key, Scope::Revoke), Ok("a".into()));
        assert_eq!(
            allow(&format!("bearer  {KEY}"), Scope::Revoke),
            Ok("a".into())
        );
        assert_eq!(allow(&key, Scope::Send), Err(Denied::NoScope(Scope::Send)));
        assert_eq!(allow(KEY, Scope::Revoke), Err(Denied::NoKey));
        assert_eq!(
            allow(&format!("Basic {KEY}"), Scope::Revoke),
            Err(Denied::NoKey)
        );
        assert_eq!(access.allow(None, Scope::Revoke), Err(Denied::NoKey));
        access.configure(None);
        assert_eq!(allow(&key, Scope::Revoke), Err(Denied::UnknownKey));
    }
}
