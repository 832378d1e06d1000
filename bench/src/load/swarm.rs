//! Many connections on one thread.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use mio::{Events, Interest, Poll, Token, Waker, net::TcpStream};
use slab::Slab;

use super::{
    connection::{Connection, Outcome, Stage},
    plan::{Lengths, Opened, Plan, Since, Snapshot},
    track::{Delays, Latency, delays},
};

/// Counters of a group.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) ready: u64,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) others: u64,
    pub(super) pings: u64,
    pub(super) lengths: Lengths,
    pub(super) delays: Delays,
    pub(super) setup: Delays,
    closed: u64,
    failed: u64,
    failures: Vec<String>,
}

#[derive(Debug)]
struct Group {
    plan: Plan,
    tally: Tally,
}

/// Failures that are kept word by word.
const FAILURES_KEPT: usize = 5;
/// No connection got further for this long while a group is opened or closed: something hangs.
const STALLED: Duration = Duration::from_secs(20);
/// Nothing more has come for this long: nothing more will.
const QUIET: Duration = Duration::from_secs(10);
const WAKE: Token = Token(usize::MAX);

/// A single-threaded event loop and the connections it drives.
#[derive(Debug)]
pub struct Swarm {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    connections: Slab<Connection>,
    groups: Vec<Group>,
    scratch: Vec<u8>,
}

impl Swarm {
    /// An empty swarm.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            waker,
            connections: Slab::new(),
            groups: Vec::new(),
            scratch: vec![0; 64 * 1024],
        })
    }

    /// Ends the wait of [`turn`](Self::turn) from another thread.
    pub fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    /// Opens a group and returns when all its connections are ready, or closed again where the plan says so.
    /// Other groups are served meanwhile. One connection that fails fails the whole.
    pub fn open(&mut self, plan: Plan) -> Result<Opened> {
        let group = self.groups.len();
        let wanted = plan.connections as u64;
        self.groups.push(Group {
            plan: plan.clone(),
            tally: Tally::new(),
        });
        let begun = Instant::now();
        let (mut started, mut progress, mut last) = (0_u64, Instant::now(), 0);
        loop {
            let tally = &self.groups[group].tally;
            if tally.failed > 0 {
                bail!(
                    "{} of {wanted} connections failed: {}",
                    tally.failed,
                    tally.failures.join("; ")
                );
            }
            let done = if plan.close_when_ready {
                tally.closed
            } else {
                tally.ready
            };
            if done == wanted {
                break;
            }
            if done != last {
                (progress, last) = (Instant::now(), done);
            } else if progress.elapsed() > STALLED {
                bail!("stalled with {done} of {wanted} connections opened");
            }
            let due = match plan.per_second {
                rate if rate > 0.0 => {
                    ((begun.elapsed().as_secs_f64() * rate) as u64 + 1).min(wanted)
                }
                _ => wanted,
            };
            while started < due && started - done < plan.in_flight as u64 {
                let verify = plan.verify_every > 0 && started % plan.verify_every as u64 == 0;
                self.connect(group, started as usize, verify)
                    .with_context(|| format!("connection {started} of {wanted}"))?;
                started += 1;
            }
            self.turn(Some(Duration::from_millis(if started < wanted {
                1
            } else {
                100
            })))?;
        }
        let tally = &self.groups[group].tally;
        Ok(Opened {
            group,
            ready: tally.ready,
            lengths: tally.lengths,
            setup: Latency::from(&tally.setup),
            seconds: begun.elapsed().as_secs_f64(),
        })
    }

    /// Serves all connections until a group has received `messages` and `pings` in all since the last reset, nothing
    /// more comes for 10 s, or one of its connections fails; says what it received.
    pub fn receive(&mut self, group: usize, messages: u64, pings: u64) -> Result<Snapshot> {
        let (mut last, mut since) = ((0, 0), Instant::now());
        loop {
            let tally = &self.groups.get(group).context("no such group")?.tally;
            let now = (tally.messages, tally.pings);
            if now != last {
                (last, since) = (now, Instant::now());
            }
            let quiet = since.elapsed();
            let enough = now.0 >= messages && now.1 >= pings;
            if enough || tally.failed > 0 || quiet >= QUIET {
                return self.snapshot(group, false);
            }
            self.turn(Some(QUIET - quiet))?;
        }
    }

    /// Has all connections of a group subscribe that was held back. [`receive`](Self::receive) tells what comes of it.
    pub fn subscribe(&mut self, group: usize, since: Option<&Since>) -> Result<()> {
        let plan = self
            .groups
            .get(group)
            .context("no such group")?
            .plan
            .clone();
        let keys: Vec<usize> = self.members(group).map(|(key, _)| key).collect();
        for key in keys {
            let outcome = self.connections[key].subscribe(&plan, since);
            self.settle(key, outcome);
        }
        Ok(())
    }

    /// Closes a group with close frames and waits until the server has ended every connection.
    pub fn close(&mut self, group: usize) -> Result<()> {
        let keys: Vec<usize> = self.members(group).map(|(key, _)| key).collect();
        for key in keys {
            let outcome = self.connections[key].close();
            self.settle(key, outcome);
        }
        let begun = Instant::now();
        while self.members(group).next().is_some() {
            if begun.elapsed() > STALLED {
                bail!(
                    "the server left {} connections open after a close frame",
                    self.members(group).count()
                );
            }
            self.turn(Some(Duration::from_millis(20)))?;
        }
        Ok(())
    }

    /// Serves all connections once, waiting for at most `timeout` for something to do.
    pub fn turn(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let polled = self.poll.poll(&mut events, timeout);
        for event in &events {
            let Token(key) = event.token();
            // A connection may have ended earlier in this batch.
            let Some(connection) = self.connections.get_mut(key) else {
                continue;
            };
            let Group { plan, tally } = &mut self.groups[connection.group];
            let mut outcome = Outcome::Open;
            if connection.stage == Stage::Connecting && (event.is_writable() || event.is_error()) {
                outcome = connection.established(plan);
            }
            if outcome == Outcome::Open && event.is_readable() {
                outcome =
                    connection.readable(plan, tally, &mut self.scratch, event.is_read_closed());
            }
            self.settle(key, outcome);
        }
        self.events = events;
        match polled {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// What a group received since the last reset. `reset` starts the counters anew; sequence checks go on.
    pub fn snapshot(&mut self, group: usize, reset: bool) -> Result<Snapshot> {
        let tally = &self.groups.get(group).context("no such group")?.tally;
        let mut snapshot = Snapshot {
            connections: 0,
            messages: tally.messages,
            bytes: tally.bytes,
            fewest: u64::MAX,
            most: 0,
            lost: 0,
            reordered: 0,
            duplicated: 0,
            others: tally.others,
            pings: tally.pings,
            latency: Latency::from(&tally.delays),
            failures: tally.failures.clone(),
            failed: tally.failed,
        };
        for (_, connection) in self.members(group) {
            snapshot.connections += 1;
            snapshot.fewest = snapshot.fewest.min(connection.messages);
            snapshot.most = snapshot.most.max(connection.messages);
            if let Some(tracker) = &connection.tracker {
                snapshot.lost += tracker.lost();
                snapshot.reordered += tracker.reordered();
                snapshot.duplicated += tracker.duplicated();
            }
        }
        snapshot.fewest = snapshot.fewest.min(snapshot.most);
        if reset {
            self.groups[group].tally.reset();
            for (_, connection) in &mut self.connections {
                if connection.group == group {
                    connection.messages = 0;
                }
            }
        }
        Ok(snapshot)
    }

    fn members(&self, group: usize) -> impl Iterator<Item = (usize, &Connection)> {
        self.connections
            .iter()
            .filter(move |(_, connection)| connection.group == group)
    }

    fn connect(&mut self, group: usize, number: usize, verify: bool) -> Result<()> {
        let mut socket = TcpStream::connect(self.groups[group].plan.address)?;
        let entry = self.connections.vacant_entry();
        self.poll.registry().register(
            &mut socket,
            Token(entry.key()),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        entry.insert(Connection::new(socket, group, number, verify));
        Ok(())
    }

    fn settle(&mut self, key: usize, outcome: Outcome) {
        if outcome == Outcome::Open {
            return;
        }
        let connection = self.connections.remove(key);
        let tally = &mut self.groups[connection.group].tally;
        match outcome {
            Outcome::Failed(reason) => {
                tally.failed += 1;
                if tally.failures.len() < FAILURES_KEPT {
                    tally.failures.push(reason);
                }
            }
            Outcome::Open | Outcome::Closed => tally.closed += 1,
        }
    }
}

impl Tally {
    fn new() -> Self {
        Self {
            ready: 0,
            messages: 0,
            bytes: 0,
            others: 0,
            pings: 0,
            lengths: Lengths::default(),
            delays: delays(),
            setup: delays(),
            closed: 0,
            failed: 0,
            failures: Vec::new(),
        }
    }

    fn reset(&mut self) {
        (self.messages, self.bytes, self.others, self.pings) = (0, 0, 0, 0);
        self.delays.reset();
    }
}
