//! The load generator, in a process of its own.

use std::{net::SocketAddr, process::Command, time::Duration};

use anyhow::{Result, bail};

use super::{Process, sibling};
use crate::{
    control::{Reply, Request},
    load::{Opened, Plan, Published, Schedule, Since, Snapshot},
    measure,
};

/// A running `linnet-bench-load`.
#[derive(Debug)]
pub struct Load {
    process: Process,
}

impl Load {
    /// Starts a load generator.
    pub fn start() -> Result<Self> {
        Ok(Self {
            process: Process::start(Command::new(sibling("linnet-bench-load")?))?,
        })
    }

    /// Starts a load generator at a priority of its own (nice(1)): 19 gives way to everything else on the same
    /// cores, a negative one comes first where that is permitted.
    pub fn start_at_priority(nice: i32) -> Result<Self> {
        let mut command = Command::new("nice");
        command
            .arg(format!("--adjustment={nice}"))
            .arg(sibling("linnet-bench-load")?);
        Ok(Self {
            process: Process::start(command)?,
        })
    }

    /// CPU time of the load generator so far.
    pub fn cpu(&self) -> Result<Duration> {
        measure::cpu_time(self.process.child.id())
    }

    /// Opens a group of connections.
    pub fn open(&mut self, plan: Plan) -> Result<Opened> {
        match self.ask(&Request::Open(plan))? {
            Reply::Opened(opened) => Ok(opened),
            other => unexpected(&other),
        }
    }

    /// Has a group subscribe that was held back; returns when all have asked.
    pub fn subscribe(&mut self, group: usize, since: Option<Since>) -> Result<()> {
        match self.ask(&Request::Subscribe { group, since })? {
            Reply::Subscribed => Ok(()),
            other => unexpected(&other),
        }
    }

    /// What a group received.
    pub fn snapshot(&mut self, group: usize, reset: bool) -> Result<Snapshot> {
        match self.ask(&Request::Snapshot { group, reset })? {
            Reply::Snapshot(snapshot) => Ok(*snapshot),
            other => unexpected(&other),
        }
    }

    /// Closes a group.
    pub fn close(&mut self, group: usize) -> Result<()> {
        match self.ask(&Request::Close { group })? {
            Reply::Closed => Ok(()),
            other => unexpected(&other),
        }
    }

    /// Publishes by a schedule and waits for the end.
    pub fn publish(
        &mut self,
        address: SocketAddr,
        room: &str,
        schedule: Schedule,
    ) -> Result<Published> {
        self.begin_publish(address, room, schedule)?;
        self.published()
    }

    /// Starts to publish; [`published`](Self::published) waits for the end.
    pub fn begin_publish(
        &mut self,
        address: SocketAddr,
        room: &str,
        schedule: Schedule,
    ) -> Result<()> {
        self.process.say(&Request::Publish {
            address,
            room: room.to_owned(),
            schedule,
        })
    }

    /// The end of what [`begin_publish`](Self::begin_publish) started.
    pub fn published(&mut self) -> Result<Published> {
        match self.process.hear()? {
            Reply::Published(published) => Ok(published),
            other => unexpected(&other),
        }
    }

    /// Waits until a group has received `messages` and `pings` in all since the last reset, or nothing more comes for
    /// 10 s, and says what it received.
    pub fn receive(&mut self, group: usize, messages: u64, pings: u64) -> Result<Snapshot> {
        let request = Request::Receive {
            group,
            messages,
            pings,
        };
        match self.ask(&request)? {
            Reply::Snapshot(snapshot) if snapshot.failed > 0 => bail!(
                "{} connections failed: {}",
                snapshot.failed,
                snapshot.failures.join("; ")
            ),
            Reply::Snapshot(snapshot) => Ok(*snapshot),
            other => unexpected(&other),
        }
    }

    /// [`receive`](Self::receive) of messages alone.
    pub fn settle(&mut self, group: usize, messages: u64) -> Result<Snapshot> {
        self.receive(group, messages, 0)
    }

    /// As [`settle`](Self::settle), but anything other than exactly `each` messages on every connection is an
    /// error: such a run proves nothing about cost.
    pub fn settle_exactly(
        &mut self,
        group: usize,
        each: u64,
        connections: u64,
    ) -> Result<Snapshot> {
        let snapshot = self.settle(group, each * connections)?;
        if (snapshot.fewest, snapshot.most, snapshot.connections) != (each, each, connections) {
            bail!(
                "{} connections received {} to {} messages, instead of {connections} with {each}",
                snapshot.connections,
                snapshot.fewest,
                snapshot.most
            );
        }
        Ok(snapshot)
    }

    fn ask(&mut self, request: &Request) -> Result<Reply> {
        self.process.say(request)?;
        self.process.hear()
    }
}

fn unexpected<T>(reply: &Reply) -> Result<T> {
    match reply {
        Reply::Failed(reason) => bail!("the load generator: {reason}"),
        other => bail!("the load generator answered {other:?}"),
    }
}
