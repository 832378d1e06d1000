//! Where the keys of the moment come from: whatever source the configuration names keeps [`Tokens`] supplied.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::jwks::{self, Refetch};
use super::keyring::Keyring;
use super::policy::{KeySource, Policy};
use super::secret::{self, SecretError};
use super::supply::{self, Supply};
use super::tokens::Tokens;
use crate::config::watch::files::{self, Next};

/// Keeps the keys up to date with the configuration and with what its source holds.
#[derive(Debug)]
pub struct Keys {
    tokens: Arc<Tokens>,
    /// Where Secrets lie.
    secrets: Option<PathBuf>,
    /// Where keys are fetched.
    runtime: Handle,
    /// What supplies keys now; dropped, it stops.
    current: Mutex<Option<Current>>,
}

#[derive(Debug)]
struct Current {
    source: KeySource,
    /// Its keys come into force as long as this is there.
    _current: supply::Current,
    fetching: Option<AbortHandle>,
}

impl Drop for Current {
    fn drop(&mut self) {
        if let Some(fetching) = &self.fetching {
            fetching.abort();
        }
    }
}

impl Keys {
    /// Supplies `tokens`, with Secrets that lie below `secrets`.
    #[must_use]
    pub fn new(tokens: Arc<Tokens>, secrets: Option<PathBuf>, runtime: Handle) -> Self {
        Self {
            tokens,
            secrets,
            runtime,
            current: Mutex::default(),
        }
    }

    /// Supplies keys from where `policy` says. Keys of a Secret that is there are in force when this returns.
    pub fn configure(&self, policy: Option<&Policy>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let source = policy.map(|policy| &policy.keys);
        if current.as_ref().map(|current| &current.source) == source {
            return;
        }
        *current = None;
        self.tokens.set_keys(Keyring::default());
        self.tokens.refetch_by(None);
        let Some(source) = source else {
            return;
        };
        self.tokens.revocations().need();
        let (supply, held) = Supply::new(&self.tokens);
        let mut fetching = None;
        match source {
            KeySource::Secret(name) => match &self.secrets {
                Some(secrets) => watch(secrets.join(name), supply),
                None => tracing::error!("{}", SecretError::NoFolder),
            },
            KeySource::Jwks(uri) => {
                let refetch = Arc::new(Refetch::default());
                self.tokens.refetch_by(Some(Arc::clone(&refetch)));
                let supply = jwks::supply(uri.clone(), supply, refetch);
                fetching = Some(self.runtime.spawn(supply).abort_handle());
            }
        }
        *current = Some(Current {
            source: source.clone(),
            _current: held,
            fetching,
        });
    }
}

/// Supplies the keys of a Secret's folder.
fn watch(folder: PathBuf, supply: Supply) {
    let mut look = {
        let (supply, folder) = (supply.clone(), folder.clone());
        let mut seen = Seen::default();
        move || seen.look(&folder, &supply)
    };
    look();
    // Any name in the folder will do: it is the folder that is watched.
    let watching = files::watch(folder.join("jwt.secret"), move |_| {
        if !supply.is_current() {
            return Next::Stop;
        }
        look();
        Next::GoOn
    });
    if let Err(error) = watching {
        tracing::error!(%error, folder = %folder.display(), "the keys can't be watched");
    }
}

/// What was seen of a Secret last.
#[derive(Default)]
struct Seen {
    keys: Vec<(Option<String>, jsonwebtoken::DecodingKeyKind)>,
    complaint: String,
}

impl Seen {
    /// Takes what has changed. Good keys are in force even beside bad ones; where there is no good one, the last ones
    /// stay.
    fn look(&mut self, folder: &std::path::Path, supply: &Supply) {
        let found = secret::read(folder);
        let complaint: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
        let complaint = complaint.join("; ");
        if complaint != self.complaint {
            if !complaint.is_empty() {
                tracing::error!("keys of tokens can't be used: {complaint}");
            }
            self.complaint = complaint;
        }
        if found.keys.is_empty() {
            return;
        }
        let names = found.keys.iter();
        let names = names.map(|key| (key.kid.clone(), key.decoding.kind().clone()));
        let names: Vec<_> = names.collect();
        if !same(&names, &self.keys) {
            if supply.set(Keyring::new(found.keys)) {
                tracing::info!(keys = names.len(), "new keys of tokens are in force");
            }
            self.keys = names;
        }
    }
}

fn same(
    one: &[(Option<String>, jsonwebtoken::DecodingKeyKind)],
    other: &[(Option<String>, jsonwebtoken::DecodingKeyKind)],
) -> bool {
    use jsonwebtoken::DecodingKeyKind::{RsaModulusExponent, SecretOrDer};
    let alike = |one: &jsonwebtoken::DecodingKeyKind, other: &jsonwebtoken::DecodingKeyKind| match (
        one, other,
    ) {
        (SecretOrDer(one), SecretOrDer(other)) => one == other,
        (RsaModulusExponent { n, e }, RsaModulusExponent { n: m, e: f }) => n == m && e == f,
        _ => false,
    };
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|(one, other)| one.0 == other.0 && alike(&one.1, &other.1))
}
