//! Which channels have changed and wait for their pass.
//!
//! The library's own queue tells nobody how long it is. So each change is noted where its watch brings it, and taken out
//! when its pass begins. Passes that only time brings about are not counted: they wait for nothing.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The channels that wait.
#[derive(Debug, Default)]
pub struct Queue(Mutex<HashSet<String>>);

impl Queue {
    /// Something of the channel `namespace/name` has changed.
    pub fn changed(&self, namespace: &str, name: &str) {
        self.waiting().insert(format!("{namespace}/{name}"));
    }

    /// Its pass begins, or it is gone.
    pub fn begins(&self, namespace: &str, name: &str) {
        self.waiting().remove(&format!("{namespace}/{name}"));
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting().len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nobody waits: the watches begin anew.
    pub fn clear(&self) {
        self.waiting().clear();
    }

    fn waiting(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
