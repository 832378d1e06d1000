//! Who is let in before any work is done for them: a rate, and a number of places.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::refusal::Refusal;
use crate::config::Limits;
use crate::transport::throttle::Throttle;

/// Files that connections leave free: for listeners, epoll, the manifest, the internal port, and
/// HTTP connections that have not become a WebSocket.
pub(super) const RESERVED_FILES: usize = 512;

/// Lets handshakes in.
#[derive(Debug)]
pub(super) struct Admission {
    throttle: Mutex<Throttle>,
    /// Handshakes that were let in and are not with the shards yet.
    underway: Arc<AtomicUsize>,
    most: usize,
}

/// A place for one connection, held from its admission until a shard has it.
#[derive(Debug)]
pub(in crate::transport) struct Place(Arc<AtomicUsize>);

impl Admission {
    /// Admission for a process that may open `file_limit` files.
    pub(super) fn new(file_limit: usize) -> Self {
        Self {
            throttle: Mutex::default(),
            underway: Arc::default(),
            most: file_limit.saturating_sub(RESERVED_FILES),
        }
    }

    /// Handshakes that were let in and are not with the shards yet.
    pub(super) fn underway(&self) -> usize {
        self.underway.load(Ordering::Acquire)
    }

    /// Lets a handshake in, or says what to answer. `connections` are those that shards have.
    pub(super) fn admit(
        &self,
        limits: &Limits,
        connections: usize,
        now: Instant,
    ) -> Result<Place, Refusal> {
        // Places first: who finds none must not use up the rate of those who come when there are.
        let most = self.most.min(limits.connections_per_gateway);
        if connections + self.underway() >= most {
            return Err(Refusal::full());
        }
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle
            .take(limits.connects_per_second, now)
            .map_err(Refusal::rate)?;
        self.underway.fetch_add(1, Ordering::AcqRel);
        Ok(Place(Arc::clone(&self.underway)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use linnet_crds::limits::Limits as Spec;

    use super::*;

    #[test]
    fn places_are_counted_from_admission_on_and_the_file_limit_bounds_them() {
        let mut limits = Limits::compile(&Spec::default());
        limits.connections_per_gateway = 3;
        let now = Instant::now();
        let admission = Admission::new(10_000);
        let place = admission.admit(&limits, 1, now).unwrap();
        let _other = admission.admit(&limits, 1, now).unwrap();
        assert_eq!(admission.underway(), 2);
        assert_eq!(
            admission.admit(&limits, 1, now).unwrap_err().reason,
            super::super::Reason::Full
        );
        drop(place);
        assert!(admission.admit(&limits, 1, now).is_ok());

        let narrow = Admission::new(RESERVED_FILES + 2);
        assert!(narrow.admit(&limits, 1, now).is_ok());
        assert!(narrow.admit(&limits, 2, now).is_err());
        assert!(Admission::new(100).admit(&limits, 0, now).is_err());
    }

    #[test]
    fn a_full_gateway_does_not_use_up_the_rate() {
        let mut limits = Limits::compile(&Spec::default());
        limits.connects_per_second = 1;
        limits.connections_per_gateway = 1;
        let admission = Admission::new(10_000);
        let now = Instant::now();
        for _ in 0..10 {
            assert!(admission.admit(&limits, 1, now).is_err());
        }
        assert!(admission.admit(&limits, 0, now).is_ok());
    }
}
