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
//! **The dead stay dead.** Who was taken for dead is remembered for ten leases, and whatever comes of it meanwhile may
//! be late: only a lease, of the same life or a later one, shows that the process lives after all. Its clock is remembered
//! too, so that it is not seen as it was before. Who said goodbye does not come back.
//!
//! **What is told.** A connection is in one process's entries alone and every copy goes from one state of its owner to a
//! later one, so an observer is told a history that could have been: no leave of one that did not join, no second join
//! but with other facts. Memory is the entries of living gateways, a bounded log, and ten leases of the dead.

use std::time::Duration;

use super::effect::Telling;
pub use super::effect::{Effect, News};
use super::entry::{Attendee, Incarnation, Key, ProcessId, Topic};
use super::lease::Standing;
use super::own::Own;
use super::peers::Peers;
use super::wire::{self, Message, WireError};
use crate::broker::Member;
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

/// Who is in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// How many there are.
    pub count: usize,
    /// Those asked for, in the order of their connections.
    pub members: Vec<Member>,
}

/// Time in which changes are collected for one broadcast; the first one after a pause goes at once.
const BATCH: Duration = Duration::from_millis(50);
/// How soon a gateway that came new is told about this one.
const GREET: Duration = Duration::from_millis(200);
/// How soon a renewal that failed is tried again.
const RENEW_AGAIN: Duration = Duration::from_secs(1);
/// How often to look whether a gateway that is missed is dead, or has answered.
const LOOK: Duration = Duration::from_millis(200);

/// One gateway's side of presence. Every `now` is monotonic time since an origin of the caller's.
#[derive(Debug)]
pub struct State {
    config: Config,
    me: Incarnation,
    own: Own,
    peers: Peers,
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

impl State {
    /// A gateway without connections, and not yet connected to NATS. `process` must be drawn for this run.
    pub fn new(process: ProcessId, config: Config, now: Duration) -> Self {
        Self {
            config,
            me: Incarnation { process, life: 1 },
            own: Own::default(),
            peers: Peers::new(config),
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
        let me = (!self.over).then_some(self.me);
        let mut alive: Vec<_> = self.peers.alive().chain(me).collect();
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
        let begins = Effect::Tell(News::Watching(topic.clone()));
        self.telling.effects.push_back(begins);
        for entries in std::iter::once(self.own.entries()).chain(self.peers.entries()) {
            for attendee in entries.of(&topic) {
                self.telling.joined(&topic, attendee, entries.is_draining());
            }
        }
    }

    /// It is not told any more: what was told of it is void.
    pub fn unwatch(&mut self, topic: &Topic) {
        self.telling.watched.remove(topic);
    }

    /// Who is in a topic, watched or not: at most `limit` whose connection comes after `after`.
    pub fn look(&self, topic: &Topic, after: Option<ConnectionId>, limit: usize) -> Members {
        let all = std::iter::once(self.own.entries()).chain(self.peers.entries());
        let all = all.flat_map(|entries| entries.of(topic));
        let mut members: Vec<&Member> = all.map(|attendee| &attendee.member).collect();
        let count = members.len();
        members.retain(|member| Some(member.connection) > after);
        members.sort_unstable_by_key(|member| member.connection);
        let members = members.into_iter().take(limit).cloned().collect();
        Members { count, members }
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
            self.peers.ask_all(now);
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
        if self.peers.meet(from, now) {
            self.greet(now);
        }
        let Some(replica) = self.peers.replica(from) else {
            return;
        };
        match received.what {
            Message::Delta { first, changes } => replica.delta(first, changes, &mut self.telling),
            Message::Digest { clock, summary } => replica.digest(clock, summary),
            Message::Page(page) => {
                if replica.page(page, &mut self.telling) {
                    self.peers.heard(from, now);
                }
            }
            Message::Ask { of, since } => {
                if of == self.me.process {
                    self.answer(from.process, since);
                }
            }
            Message::Goodbye => self.peers.part(from.process, now, &mut self.telling),
        }
    }

    /// A lease was seen in the bucket: it was created, renewed, or is there at the beginning of a watch.
    pub fn lease_seen(&mut self, of: Incarnation, now: Duration) {
        if of == self.me {
            self.leased = true;
            self.standing.confirm(now, self.config.lease);
        } else if of.process != self.me.process && self.peers.lease_seen(of, now) {
            self.greet(now);
        }
    }

    /// A lease has ended or was deleted.
    pub fn lease_gone(&mut self, of: Incarnation, now: Duration) {
        self.lease_lost(of, now);
        self.peers.lease_gone(of, now);
    }

    /// All leases that are in the bucket, told when a watch has begun: the watch before may have missed how others went.
    pub fn leases_read(&mut self, all: &[Incarnation], now: Duration) {
        for of in all {
            self.lease_seen(*of, now);
        }
        self.peers.leases_read(all, now);
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
        if self.standing.judges(now, self.config.lease) {
            self.peers.judge(now, &mut self.telling);
        }
        self.peers.forget(now);
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
        self.peers.ask(self.me, now, &mut self.telling);
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
        if self.peers.misses_some() {
            at = at.min(now + LOOK);
        }
        at
    }

    /// The next thing to do.
    pub fn effect(&mut self) -> Option<Effect> {
        self.telling.effects.pop_front()
    }

    /// A gateway came new: it is told soon where this one stands.
    fn greet(&mut self, now: Duration) {
        self.digest_at = self.digest_at.min(now + GREET);
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

    /// The other gateways, for tests that look inside.
    #[cfg(test)]
    pub(super) fn peers(&mut self) -> &mut Peers {
        &mut self.peers
    }
}
