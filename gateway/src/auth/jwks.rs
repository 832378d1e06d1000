//! Keys that the issuer publishes: fetched at the start, now and then, and when a token names one that is not known.
//!
//! Nothing waits for it but handshakes with such a token, and those not for long. What was fetched last serves until
//! something better comes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::fetch::{FetchError, Fetcher};
use super::keyring::{Keyring, SetError};
use super::tokens::Tokens;

/// Between two looks at a set that could be fetched.
const EVERY: Duration = Duration::from_secs(300);
/// After a failure, doubled up to [`EVERY`].
const AGAIN: Duration = Duration::from_secs(1);
/// Between the end of a fetch and the next one that an unknown key causes: whoever invents names makes us fetch no more
/// often.
const AT_MOST_EVERY: Duration = Duration::from_secs(5);
/// How long a handshake waits for a fetch.
const PATIENCE: Duration = Duration::from_secs(6);

/// Asks for a fetch, and tells when there was one.
#[derive(Debug)]
pub struct Refetch {
    wanted: Notify,
    /// Whether a fetch is on its way or about to be.
    underway: AtomicBool,
    /// When the last one ended.
    ended: Mutex<Option<Instant>>,
    count: watch::Sender<u64>,
}

impl Default for Refetch {
    fn default() -> Self {
        Self {
            wanted: Notify::new(),
            underway: AtomicBool::new(true), // the first one begins at once
            ended: Mutex::default(),
            count: watch::Sender::new(0),
        }
    }
}

impl Refetch {
    /// A key is not known. Gives whether a fetch that may bring it is underway, which this may have caused.
    pub fn want(&self, now: Instant) -> bool {
        if self.underway.load(Ordering::Acquire) {
            return true;
        }
        let ended = *self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.is_some_and(|at| now.saturating_duration_since(at) < AT_MOST_EVERY) {
            return false;
        }
        if !self.underway.swap(true, Ordering::AcqRel) {
            self.wanted.notify_one();
        }
        true
    }

    /// Waits until the fetch that is underway has ended, however it did.
    pub async fn done(&self) {
        let mut count = self.count.subscribe();
        if self.underway.load(Ordering::Acquire) {
            let _ = timeout(PATIENCE, count.changed()).await; // after it the keys of now will do
        }
    }

    fn begin(&self) {
        self.underway.store(true, Ordering::Release);
    }

    fn end(&self, now: Instant) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        self.underway.store(false, Ordering::Release);
        self.count.send_modify(|count| *count += 1);
    }
}

/// Why the keys of an issuer are not renewed.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("what is there can't be used: {0}")]
    Set(#[from] SetError),
}

/// Supplies `tokens` with what is at `uri` until it is aborted.
pub async fn supply(uri: String, tokens: Arc<Tokens>, refetch: Arc<Refetch>) {
    let fetcher = match Fetcher::new(&uri) {
        Ok(fetcher) => fetcher,
        Err(error) => {
            tracing::error!(%error, uri, "keys of tokens can't be fetched");
            return refetch.end(Instant::now());
        }
    };
    let mut complaint = String::new();
    let mut wait = AGAIN;
    loop {
        refetch.begin();
        match fetch(&fetcher).await {
            Ok(keys) => {
                if !complaint.is_empty() || wait != EVERY {
                    tracing::info!(uri, keys = keys.len(), "keys of tokens were fetched");
                    complaint.clear();
                }
                tokens.metrics().fetched.add_shared(1);
                tokens.set_keys(keys);
                wait = EVERY;
            }
            Err(error) => {
                let error = error.to_string();
                if error != complaint {
                    tracing::error!(
                        error,
                        uri,
                        "keys of tokens can't be fetched: the last ones stay"
                    );
                    complaint = error;
                }
                tokens.metrics().fetch_failures.add_shared(1);
                wait = if wait == EVERY {
                    AGAIN
                } else {
                    (wait * 2).min(EVERY)
                };
            }
        }
        refetch.end(Instant::now());
        // Spread, or all gateways would ask at once.
        let wait = wait.mul_f64(rand::random_range(0.8..=1.0));
        let _ = timeout(wait, refetch.wanted.notified()).await; // either is a reason
    }
}

async fn fetch(fetcher: &Fetcher) -> Result<Keyring, Trouble> {
    let text = fetcher.get().await?;
    Ok(Keyring::from_set(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_known_cause_no_more_than_a_fetch_in_five_seconds() {
        let refetch = Refetch::default();
        let start = Instant::now();
        assert!(refetch.want(start), "the first one is underway");
        refetch.end(start);
        assert!(!refetch.want(start + Duration::from_secs(4)));
        assert!(refetch.want(start + AT_MOST_EVERY));
        assert!(refetch.want(start + AT_MOST_EVERY), "it is underway");
        refetch.end(start + AT_MOST_EVERY);
        assert!(!refetch.want(start + AT_MOST_EVERY));
    }
}
