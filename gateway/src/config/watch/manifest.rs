//! A manifest's file: reading and checking it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use linnet_crds::{Problems, RealtimeChannel};

use super::super::Channel;
use super::projection;

/// A manifest that this gateway can serve.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The file's content.
    pub(super) text: String,
    pub(super) manifest: RealtimeChannel,
    pub(super) hash: Arc<str>,
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
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    check(read(path)?)
}

pub(super) fn check(text: String) -> Result<Loaded, LoadError> {
    let manifest = linnet_crds::check(&text)?;
    let hash = projection::hash(&manifest.spec).into();
    Ok(Loaded {
        text,
        manifest,
        hash,
    })
}

impl Loaded {
    /// The channel, ready to serve.
    #[must_use]
    pub fn channel(&self) -> Arc<Channel> {
        Arc::new(Channel::compile(&self.manifest))
    }

    /// Hash of what a gateway reads of it.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }
}
