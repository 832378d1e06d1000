//! A manifest's file: reading and checking it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use linnet_crds::{Problems, RealtimeChannel};

use super::super::{Channel, document, projection};

/// A manifest that this gateway can serve.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The file's content.
    pub(super) text: String,
    pub(super) manifest: RealtimeChannel,
    pub(super) hash: Arc<str>,
    /// What is not understood and passed over, one a line.
    pub(super) warning: Option<Arc<str>>,
}

/// Who wrote the manifest, and so how it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// A person: every word must be understood.
    Person,
    /// The operator, which may be newer than this gateway: fields that are not known are warnings.
    Operator,
}

/// Why a manifest can't be served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file can't be read: make it readable, or put it back.
    #[error("it can't be read: {0}")]
    Read(#[from] io::Error),
    /// It is not a manifest that this gateway can serve: correct what the problems name.
    #[error("{0}")]
    Invalid(#[from] Problems),
}

/// The content of the file at `path`.
///
/// # Errors
/// When it can't be read or is not UTF-8.
pub fn read(path: &Path) -> io::Result<String> {
    std::fs::read_to_string(path)
}

/// Reads and checks the file at `path`.
///
/// # Errors
/// When it can't be read, or everything that is wrong with it.
pub fn load(path: &Path, author: Author) -> Result<Loaded, LoadError> {
    check(read(path)?, author)
}

pub(super) fn check(text: String, author: Author) -> Result<Loaded, LoadError> {
    let (manifest, hash, unknown) = match author {
        Author::Person => {
            let manifest = linnet_crds::check(&text)?;
            let hash = projection::hash(&manifest.spec);
            (manifest, hash, Vec::new())
        }
        Author::Operator => {
            let (manifest, unknown) = linnet_crds::check_managed(&text)?;
            (manifest, document::hash(&text), unknown)
        }
    };
    let warning = Problems::none_of(unknown).err();
    Ok(Loaded {
        text,
        manifest,
        hash: hash.into(),
        warning: warning.map(|unknown| unknown.to_string().into()),
    })
}

impl Loaded {
    /// The channel, ready to serve.
    #[must_use]
    pub fn channel(&self) -> Arc<Channel> {
        Arc::new(Channel::compile(&self.manifest))
    }

    /// What is not understood and passed over, one a line.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// Hash of what a gateway reads of it; of its text where the operator wrote it.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }
}
