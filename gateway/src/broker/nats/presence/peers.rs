//! The other gateways: who lives, who died, and the copies of what they own.

use std::collections::BTreeMap;
use std::time::Duration;

use super::effect::{Effect, Telling};
use super::entry::{Entries, Incarnation, ProcessId};
use super::lease::Lease;
use super::replica::Replica;
use super::state::Config;
use super::wire;

/// How long an owner has to answer before it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// The dead are remembered for so many leases.
const REMEMBERED: u32 = 10;

/// All of them.
#[derive(Debug)]
pub(super) struct Peers {
    config: Config,
    living: BTreeMap<ProcessId, Peer>,
    graves: BTreeMap<ProcessId, Grave>,
}

/// Another gateway.
#[derive(Debug)]
struct Peer {
    life: u32,
    lease: Lease,
    replica: Replica,
}

/// A gateway that died, with its last life.
#[derive(Debug)]
struct Grave {
    life: u32,
    /// How far the copy of its entries was.
    clock: u64,
    until: Duration,
}

impl Peer {
    /// Its lease is not known to have ended.
    fn is_alive(&self) -> bool {
        !matches!(self.lease, Lease::Gone { .. })
    }
}

impl Peers {
    pub fn new(config: Config) -> Self {
        Self {
            config,
            living: BTreeMap::new(),
            graves: BTreeMap::new(),
        }
    }

    /// Those whose lease is not known to have ended.
    pub fn alive(&self) -> impl Iterator<Item = Incarnation> {
        let alive = self.living.iter().filter(|(_, peer)| peer.is_alive());
        alive.map(|(process, peer)| incarnation(*process, peer))
    }

    /// What is known of each one's entries.
    pub fn entries(&self) -> impl Iterator<Item = &Entries> {
        self.living.values().map(|peer| peer.replica.entries())
    }

    /// Whether one is missed: it may be dead, or has to be asked.
    pub fn misses_some(&self) -> bool {
        let missed = |peer: &Peer| peer.lease != Lease::Held || peer.replica.lacks();
        self.living.values().any(missed)
    }

    /// A gateway is heard: it may be new, or live on under a later life. Gives whether it is new. One that was taken for
    /// dead is not believed before it shows a lease: what it sent may have been long under way.
    pub fn meet(&mut self, who: Incarnation, now: Duration) -> bool {
        !self.graves.contains_key(&who.process) && self.welcome(who, 0, now)
    }

    /// Makes a peer of who lives, its entries not to be seen as they were before `clock`. Gives whether it is new.
    fn welcome(&mut self, who: Incarnation, clock: u64, now: Duration) -> bool {
        let lease = Lease::Unseen { since: now };
        let known = self.living.len();
        let peer = self.living.entry(who.process).or_insert_with(|| Peer {
            life: who.life,
            lease,
            replica: Replica::beginning(clock),
        });
        if who.life > peer.life {
            // The copy goes on: clocks do.
            (peer.life, peer.lease) = (who.life, lease);
            peer.replica.ask_at = now;
        }
        self.living.len() > known
    }

    /// The copy of what this incarnation owns; `None` if it is dead or an earlier life.
    pub fn replica(&mut self, of: Incarnation) -> Option<&mut Replica> {
        self.get(of).map(|peer| &mut peer.replica)
    }

    /// What came may be a part of the answer: there is no hurry to ask again.
    pub fn heard(&mut self, from: Incarnation, now: Duration) {
        if let Some(peer) = self.get(from) {
            peer.replica.ask_at = now + ASK_AGAIN;
        }
    }

    /// The connection is new: whatever was asked is lost.
    pub fn ask_all(&mut self, now: Duration) {
        for peer in self.living.values_mut() {
            peer.replica.ask_at = now;
        }
    }

    /// Asks those that something is missing of.
    pub fn ask(&mut self, me: Incarnation, now: Duration, telling: &mut Telling) {
        for (process, peer) in &mut self.living {
            if peer.is_alive() && peer.replica.lacks() && now >= peer.replica.ask_at {
                peer.replica.ask_at = now + ASK_AGAIN;
                telling.effects.push_back(Effect::Send {
                    to: *process,
                    bytes: wire::ask(me, *process, peer.replica.wanted()),
                });
            }
        }
    }

    /// A lease is in the bucket, perhaps of a gateway that was taken for dead by mistake. Gives whether it is new.
    pub fn lease_seen(&mut self, of: Incarnation, now: Duration) -> bool {
        let grave = self.graves.get(&of.process);
        if grave.is_some_and(|grave| of.life < grave.life) {
            return false;
        }
        let grave = self.graves.remove(&of.process);
        let new = self.welcome(of, grave.map_or(0, |grave| grave.clock), now);
        if let Some(peer) = self.get(of) {
            peer.lease = Lease::Held;
        }
        new
    }

    /// A lease is not there any more.
    pub fn lease_gone(&mut self, of: Incarnation, now: Duration) {
        if let Some(peer) = self.get(of).filter(|peer| peer.is_alive()) {
            peer.lease = Lease::Gone { since: now };
        }
    }

    /// These are all leases that are there.
    pub fn leases_read(&mut self, all: &[Incarnation], now: Duration) {
        for (process, peer) in &mut self.living {
            if peer.lease == Lease::Held && !all.contains(&incarnation(*process, peer)) {
                peer.lease = Lease::Gone { since: now };
            }
        }
    }

    /// Takes those for dead that are, which only who may judge does.
    pub fn judge(&mut self, now: Duration, telling: &mut Telling) {
        let Config { lease, merge, .. } = self.config;
        let is_over = |peer: &Peer| peer.lease.is_over(now, lease, merge);
        let over = self.living.iter().filter(|(_, peer)| is_over(peer));
        let dead: Vec<ProcessId> = over.map(|(process, _)| *process).collect();
        for process in dead {
            self.bury(process, now, telling);
        }
    }

    /// A gateway has said that it ends: no later life will come.
    pub fn part(&mut self, process: ProcessId, now: Duration, telling: &mut Telling) {
        if let Some(peer) = self.living.get_mut(&process) {
            peer.life = u32::MAX;
        }
        self.bury(process, now, telling);
    }

    fn bury(&mut self, process: ProcessId, now: Duration, telling: &mut Telling) {
        let Some(peer) = self.living.remove(&process) else {
            return;
        };
        let grave = Grave {
            life: peer.life,
            clock: peer.replica.clock(),
            until: now + self.config.lease * REMEMBERED,
        };
        self.graves.insert(process, grave);
        peer.replica.end(telling);
    }

    /// Forgets those that have been dead for long.
    pub fn forget(&mut self, now: Duration) {
        self.graves.retain(|_, grave| grave.until > now);
    }

    fn get(&mut self, who: Incarnation) -> Option<&mut Peer> {
        let peer = self.living.get_mut(&who.process)?;
        (peer.life == who.life).then_some(peer)
    }

    /// Why there is more in memory than the entries of `gateways` others.
    #[cfg(test)]
    pub fn is_at_rest(&self, gateways: usize) -> Result<(), String> {
        let restless = |peer: &Peer| peer.lease != Lease::Held || !peer.replica.is_at_rest();
        if self.living.len() != gateways || self.living.values().any(restless) {
            return Err(format!("{:?}", self.living));
        }
        match self.graves.is_empty() {
            true => Ok(()),
            false => Err(format!("{:?}", self.graves)),
        }
    }

    /// Takes an entry out of every copy, as no fault that is thought of can.
    #[cfg(test)]
    pub fn corrupt(&mut self, key: &super::entry::Key) {
        for peer in self.living.values_mut() {
            peer.replica.forget(key);
        }
    }
}

fn incarnation(process: ProcessId, peer: &Peer) -> Incarnation {
    let life = peer.life;
    Incarnation { process, life }
}
