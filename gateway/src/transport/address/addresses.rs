//! What each address uses, and what is remembered of it, in memory that no number of addresses can exceed.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::client::Client;
use super::key::Key;
use crate::transport::throttle::Throttle;

/// Parts of the table, each with a lock of its own.
const PARTS: usize = 16;

/// Addresses whose rate and failures are remembered at most, about 6 MiB in all. Beyond it those that were heard of
/// longest ago are forgotten, half of them at a time: who has so many addresses gains nothing by it that the addresses
/// do not give anyway.
pub const REMEMBERED: usize = 64 * 1024;

/// Bounds on one address; `None`: there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct AddressLimits {
    /// Connections at once.
    pub connections: Option<u32>,
    /// Handshakes a second.
    pub connects_per_second: Option<u32>,
}

/// Why an address is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMany {
    /// It has as many connections as it may.
    Connections,
    /// It came too often; so long until it may come again.
    Handshakes(Duration),
}

/// The table of all addresses.
#[derive(Debug)]
pub struct Addresses {
    /// Keyed at random, so that nobody can choose addresses that collide.
    hasher: RandomState,
    parts: [Mutex<Part>; PARTS],
}

#[derive(Debug, Default)]
struct Part {
    /// Bounded by the connections and sockets that there are.
    connections: HashMap<Key, u32>,
    /// What is remembered, and what was before `young` was last full.
    young: HashMap<Key, Memory>,
    old: HashMap<Key, Memory>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    throttle: Throttle,
    backoff: Backoff,
}

/// One connection's place among those of its address; free when dropped.
#[derive(Debug, Default)]
pub struct Seat(Option<Taken>);

#[derive(Debug)]
struct Taken {
    addresses: Arc<Addresses>,
    key: Key,
    /// Whether failures are not counted: [`Client::unlisted_proxy`].
    lenient: bool,
}

impl Addresses {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            parts: Default::default(),
        }
    }

    /// Counts a handshake, and gives its connection a seat if its address may have one.
    ///
    /// # Errors
    /// Why not; a handshake that came too early is not counted.
    pub fn admit(
        self: &Arc<Self>,
        client: impl Into<Client>,
        limits: AddressLimits,
        now: Instant,
    ) -> Result<Seat, TooMany> {
        let client = client.into();
        let key = Key::of(client.address);
        let mut part = self.part(key);
        if let Some(rate) = limits.connects_per_second {
            let throttle = &mut part.memory(key).throttle;
            throttle.take(rate, now).map_err(TooMany::Handshakes)?;
        }
        let most = limits.connections.unwrap_or(u32::MAX);
        part.count(key, most).ok_or(TooMany::Connections)?;
        Ok(self.seat(key, client.unlisted_proxy))
    }

    /// Whether [`Self::admit`] would let a handshake in now; counts nothing.
    ///
    /// # Errors
    /// Why it would not.
    pub fn check(
        &self,
        address: IpAddr,
        limits: AddressLimits,
        now: Instant,
    ) -> Result<(), TooMany> {
        if limits.connections.is_none() && limits.connects_per_second.is_none() {
            return Ok(());
        }
        let key = Key::of(address);
        let part = self.part(key);
        if let Some(rate) = limits.connects_per_second {
            let mut throttle = part
                .remembered(key)
                .map_or_else(Throttle::default, |memory| memory.throttle);
            throttle.take(rate, now).map_err(TooMany::Handshakes)?;
        }
        let count = part.connections.get(&key).copied().unwrap_or(0);
        match limits.connections {
            Some(most) if count >= most => Err(TooMany::Connections),
            _ => Ok(()),
        }
    }

    /// Gives a socket a seat, where its address has fewer than `most`.
    #[must_use]
    pub fn sit(self: &Arc<Self>, address: IpAddr, most: u32) -> Option<Seat> {
        let key = Key::of(address);
        self.part(key).count(key, most)?;
        Some(self.seat(key, false))
    }

    /// Counts a failed authentication; gives how long the next one has to wait, if it must. Those that come through a
    /// proxy that is not listed are nobody's: all who come through it would have to wait.
    pub fn failed(&self, client: impl Into<Client>, now: Instant) -> Option<Duration> {
        let client = client.into();
        match client.unlisted_proxy {
            true => None,
            false => self.fail(Key::of(client.address), now),
        }
    }

    /// How long a client must wait before a token of it is looked at.
    #[must_use]
    pub fn wait(&self, client: impl Into<Client>, now: Instant) -> Option<Duration> {
        let client = client.into();
        match client.unlisted_proxy {
            true => None,
            false => self.rest(Key::of(client.address), now),
        }
    }

    /// Addresses that something is remembered of.
    #[must_use]
    pub fn remembered(&self) -> usize {
        let lock = |part| Mutex::lock(part).unwrap_or_else(PoisonError::into_inner);
        let sizes = self.parts.iter().map(lock);
        sizes.map(|part| part.young.len() + part.old.len()).sum()
    }

    /// Connections and sockets that have a seat.
    #[cfg(test)]
    pub(super) fn seats(&self) -> usize {
        let lock = |part| Mutex::lock(part).unwrap_or_else(PoisonError::into_inner);
        let counts = self.parts.iter().map(lock);
        counts.map(|part| part.connections.len()).sum()
    }

    fn seat(self: &Arc<Self>, key: Key, lenient: bool) -> Seat {
        Seat(Some(Taken {
            addresses: Arc::clone(self),
            key,
            lenient,
        }))
    }

    fn rest(&self, key: Key, now: Instant) -> Option<Duration> {
        self.part(key).remembered(key)?.backoff.wait(now)
    }

    fn fail(&self, key: Key, now: Instant) -> Option<Duration> {
        let mut part = self.part(key);
        let backoff = &mut part.memory(key).backoff;
        backoff.failed(now);
        backoff.wait(now)
    }

    fn part(&self, key: Key) -> MutexGuard<'_, Part> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "some of the bits are enough"
        )]
        let index = self.hasher.hash_one(key) as usize % PARTS;
        self.parts[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Addresses {
    fn default() -> Self {
        Self::new()
    }
}

impl Part {
    fn count(&mut self, key: Key, most: u32) -> Option<()> {
        let count = self.connections.entry(key).or_insert(0);
        if *count < most {
            *count += 1;
            return Some(());
        }
        if *count == 0 {
            self.connections.remove(&key);
        }
        None
    }

    fn leave(&mut self, key: Key) {
        if let Entry::Occupied(mut count) = self.connections.entry(key) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        if self.connections.is_empty() {
            self.connections.shrink_to(64);
        }
    }

    fn remembered(&self, key: Key) -> Option<&Memory> {
        self.young.get(&key).or_else(|| self.old.get(&key))
    }

    /// What is remembered of an address, to be changed.
    fn memory(&mut self, key: Key) -> &mut Memory {
        const YOUNG: usize = REMEMBERED / PARTS / 2;
        let known = self.young.contains_key(&key);
        if !known && self.young.len() >= YOUNG {
            self.old = std::mem::take(&mut self.young);
        }
        let old = &mut self.old;
        self.young
            .entry(key)
            .or_insert_with(|| old.remove(&key).unwrap_or_default())
    }
}

impl Seat {
    /// Counts a failed authentication of the seat's client, as [`Addresses::failed`] does.
    pub fn failed(&self, now: Instant) -> Option<Duration> {
        let taken = self.0.as_ref().filter(|taken| !taken.lenient)?;
        taken.addresses.fail(taken.key, now)
    }

    /// How long its client must wait before a token of it is looked at, as [`Addresses::wait`] says.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        let taken = self.0.as_ref().filter(|taken| !taken.lenient)?;
        taken.addresses.rest(taken.key, now)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(Taken { addresses, key, .. }) = self.0.take() {
            addresses.part(key).leave(key);
        }
    }
}
