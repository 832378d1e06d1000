//! What is measured, one file each. Every scenario takes [`Settings`] and gives a [`Report`](crate::report::Report).

pub mod api;
pub mod connect;
pub mod fairness;
pub mod fanout;
pub mod flood;
pub mod idle;
pub mod manifest;
pub mod memory;
mod nats;
pub mod nats_fanout;
pub mod nats_foreign;
pub mod nats_latency;
pub mod nats_publish;
pub mod nats_resume;
pub mod nats_rooms;
pub mod nats_stream;
pub mod operator;
pub mod outbox;
pub mod security;
mod security_refusals;
mod security_rules;
mod security_tokens;
pub mod socketio;
pub mod telemetry;
mod telemetry_churn;
mod telemetry_collector;
mod telemetry_fan_out;
mod telemetry_scrape;

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{process::Gateway, report::Report};

/// How to measure.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The gateway's binary.
    pub gateway: PathBuf,
    /// The operator's binary; the one beside this binary where there is none.
    pub operator: Option<PathBuf>,
    /// Further arguments of the gateway.
    pub gateway_arguments: Vec<String>,
    /// Interleaved repetitions.
    pub pairs: usize,
    /// Small counts and short windows: shows that everything works, and nothing about speed.
    pub quick: bool,
}

impl Settings {
    /// `full`, or `quick` in quick mode.
    fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    fn start_gateway(&self, manifest: &str) -> Result<Gateway> {
        self.start_gateway_in(manifest, &[])
    }

    fn start_gateway_in(&self, manifest: &str, variables: &[(&str, &str)]) -> Result<Gateway> {
        Gateway::start_in(&self.gateway, manifest, &self.gateway_arguments, variables)
    }

    /// How many shards the gateways have: as told by their arguments, else one a core.
    fn shards(&self) -> Result<usize> {
        let told = self
            .gateway_arguments
            .iter()
            .find_map(|argument| argument.strip_prefix("--shards="));
        match told {
            Some(count) => count
                .parse()
                .with_context(|| format!("--gateway-argument=--shards={count}: expected a number")),
            None => Ok(std::thread::available_parallelism()?.get()),
        }
    }

    /// Starts a gateway that meets others on NATS, and waits until it may take clients.
    fn start_gateway_on_nats(&self, manifest: &str, name: &str) -> Result<Gateway> {
        let mut arguments = vec!["--create-stream".to_owned(), format!("--name={name}")];
        arguments.extend_from_slice(&self.gateway_arguments);
        let gateway = Gateway::start(&self.gateway, manifest, &arguments)?;
        gateway.ready()?;
        Ok(gateway)
    }
}

/// A scenario: its name and how it is run.
pub type Scenario = (&'static str, fn(&Settings) -> Result<Report>);

/// The scenarios that need nothing else, in the order in which they are run.
pub const ALL: [Scenario; 6] = [
    ("fanout", fanout::run),
    ("memory", memory::run),
    ("connect", connect::run),
    ("flood10k", flood::run),
    ("idle", idle::run),
    ("fairness", fairness::run),
];

/// Scenarios that are run where they are named; `socketio` needs Node, `outbox` PostgreSQL and a `nats-server`.
pub const MORE: [Scenario; 4] = [
    ("socketio", socketio::run),
    ("telemetry", telemetry::run),
    ("api", api::run),
    ("outbox", outbox::run),
];

/// The scenarios that need a `nats-server`; run where they are named.
pub const NATS: [Scenario; 7] = [
    ("nats-latency", nats_latency::run),
    ("nats-publish", nats_publish::run),
    ("nats-foreign", nats_foreign::run),
    ("nats-resume", nats_resume::run),
    ("nats-fanout", nats_fanout::run),
    ("nats-rooms", nats_rooms::run),
    ("nats-stream", nats_stream::run),
];

/// The scenarios in which the gateway refuses; run where they are named.
pub const SECURITY: [Scenario; 1] = [("security", security::run)];

/// The scenarios that need a cluster; run where they are named, in its network.
pub const CLUSTER: [Scenario; 1] = [("operator", operator::run)];

/// Tells a person who waits what is going on.
fn progress(what: &str) {
    eprintln!("  {what}");
}
