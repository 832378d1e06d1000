//! The signing keys of the moment: those of the Secret that the configuration names, read anew when it changes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::sign::SigningKeys;
use crate::config::watch::files::{self, Next};

/// Follows a Secret.
#[derive(Debug, Default)]
pub struct SigningSecret {
    keys: Arc<ArcSwap<SigningKeys>>,
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

impl SigningSecret {
    /// No keys yet. Secrets lie below `secrets`.
    pub fn new(secrets: Option<PathBuf>) -> Self {
        Self {
            secrets,
            ..Self::default()
        }
    }

    /// The keys.
    pub fn keys(&self) -> Arc<SigningKeys> {
        self.keys.load_full()
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
            let field = "spec.handler.signingSecretName";
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
                let (read, errors) = SigningKeys::read(&folder);
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                let errors = errors.join("; ");
                if errors != complaint {
                    if !errors.is_empty() {
                        tracing::error!("keys that sign for the handler can't be used: {errors}");
                    }
                    complaint = errors;
                }
                // Where there is no good one, the last ones stay.
                if !read.is_empty() {
                    keys.store(Arc::new(read));
                }
            }
        };
        look();
        // Any name in the folder will do: it is the folder that is watched.
        let watching = files::watch(folder.join("signing"), move |_| {
            if followed.strong_count() == 0 {
                return Next::Stop;
            }
            look();
            Next::GoOn
        });
        if let Err(error) = watching {
            tracing::error!(%error, folder = %folder.display(), "keys that sign for the handler can't be watched");
        }
        *current = Some(Followed {
            name: name.to_owned(),
            _alive: alive,
        });
    }
}
