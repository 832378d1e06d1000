//! The manifest's file: read at the start, watched, applied when it changes.
//!
//! [`manifest`] reads and checks a file, `projection` gives its hash, `tracker` decides what a
//! new content comes to, [`files`] tells when to look. Nothing but `files` waits or spawns.

pub mod files;
pub mod manifest;
mod projection;
mod tracker;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;

use self::manifest::{LoadError, Loaded};
use self::tracker::{Change, Tracker};
use super::Channel;

/// What `/status` tells about the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Hash of the manifest in force: equal for manifests that mean the same to a gateway.
    pub hash: Arc<str>,
    /// Why what the file holds now was not taken, one problem a line.
    pub error: Option<Arc<str>>,
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
        }))
    }

    /// The state now.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.0.load_full()
    }
}

/// Watches the file at `path`, whose content is in force as `loaded`.
///
/// `apply` gets every new configuration, in order, on a thread of the watch's own; when the status
/// shows a hash, `apply` has returned.
///
/// # Errors
/// When the system gives no thread.
pub fn watch(
    path: PathBuf,
    loaded: Loaded,
    mut apply: impl FnMut(Arc<Channel>) + Send + 'static,
) -> std::io::Result<Arc<Watched>> {
    let watched = Arc::new(Watched::new(&loaded));
    let state = Arc::downgrade(&watched);
    let mut tracker = Tracker::new(loaded);
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
            watched.0.store(Arc::new(tracker.status()));
        }
        files::Next::GoOn
    };
    files::watch(path, look)?;
    Ok(watched)
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
