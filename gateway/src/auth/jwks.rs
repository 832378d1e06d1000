//! Keys that the issuer publishes: fetched at the start, now and then, and when a token names one that is not known.
//!
//! Nothing waits for it but handshakes with such a token, and those not for long. What was fetched last serves until
//! something better comes.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::fetch::{FetchError, Fetcher};
use super::keyring::{Keyring, SetError};
use super::supply::Supply;

/// Between two looks at a set that could be fetched.
const EVERY: Duration = Duration::from_secs(300);
/// After a failure, doubled up to [`EVERY`].
const AGAIN: Duration = Duration::from_secs(1);
/// Between the end of a fetch and the next one that an unknown key causes: whoever invents names makes us fetch no more
/// often.
const AT_MOST_EVERY: Duration = Duration::from_secs(5);
/// How long a handshake waits for a fetch: until the next one may begin, and some seconds for it.
const PATIENCE: Duration = Duration::from_secs(8);
/// Names that are looked for at once. Who invents more of them is told that keys can't be had.
const MOST_NAMES: usize = 1024;

/// Asks for fetches, and tells when there was one.
#[derive(Debug, Default)]
pub struct Refetch {
    state: Mutex<State>,
    wanted: Notify,
    count: watch::Sender<u64>,
    /// Names are kept as hashes, keyed at random: they come from strangers.
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// Names that the next set of keys may have.
    wanted: HashSet<u64>,
    /// Names that the last one was to have and had not.
    absent: HashSet<u64>,
}

/// What fetches are up to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// One is on its way, or will be as soon as it may.
    #[default]
    Underway,
    /// The last one ended then, well or badly.
    Ended { at: Instant, good: bool },
    /// There will be none any more.
    Over,
}

/// What may be hoped for of a key that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hope {
    /// A fetch that may bring it is underway; this may have caused it.
    Wait,
    /// The issuer was asked since, and has no such key.
    Absent,
    /// The issuer can't be asked now.
    Unavailable,
}

impl Refetch {
    /// A key of that name is not known; `None`: there is none at all.
    pub fn want(&self, name: Option<&str>, now: Instant) -> Hope {
        let name = name.map(|name| self.hasher.hash_one(name));
        let mut state = self.state();
        let hope = match state.phase {
            Phase::Over => return Hope::Unavailable,
            Phase::Underway => Hope::Wait,
            Phase::Ended { at, .. } if now.saturating_duration_since(at) >= AT_MOST_EVERY => {
                Hope::Wait
            }
            Phase::Ended { good: false, .. } => return Hope::Unavailable,
            Phase::Ended { .. } => match name {
                Some(name) if state.absent.contains(&name) => return Hope::Absent,
                // It may have been published since the last fetch: the next one, as soon as it may begin, will tell.
                _ => Hope::Wait,
            },
        };
        if let Some(name) = name
            && !state.wanted.contains(&name)
        {
            if state.wanted.len() >= MOST_NAMES {
                return Hope::Unavailable;
            }
            state.wanted.insert(name);
        }
        if state.phase != Phase::Underway {
            state.phase = Phase::Underway;
            self.wanted.notify_one();
        }
        hope
    }

    /// Waits until the fetch that is underway has ended, however it did.
    pub async fn done(&self) {
        let mut count = self.count.subscribe();
        let underway = self.state().phase == Phase::Underway;
        if underway {
            let _ = timeout(PATIENCE, count.changed()).await; // after it the keys of now will do
        }
    }

    fn begin(&self) {
        self.state().phase = Phase::Underway;
    }

    /// A fetch has ended; what it has brought is in force.
    fn end(&self, at: Instant, good: bool) {
        {
            let mut state = self.state();
            state.phase = Phase::Ended { at, good };
            let wanted = std::mem::take(&mut state.wanted);
            if good {
                state.absent = wanted; // those that it had will not be asked for again
            }
        }
        self.count.send_modify(|count| *count += 1);
    }

    /// Nobody fetches any more.
    fn give_up(&self) {
        self.state().phase = Phase::Over;
        self.count.send_modify(|count| *count += 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives up when it is dropped, however that comes: who waits must not wait for nothing.
struct Fetching(Arc<Refetch>);

impl Drop for Fetching {
    fn drop(&mut self) {
        self.0.give_up();
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

/// Supplies what is at `uri` until it is aborted. The address may hold a password: it is never told whole.
pub async fn supply(uri: String, supply: Supply, refetch: Arc<Refetch>) {
    let fetching = Fetching(refetch);
    let refetch = &fetching.0;
    let fetcher = match Fetcher::new(&uri) {
        Ok(fetcher) => fetcher,
        Err(error) => {
            return tracing::error!(%error, "spec.authentication.jwt.jwksUri: keys can't be fetched");
        }
    };
    let mut complaint = String::new();
    let mut wait = AGAIN;
    loop {
        refetch.begin();
        let outcome = fetch(&fetcher).await;
        let good = outcome.is_ok();
        match outcome {
            Ok(keys) => {
                if !complaint.is_empty() || wait != EVERY {
                    tracing::info!(from = %fetcher, keys = keys.len(), "keys of tokens were fetched");
                    complaint.clear();
                }
                supply.metrics().fetched.add_shared(1);
                supply.set(keys);
                wait = EVERY;
            }
            Err(error) => {
                let error = error.to_string();
                if error != complaint {
                    tracing::error!(
                        error,
                        from = %fetcher,
                        "keys of tokens can't be fetched: the last ones stay"
                    );
                    complaint = error;
                }
                supply.metrics().fetch_failures.add_shared(1);
                wait = if wait == EVERY {
                    AGAIN
                } else {
                    (wait * 2).min(EVERY)
                };
            }
        }
        let ended = tokio::time::Instant::now();
        refetch.end(ended.into_std(), good);
        // Spread, or all gateways would ask at once.
        let wait = wait.mul_f64(rand::random_range(0.8..=1.0));
        if timeout(wait, refetch.wanted.notified()).await.is_ok() && good {
            tokio::time::sleep_until(ended + AT_MOST_EVERY).await;
        }
    }
}

async fn fetch(fetcher: &Fetcher) -> Result<Keyring, Trouble> {
    let text = fetcher.get().await?;
    Ok(Keyring::from_set(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Option<&str> = Some("new");

    #[test]
    fn names_that_are_not_known_are_asked_for_once_in_five_seconds() {
        let refetch = Refetch::default();
        let start = Instant::now();
        assert_eq!(refetch.want(NAME, start), Hope::Wait, "the first one");
        refetch.end(start, true);
        assert_eq!(refetch.want(NAME, start), Hope::Absent);
        let later = start + AT_MOST_EVERY;
        assert_eq!(refetch.want(NAME, later), Hope::Wait, "it may be there now");
        assert_eq!(refetch.want(NAME, later), Hope::Wait, "it is underway");
        refetch.end(later, true);
        assert_eq!(refetch.want(NAME, later), Hope::Absent);
    }

    #[test]
    fn a_name_that_comes_right_after_a_fetch_waits_for_the_next_one() {
        let refetch = Refetch::default();
        let start = Instant::now();
        refetch.end(start, true);
        assert_eq!(refetch.want(NAME, start), Hope::Wait);
        refetch.end(start + AT_MOST_EVERY, true);
        assert_eq!(refetch.want(NAME, start + AT_MOST_EVERY), Hope::Absent);
    }

    #[test]
    fn a_fetch_that_fails_says_nothing_about_a_name() {
        let refetch = Refetch::default();
        let start = Instant::now();
        assert_eq!(refetch.want(NAME, start), Hope::Wait);
        refetch.end(start, false);
        for name in [NAME, None] {
            assert_eq!(refetch.want(name, start), Hope::Unavailable);
        }
        assert_eq!(refetch.want(NAME, start + AT_MOST_EVERY), Hope::Wait);
    }

    #[test]
    fn invented_names_are_remembered_up_to_a_bound() {
        let refetch = Refetch::default();
        let now = Instant::now();
        for n in 0..MOST_NAMES {
            assert_eq!(refetch.want(Some(&n.to_string()), now), Hope::Wait);
        }
        assert_eq!(refetch.want(NAME, now), Hope::Unavailable);
        assert_eq!(refetch.want(Some("0"), now), Hope::Wait);
        refetch.end(now, true);
        assert_eq!(refetch.want(Some("0"), now), Hope::Absent);
        assert_eq!(refetch.want(NAME, now), Hope::Wait);
    }

    #[tokio::test]
    async fn an_address_that_can_not_be_fetched_leaves_nobody_waiting() {
        let (tokens, refetch) = (Arc::default(), Arc::new(Refetch::default()));
        let (source, _current) = Supply::new(&tokens);
        supply("nonsense".into(), source, Arc::clone(&refetch)).await;
        assert_eq!(refetch.want(NAME, Instant::now()), Hope::Unavailable);
        refetch.done().await;
    }
}
