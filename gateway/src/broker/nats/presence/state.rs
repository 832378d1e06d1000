//! Presence between gateways, without IO: bytes, leases and the time go in, effects come out.
//!
//! **Ownership.** A gateway owns the entries of its connections and nobody else changes them, so there is nothing to
//! agree on: each other gateway holds a copy. The owner counts its changes; that clock says which state a copy is
//! (`replica`). Changes are broadcast in batches. Whoever sees a number missing, or hears of a gateway it does not know,
//! asks its owner, who sends the changes since or, in pages, everything. Every [`Config::digest`] the owner tells its
//! clock, and number and hash of its entries: that heals what was lost last, and anything that nobody thought of.
//!
//! **Death.** Each gateway renews a lease in NATS every [`Config::renew`]; the server ends it after [`Config::lease`]
//! without. A renewal succeeds only on the lease as it was left, so a lease once gone never comes back, and all
//! gateways see the same ones go. But leases also end when NATS is away, all at once. So an expiry counts only for a
//! gateway that kept renewing its own lease for one lease time before: whoever could not was cut off itself, and gives the
//! others as much time to come back as it had (`lease`). What a renewal proves is read from the bucket's watch, where
//! others' leases are seen too. Clocks of machines are never compared: the server counts the lease, and everybody
//! counts its own monotonic time.
//!
//! **Coming back.** A gateway that finds its lease gone may have been taken for dead by others, so it goes on under a new
//! name: the same process, its next life. The clock goes on too. A gateway that hears of a later life therefore turns its
//! copy of the earlier one into the copy of the later one, whether or not its lease has ended, and asks for what it
//! missed: a leave and a join of the same connection never come about. After a lease has ended there are
//! [`Config::merge`] for that. So a gateway that was killed leaves after lease + merge at most, and one that lost its
//! lease and notices at once does not leave at all. For the same reason a gateway that has not got a lease yet changes
//! its life while it tries: others may have given up on the one before.
//!
//! **The dead stay dead.** Lives up to the one that died are remembered for ten leases, so nothing of them that comes
//! late counts; only a lease that is seen again shows that the judgement was wrong.
//!
//! **What is told.** A connection is in one process's entries alone and every copy goes from one state of its owner to a
//! later one, so an observer is told a history that could have been: no leave of one that did not join, no second join
//! but with other facts. Memory is the entries of living gateways, a bounded log, and ten leases of the dead.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::entry::{Attendee, Incarnation, Key, ProcessId, Topic};
use super::lease::{Lease, Standing};
use super::own::Own;
use super::replica::Replica;
use super::telling::Telling;
use super::wire::{self, Message, WireError};
use crate::names::ConnectionId;

/// The times of presence. All gateways of a channel have the same.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// How long a lease lasts without renewal.
    pub lease: Duration,
    /// How often it is renewed.
    pub renew: Duration,
    /// How long after its lease has ended a gateway may come back without having left.
    pub merge: Duration,
    /// How often a gateway tells where it stands.
    pub digest: Duration,
}

impl Default for Config {
    /// A gateway that was killed leaves within lease, merge and the second that the server takes: below 20 s.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew: Duration::from_secs(5),
            merge: Duration::from_secs(2),
            digest: Duration::from_secs(5),
        }
    }
}

/// Time in which changes are collected for one broadcast; the first one after a pause goes at once.
const BATCH: Duration = Duration::from_millis(50);
/// How long an owner has to answer before it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// How soon a gateway that came new is told about this one.
const GREET: Duration = Duration::from_millis(200);
/// How soon a renewal that failed is tried again.
const RENEW_AGAIN: Duration = Duration::from_secs(1);
/// How often to look whether a gateway that is missed is dead, or has answered.
const LOOK: Duration = Duration::from_millis(200);
/// The dead are remembered for so many leases.
const REMEMBERED: u32 = 10;

/// What the caller must do, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send to all gateways.
    Broadcast(Bytes),
    /// Send to one gateway.
    Send {
        /// Which.
        to: ProcessId,
        /// What.
        bytes: Bytes,
    },
    /// Create this incarnation's lease, or renew it where that was done before, on the condition that nobody changed
    /// it since. [`State::lease_lost`] if somebody did, [`State::renewal_failed`] if that is not known.
    Renew(Incarnation),
    /// Delete the lease.
    Release(Incarnation),
    /// Tell the gateway's own side.
    Tell(News),
}

/// What happened in a topic that is watched, on any gateway, this one included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A connection came, or is told anew because something about it is different.
    Joined {
        /// To what.
        topic: Topic,
        /// Who.
        attendee: Attendee,
        /// Whether its gateway drains, in topics of users; never in rooms.
        draining: bool,
    },
    /// It is no longer there.
    Left {
        /// Where.
        topic: Topic,
        /// Which connection.
        connection: ConnectionId,
    },
}

/// One gateway's side of presence. Every `now` is monotonic time since an origin of the caller's.
#[derive(Debug)]
pub struct State {
    config: Config,
    me: Incarnation,
    own: Own,
    peers: BTreeMap<ProcessId, Peer>,
    graves: BTreeMap<ProcessId, Grave>,
    standing: Standing,
    /// Whether the lease of this life was seen in the bucket.
    leased: bool,
    /// When this life began.
    born: Duration,
    connected: bool,
    /// Whether goodbye was said.
    over: bool,
    renew_at: Duration,
    digest_at: Duration,
    delta_at: Duration,
    told_version: bool,
    telling: Telling,
}

/// Another gateway.
#[derive(Debug)]
struct Peer {
    life: u32,
    lease: Lease,
    replica: Replica,
}

/// A gateway that died.
#[derive(Debug)]
struct Grave {
    life: u32,
    until: Duration,
}

impl State {
    /// A gateway without connections, and not yet connected to NATS. `process` must be drawn for this run.
    pub fn new(process: ProcessId, config: Config, now: Duration) -> Self {
        Self {
            config,
            me: Incarnation { process, life: 1 },
            own: Own::default(),
            peers: BTreeMap::new(),
            graves: BTreeMap::new(),
            standing: Standing::default(),
            leased: false,
            born: now,
            connected: false,
            over: false,
            renew_at: now,
            digest_at: now,
            delta_at: now,
            told_version: false,
            telling: Telling::default(),
        }
    }

    /// Who this gateway is at present.
    pub fn incarnation(&self) -> Incarnation {
        self.me
    }

    /// All gateways whose lease is not known to have ended, this one included, in order.
    pub fn alive(&self) -> Vec<Incarnation> {
        let peers = self.peers.iter().filter_map(|(process, peer)| {
            let alive = !matches!(peer.lease, Lease::Gone { .. });
            alive.then_some(Incarnation {
                process: *process,
                life: peer.life,
            })
        });
        let mut alive: Vec<_> = peers.chain((!self.over).then_some(self.me)).collect();
        alive.sort_unstable();
        alive
    }

    /// A connection of this gateway is in a topic, or has other facts than before.
    pub fn join(&mut self, topic: Topic, attendee: Attendee) {
        self.own.join(topic, attendee, &mut self.telling);
    }

    /// It is no longer.
    pub fn leave(&mut self, topic: Topic, connection: ConnectionId) {
        self.own
            .leave(Key::new(topic, connection), &mut self.telling);
    }

    /// From now on the connections of this gateway do not count for their users.
    pub fn drain(&mut self) {
        self.own.drain(&mut self.telling);
    }

    /// From now on this topic is told, beginning with who is there, on all gateways.
    pub fn watch(&mut self, topic: Topic) {
        if !self.telling.watched.insert(topic.clone()) {
            return;
        }
        let peers = self.peers.values().map(|peer| peer.replica.entries());
        for entries in std::iter::once(self.own.entries()).chain(peers) {
            for attendee in entries.of(&topic) {
                self.telling.joined(&topic, attendee, entries.is_draining());
            }
        }
    }

    /// It is not told any more: what was told of it is void.
    pub fn unwatch(&mut self, topic: &Topic) {
        self.telling.watched.remove(topic);
    }

    /// This gateway ends: the others are told at once. It does nothing more afterwards.
    pub fn goodbye(&mut self) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let goodbye = wire::goodbye(self.me);
        let effects = [Effect::Broadcast(goodbye), Effect::Release(self.me)];
        self.telling.effects.extend(effects);
    }

    /// The connection to NATS was made or lost.
    pub fn connected(&mut self, connected: bool, now: Duration) {
        self.connected = connected;
        self.standing.lapse();
        if connected {
            (self.renew_at, self.digest_at) = (now, now);
            for peer in self.peers.values_mut() {
                peer.replica.ask_at = now;
            }
        }
    }

    /// A message of another gateway, or an own one that came back.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) {
        let received = match wire::read(bytes) {
            Ok(received) => received,
            Err(error) => {
                self.complain(error);
                return;
            }
        };
        let from = received.from;
        if from.process == self.me.process || self.over {
            return;
        }
        self.meet(from, now);
        let Some(peer) = self.peers.get_mut(&from.process) else {
            return;
        };
        if peer.life != from.life {
            return;
        }
        match received.what {
            Message::Delta { first, changes } => {
                peer.replica.delta(first, changes, &mut self.telling);
            }
            Message::Digest { clock, summary } => peer.replica.digest(clock, summary),
            Message::Page(page) => {
                if peer.replica.page(page, &mut self.telling) {
                    peer.replica.ask_at = now + ASK_AGAIN;
                }
            }
            Message::Ask { of, since } => {
                if of == self.me.process {
                    self.answer(from.process, since);
                }
            }
            Message::Goodbye => self.bury(from.process, now),
        }
    }

    /// A lease was seen in the bucket: it was created, renewed, or is there at the beginning of a watch.
    pub fn lease_seen(&mut self, of: Incarnation, now: Duration) {
        if of.process == self.me.process {
            if of == self.me {
                self.leased = true;
                self.standing.confirm(now, self.config.lease);
            }
            return;
        }
        // Whoever holds a lease was taken for dead by mistake.
        if self
            .graves
            .get(&of.process)
            .is_some_and(|grave| grave.life == of.life)
        {
            self.graves.remove(&of.process);
        }
        self.meet(of, now);
        if let Some(peer) = self.peers.get_mut(&of.process)
            && peer.life == of.life
        {
            peer.lease = Lease::Held;
        }
    }

    /// A lease has ended or was deleted.
    pub fn lease_gone(&mut self, of: Incarnation, now: Duration) {
        if of.process == self.me.process {
            self.lease_lost(of, now);
        } else if let Some(peer) = self.peers.get_mut(&of.process)
            && peer.life == of.life
            && !matches!(peer.lease, Lease::Gone { .. })
        {
            peer.lease = Lease::Gone { since: now };
        }
    }

    /// All leases that are in the bucket, told when a watch has begun: the watch before may have missed how others went.
    pub fn leases_read(&mut self, all: &[Incarnation], now: Duration) {
        for of in all {
            self.lease_seen(*of, now);
        }
        for (process, peer) in &mut self.peers {
            let of = Incarnation {
                process: *process,
                life: peer.life,
            };
            if peer.lease == Lease::Held && !all.contains(&of) {
                peer.lease = Lease::Gone { since: now };
            }
        }
        if self.leased && !all.contains(&self.me) {
            self.lease_lost(self.me, now);
        }
    }

    /// The own lease could not be renewed, because it has ended meanwhile.
    pub fn lease_lost(&mut self, of: Incarnation, now: Duration) {
        if of == self.me {
            self.begin_life(now);
        }
    }

    /// Whether the own lease was renewed is not known.
    pub fn renewal_failed(&mut self, now: Duration) {
        self.renew_at = self.renew_at.min(now + RENEW_AGAIN);
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Duration) {
        if self.over {
            return;
        }
        self.judge(now);
        self.graves.retain(|_, grave| grave.until > now);
        if !self.connected {
            return;
        }
        if now >= self.renew_at {
            if !self.leased && now.saturating_sub(self.born) >= self.config.renew {
                self.begin_life(now);
            }
            self.renew_at = now + self.config.renew;
            self.telling.effects.push_back(Effect::Renew(self.me));
        }
        if self.own.has_unsent() && now >= self.delta_at {
            self.flush();
            self.delta_at = now + BATCH;
        }
        if now >= self.digest_at {
            self.flush();
            let digest = wire::digest(self.me, self.own.clock(), self.own.summary());
            self.telling.effects.push_back(Effect::Broadcast(digest));
            self.digest_at = now + self.config.digest;
            self.own.forget_pages();
        }
        self.ask(now);
    }

    /// When [`Self::tick`] has something to do, if nothing else happens.
    pub fn wake_at(&self, now: Duration) -> Duration {
        let mut at = self.renew_at.min(self.digest_at);
        if !self.connected {
            at = now + self.config.renew;
        }
        if self.own.has_unsent() && self.connected {
            at = at.min(self.delta_at);
        }
        let missed = |peer: &Peer| peer.lease != Lease::Held || peer.replica.lacks();
        if self.peers.values().any(missed) {
            at = at.min(now + LOOK);
        }
        at
    }

    /// The next thing to do.
    pub fn effect(&mut self) -> Option<Effect> {
        self.telling.effects.pop_front()
    }

    /// Makes a peer of a gateway that is heard of for the first time, or lives on under a later life.
    fn meet(&mut self, who: Incarnation, now: Duration) {
        if self
            .graves
            .get(&who.process)
            .is_some_and(|grave| who.life <= grave.life)
        {
            return;
        }
        let lease = Lease::Unseen { since: now };
        let peer = self.peers.entry(who.process).or_insert_with(|| {
            self.digest_at = self.digest_at.min(now + GREET);
            Peer {
                life: who.life,
                lease,
                replica: Replica::default(),
            }
        });
        if who.life > peer.life {
            // The copy goes on: clocks do.
            (peer.life, peer.lease) = (who.life, lease);
            peer.replica.ask_at = now;
        }
    }

    /// Takes those for dead that are.
    fn judge(&mut self, now: Duration) {
        let Config { lease, merge, .. } = self.config;
        if !self.standing.judges(now, lease) {
            return;
        }
        let over = |(process, peer): (&ProcessId, &Peer)| {
            peer.lease.is_over(now, lease, merge).then_some(*process)
        };
        let dead: Vec<ProcessId> = self.peers.iter().filter_map(over).collect();
        for process in dead {
            self.bury(process, now);
        }
    }

    fn bury(&mut self, process: ProcessId, now: Duration) {
        let Some(peer) = self.peers.remove(&process) else {
            return;
        };
        peer.replica.end(&mut self.telling);
        let grave = Grave {
            life: peer.life,
            until: now + self.config.lease * REMEMBERED,
        };
        self.graves.insert(process, grave);
    }

    fn begin_life(&mut self, now: Duration) {
        self.me.life += 1;
        (self.leased, self.born) = (false, now);
        self.standing.lapse();
        (self.renew_at, self.digest_at) = (now, now);
    }

    fn flush(&mut self) {
        let messages = self.own.take_unsent(self.me);
        let effects = messages.into_iter().map(Effect::Broadcast);
        self.telling.effects.extend(effects);
    }

    fn ask(&mut self, now: Duration) {
        for (process, peer) in &mut self.peers {
            let alive = !matches!(peer.lease, Lease::Gone { .. });
            if alive && peer.replica.lacks() && now >= peer.replica.ask_at {
                peer.replica.ask_at = now + ASK_AGAIN;
                self.telling.effects.push_back(Effect::Send {
                    to: *process,
                    bytes: wire::ask(self.me, *process, peer.replica.wanted()),
                });
            }
        }
    }

    fn answer(&mut self, to: ProcessId, since: Option<u64>) {
        let changes = since.and_then(|since| self.own.since(self.me, since));
        let messages = match changes {
            Some(changes) if changes.is_empty() => {
                vec![wire::digest(self.me, self.own.clock(), self.own.summary())]
            }
            Some(changes) => changes,
            None => self.own.pages(self.me).to_vec(),
        };
        let effects = messages.into_iter().map(|bytes| Effect::Send { to, bytes });
        self.telling.effects.extend(effects);
    }

    fn complain(&mut self, error: WireError) {
        match error {
            WireError::Version(_) => {
                if !std::mem::replace(&mut self.told_version, true) {
                    tracing::warn!(%error, "presence of a gateway of another version is left out");
                }
            }
            WireError::Malformed => tracing::debug!(%error, "presence"),
        }
    }

    /// Why there is more in memory than the entries of `gateways` others.
    #[cfg(test)]
    pub(super) fn is_at_rest(&self, gateways: usize) -> Result<(), String> {
        let restless = |peer: &Peer| peer.lease != Lease::Held || !peer.replica.is_at_rest();
        if self.peers.len() != gateways || self.peers.values().any(restless) {
            return Err(format!("{:?}", self.peers));
        }
        match self.graves.is_empty() {
            true => Ok(()),
            false => Err(format!("{:?}", self.graves)),
        }
    }

    /// Takes an entry out of every copy, as no fault that is thought of can.
    #[cfg(test)]
    pub(super) fn corrupt(&mut self, key: &Key) {
        for peer in self.peers.values_mut() {
            peer.replica.forget(key);
        }
    }
}
