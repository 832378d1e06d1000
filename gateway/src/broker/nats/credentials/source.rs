//! Where the keys of one Secret are: a folder into which it is mounted, or what the API server gave.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::CredentialsError;

/// The keys of one Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// Files of this folder, read each time: they change when the Secret does.
    Folder(PathBuf),
    /// Keys of the Secret of this name.
    Held(PathBuf, Keys),
}

/// Keys and what they hold. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Keys(Arc<BTreeMap<String, Vec<u8>>>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Source {
    /// The Secret `name` with these keys.
    pub fn held(name: &str, keys: BTreeMap<String, Vec<u8>>) -> Self {
        Self::Held(name.into(), Keys(Arc::new(keys)))
    }

    /// The folder, or the Secret's name.
    pub fn itself(&self) -> &Path {
        match self {
            Self::Folder(folder) => folder,
            Self::Held(name, _) => name,
        }
    }

    /// The folder, where it is one.
    pub fn folder(&self) -> Option<&PathBuf> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Held(..) => None,
        }
    }

    /// A key as errors name it.
    pub fn path(&self, key: &str) -> PathBuf {
        self.itself().join(key)
    }

    /// Whether there is such a key.
    pub fn has(&self, key: &str) -> bool {
        match self {
            Self::Folder(folder) => folder.join(key).exists(),
            Self::Held(_, keys) => keys.0.contains_key(key),
        }
    }

    /// What a key holds.
    pub fn read(&self, key: &str) -> Result<String, CredentialsError> {
        let read = match self {
            Self::Folder(folder) => std::fs::read_to_string(folder.join(key)),
            Self::Held(_, keys) => match keys.0.get(key) {
                None => Err(std::io::Error::new(
                    std::io::ErrorKind::NotFound,
                    "there is no such key",
                )),
                Some(bytes) => String::from_utf8(bytes.clone()).map_err(|_| {
                    std::io::Error::new(std::io::ErrorKind::InvalidData, "it is no text")
                }),
            },
        };
        read.map_err(|error| CredentialsError::Read {
            path: self.path(key),
            error,
        })
    }
}
