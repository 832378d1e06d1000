//! The manifest's file: read at the start, watched, applied when it changes.
//!
//! [`manifest`] reads and checks a file, `tracker` decides what a new content comes to, [`files`]
//! tells when to look. Nothing but `files` waits or spawns.

pub mod files;
pub mod manifest;
mod tracker;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;

use self::manifest::{Author, LoadError, Loaded};
use self::tracker::{Change, Tracker};
use super::Channel;

/// What `/status` tells about the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Hash of the manifest in force: equal for manifests that mean the same to a gateway.
    pub hash: Arc<str>,
    /// Why what the file holds now was not taken, one problem a line.
    pub error: Option<Arc<str>>,
    /// What of the configuration in force is not understood and passed over, one a line.
    pub warning: Option<Arc<str>>,
}

/// The state of the configuration. The file is watched for as long as somebody has this.
#[derive(Debug)]
pub struct Watched(ArcSwap<Status>);

impl Watched {
    /// The state of a manifest that was just read.
    fn new(loaded: &Loaded) -> Self {
        Self(ArcSwap::from_pointee(Status {
            hash: loaded.hash().into(),
            error: None,
            warning: loaded.warning.clone(),
        }))
    }

    /// The state now.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.0.load_full()
    }
}

/// Watches the file at `path`, which is `author`'s and whose content is in force as `loaded`.
///
/// `apply` gets every new configuration, in order, on a thread of the watch's own; when the status
/// shows a hash, `apply` has returned.
///
/// # Errors
/// When the system gives no thread.
pub fn watch(
    path: PathBuf,
    author: Author,
    loaded: Loaded,
    mut apply: impl FnMut(Arc<Channel>) + Send + 'static,
) -> std::io::Result<Arc<Watched>> {
    let watched = Arc::new(Watched::new(&loaded));
    warn(&path, &watched.status());
    let state = Arc::downgrade(&watched);
    let mut tracker = Tracker::new(loaded, author);
    let look = move |path: &std::path::Path| {
        let Some(watched) = state.upgrade() else {
            return files::Next::Stop;
        };
        let change = tracker.observe(manifest::read(path));
        if let Some(change) = change {
            tell(path, &change);
            if let Change::Applied { channel, .. } = &change {
                apply(Arc::clone(channel));
            }
            let status = tracker.status();
            warn(path, &status);
            watched.0.store(Arc::new(status));
        }
        files::Next::GoOn
    };
    files::watch(path, look)?;
    Ok(watched)
}

/// Tells what of a configuration is passed over.
fn warn(path: &std::path::Path, status: &Status) {
    for problem in status.warning.iter().flat_map(|warning| warning.lines()) {
        tracing::warn!(file = %path.display(), "passed over, as this version does not know it: {problem}");
    }
}

fn tell(path: &std::path::Path, change: &Change) {
    let file = path.display();
    match change {
        Change::Applied { at_restart, .. } => {
            for field in at_restart {
                tracing::warn!(%file, field, "the change of {field} takes effect at the next start");
            }
            tracing::info!(%file, "the new configuration is in force");
        }
        Change::Same => tracing::debug!(%file, "the manifest changed, its meaning did not"),
        Change::Refused(LoadError::Invalid(problems)) => {
            for problem in problems.iter() {
                tracing::error!(%file, "the manifest is not taken: {problem}");
            }
        }
        Change::Refused(error @ LoadError::Read(_)) => {
            tracing::error!(%file, "the manifest is not taken: {error}");
        }
    }
}

#[cfg(test)]
mod tests;
