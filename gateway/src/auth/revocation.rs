//! Users whose earlier tokens are worth nothing any more.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};

use tokio::sync::watch;

use super::claims::{Identity, LEEWAY, LONGEST_LIFE};
use crate::names::UserId;

/// How long a revocation is kept, in seconds: longer than any token that was issued before it.
pub const KEPT: u64 = LONGEST_LIFE + 2 * LEEWAY;

/// Who was revoked, and when. It only ever grows by what is told, and forgets what no token can need.
#[derive(Default)]
pub struct Revocations {
    /// Seconds since the Unix epoch by user.
    list: RwLock<HashMap<UserId, u64>>,
    /// Whether anybody is in the list: nearly always nobody is.
    any: AtomicBool,
    /// Whether tokens are taken, so that the list matters.
    needed: watch::Sender<bool>,
    /// Called after the list has grown.
    told: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Revocations {
    /// Calls `told` whenever somebody was revoked; open connections are to be looked through then. Only the first call
    /// counts.
    pub fn tell(&self, told: impl Fn() + Send + Sync + 'static) {
        let _ = self.told.set(Box::new(told)); // a second one would be a mistake of the start
    }

    /// Tokens are taken from now on.
    pub fn need(&self) {
        self.needed.send_replace(true);
    }

    /// Waits until tokens are taken.
    pub async fn needed(&self) {
        // It ends when the sender does, which is here.
        let _ = self.needed.subscribe().wait_for(|needed| *needed).await;
    }

    /// Tokens of `user` that were issued at `at` or before, in seconds since the Unix epoch, are worth nothing from now
    /// on.
    pub fn revoke(&self, user: UserId, at: u64) {
        self.extend([(user, at)]);
    }

    /// The same for many at once.
    pub fn extend(&self, users: impl IntoIterator<Item = (UserId, u64)>) {
        let mut news = false;
        {
            let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
            for (user, at) in users {
                let known = list.entry(user).or_insert(0);
                if at > *known {
                    *known = at;
                    news = true;
                }
            }
            self.any.store(!list.is_empty(), Ordering::Release);
        }
        if news && let Some(told) = self.told.get() {
            told();
        }
    }

    /// Takes a user off the list.
    pub fn restore(&self, user: &UserId) {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        list.remove(user);
        self.any.store(!list.is_empty(), Ordering::Release);
    }

    /// Forgets what no token can need at `now`, in seconds since the Unix epoch.
    pub fn forget_old(&self, now: u64) {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        list.retain(|_, at| at.saturating_add(KEPT) > now);
        self.any.store(!list.is_empty(), Ordering::Release);
    }

    /// Whether an identity is worth nothing. A token that does not say when it was issued may be an old one.
    #[must_use]
    pub fn covers(&self, identity: &Identity) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        let at = list.get(&identity.user);
        at.is_some_and(|at| identity.issued.is_none_or(|issued| issued <= *at))
    }

    /// How many users are on the list.
    #[must_use]
    pub fn len(&self) -> usize {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        list.len()
    }

    /// Whether nobody is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }
}

impl std::fmt::Debug for Revocations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Revocations")
            .field("users", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn user(name: &str) -> UserId {
        UserId::from_token(name).unwrap()
    }

    fn identity(name: &str, issued: Option<u64>) -> Identity {
        Identity {
            user: user(name),
            grants: Arc::default(),
            scopes: crate::auth::api_keys::Scopes::NONE,
            ends: u64::MAX,
            issued,
        }
    }

    #[test]
    fn tokens_from_before_are_covered_and_later_ones_are_not() {
        let revocations = Revocations::default();
        assert!(!revocations.covers(&identity("ann", None)));
        revocations.revoke(user("ann"), 100);
        for (name, issued, covered) in [
            ("ann", Some(99), true),
            ("ann", Some(100), true),
            ("ann", Some(101), false),
            ("ann", None, true),
            ("bob", None, false),
            ("bob", Some(1), false),
        ] {
            let identity = identity(name, issued);
            assert_eq!(revocations.covers(&identity), covered, "{name} {issued:?}");
        }
    }

    #[test]
    fn the_latest_revocation_counts_and_only_news_are_told() {
        let revocations = Revocations::default();
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        revocations.tell(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        for (at, expected) in [(100, 1), (50, 1), (100, 1), (200, 2)] {
            revocations.revoke(user("ann"), at);
            assert_eq!(told.load(Ordering::Relaxed), expected);
        }
        assert!(revocations.covers(&identity("ann", Some(200))));
    }

    #[test]
    fn what_no_token_can_need_is_forgotten() {
        let revocations = Revocations::default();
        revocations.extend([(user("ann"), 100), (user("bob"), 200)]);
        revocations.forget_old(100 + KEPT);
        assert_eq!(revocations.len(), 1);
        revocations.restore(&user("bob"));
        assert!(revocations.is_empty());
    }
}
