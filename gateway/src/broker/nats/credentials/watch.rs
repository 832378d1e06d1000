//! Looks at the files of the credentials again when their folders change.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::source::Source;
use super::{Credentials, Fingerprint, KEY};
use crate::config::watch::files::{self, Next};

impl Credentials {
    /// Calls `changed` when the files hold something else than `now`, of which [`Self::check`] says that it can be used;
    /// it is to reconnect. What can't be used is logged. Runs until `changed` says to stop.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn watch(
        &self,
        now: Fingerprint,
        changed: impl FnMut() -> Next + Send + 'static,
    ) -> std::io::Result<()> {
        let mut folders: Vec<&PathBuf> = [&self.login, &self.ca, &self.certificate]
            .into_iter()
            .flatten()
            .filter_map(Source::folder)
            .collect();
        folders.sort_unstable();
        folders.dedup();
        let watcher = Arc::new(Mutex::new(Watcher {
            credentials: self.clone(),
            now,
            changed: Some(changed),
            complaint: None,
        }));
        for folder in folders {
            let watcher = Arc::clone(&watcher);
            // Any name in the folder will do: it is the folder that is watched.
            files::watch(folder.join(KEY), move |_| match watcher.lock() {
                Ok(mut watcher) => watcher.look(),
                // `changed` has panicked, which ended the other threads too.
                Err(_) => Next::Stop,
            })?;
        }
        Ok(())
    }
}

/// What the watches of all folders share.
struct Watcher<F> {
    credentials: Credentials,
    /// What was told last.
    now: Fingerprint,
    /// `None` once it said to stop.
    changed: Option<F>,
    /// What was logged last; a file is read now and then even if nothing happened to it.
    complaint: Option<String>,
}

impl<F: FnMut() -> Next> Watcher<F> {
    fn look(&mut self) -> Next {
        let Some(changed) = &mut self.changed else {
            return Next::Stop;
        };
        match self.credentials.check() {
            Ok(found) => {
                self.complaint = None;
                if found != self.now {
                    tracing::info!("the credentials for NATS have changed: connecting anew");
                    self.now = found;
                    if changed() == Next::Stop {
                        self.changed = None;
                        return Next::Stop;
                    }
                }
            }
            Err(error) => {
                let error = error.to_string();
                if self.complaint.as_ref() != Some(&error) {
                    tracing::error!(error, "the credentials for NATS can't be used");
                    self.complaint = Some(error);
                }
            }
        }
        Next::GoOn
    }
}
