//! What there is to be on NATS for a channel.

use async_nats::jetstream::stream::Config;
use linnet_gateway::broker::nats::presence::link::bucket;
use linnet_gateway::broker::nats::presence::state;
use linnet_gateway::broker::nats::revocations;
use linnet_gateway::broker::nats::stream::StreamOf;
use linnet_gateway::broker::nats::subjects::Subjects;
use linnet_gateway::broker::nats::workers::{self, Wanted};
use linnet_gateway::config::Channel;

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Keeps a partition of the messages of rooms with history.
    History,
    /// Is behind the bucket with the leases of gateways.
    Leases,
    /// Is behind the bucket with revoked users.
    Revocations,
    /// Keeps what workers are to work.
    Work,
    /// Keeps what no worker could work.
    Dead,
}

/// A stream that there is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Asset {
    /// What it is for.
    pub kind: Kind,
    /// What it is made with.
    pub config: Config,
}

impl Asset {
    /// Its name on NATS.
    pub fn name(&self) -> &str {
        &self.config.name
    }
}

/// What there is to be for one channel.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Who owns it: prefix/namespace/name.
    pub owner: String,
    /// The subjects that are the channel's alone. A stream that takes in any of them is the channel's or in its way.
    pub subjects: String,
    /// The stream behind the bucket of leases, whose subjects are elsewhere.
    pub leases: String,
    /// The stream behind the bucket of revoked users, likewise.
    pub revocations: String,
    /// The stream behind the bucket of answers, likewise. Gateways make it when they need it.
    pub answers: String,
    /// The streams. None where the channel has no broker.
    pub assets: Vec<Asset>,
    /// What workers need, where a room has some: the work queue's consumers are part of it.
    pub workers: Option<Wanted>,
    /// The channel's names on NATS.
    pub(super) of: Subjects,
}

impl Plan {
    /// What `channel` needs, in an installation whose names on NATS begin with `prefix`. The streams are just those that
    /// its gateways would make with `--create-stream`.
    pub fn of(prefix: &str, channel: &Channel) -> Self {
        let history = channel.history.as_ref();
        let partitions = history.map_or(1, |history| history.partitions);
        let subjects = Subjects::new(prefix, &channel.namespace, &channel.name, partitions);
        let replicas = history.map_or(1, |history| u8::try_from(history.replicas).unwrap_or(1));
        let leases = bucket::config(&subjects, replicas, state::Config::default().lease);
        let revocations = revocations::config(&subjects, usize::from(replicas));
        let mut plan = Self {
            owner: subjects.owner(),
            subjects: format!("{prefix}.{}.{}.>", channel.namespace, channel.name),
            leases: leases.name.clone(),
            revocations: revocations.name.clone(),
            answers: format!("KV_{}", subjects.answers_bucket()),
            assets: Vec::new(),
            workers: channel.nats.as_ref().and_then(|_| Wanted::of(channel)),
            of: subjects.clone(),
        };
        if channel.nats.is_none() {
            return plan;
        }
        if let Some(history) = history {
            plan.assets.extend((0..partitions).map(|partition| Asset {
                kind: Kind::History,
                config: StreamOf::new(subjects.clone(), partition, true).config(history),
            }));
        }
        let mut add = |kind, config| plan.assets.push(Asset { kind, config });
        add(Kind::Leases, leases);
        if channel.tokens.is_some() {
            add(Kind::Revocations, revocations);
        }
        if let Some(wanted) = plan.workers {
            add(Kind::Work, workers::work(&subjects, &wanted));
            add(Kind::Dead, workers::dead(&subjects, &wanted));
        }
        plan
    }

    /// The names of all streams.
    pub fn names(&self) -> Vec<String> {
        let names = self.assets.iter().map(|asset| asset.name().to_owned());
        names.collect()
    }

    /// Whether a stream of that name is to be.
    pub fn has(&self, name: &str) -> bool {
        self.assets.iter().any(|asset| asset.name() == name)
    }
}
