//! The way from a source of keys to those who check tokens, which ends when another source takes its place.

use std::sync::{Arc, Mutex, PoisonError};

use super::keyring::Keyring;
use super::tokens::{TokenMetrics, Tokens};

/// What a source gives its keys to.
#[derive(Debug, Clone)]
pub struct Supply {
    tokens: Arc<Tokens>,
    current: Arc<Mutex<bool>>,
}

/// Keeps a source the current one; once it is dropped, no key of that source comes into force any more.
#[derive(Debug)]
pub struct Current(Arc<Mutex<bool>>);

impl Supply {
    /// A way to `tokens`, and what keeps it open.
    #[must_use]
    pub fn new(tokens: &Arc<Tokens>) -> (Self, Current) {
        let current = Arc::new(Mutex::new(true));
        let supply = Self {
            tokens: Arc::clone(tokens),
            current: Arc::clone(&current),
        };
        (supply, Current(current))
    }

    /// Puts keys in force, unless the source was replaced. Gives whether it still is the current one.
    pub fn set(&self, keys: Keyring) -> bool {
        // Held meanwhile: a source that is replaced now must not be the last to speak.
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if *current {
            self.tokens.set_keys(keys);
        }
        *current
    }

    /// Whether the source still is the current one.
    #[must_use]
    pub fn is_current(&self) -> bool {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is counted of keys.
    #[must_use]
    pub fn metrics(&self) -> &TokenMetrics {
        self.tokens.metrics()
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ALGORITHMS, key};
    use super::*;

    #[test]
    fn a_source_that_was_replaced_does_not_overwrite_the_keys_of_the_next() {
        let tokens = Arc::<Tokens>::default();
        let ring = |count: usize| {
            let algorithms = ALGORITHMS.iter().take(count);
            Keyring::new(algorithms.map(|algorithm| key("a", *algorithm)).collect())
        };
        let (old, current) = Supply::new(&tokens);
        assert!(old.set(ring(1)));
        drop(current);
        let (new, _current) = Supply::new(&tokens);
        assert!(new.set(ring(2)));
        assert!(!old.set(ring(1)) && !old.is_current());
        assert_eq!(tokens.keys(), 2);
    }
}
