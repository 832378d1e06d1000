//! Runs benchmarks and reports them; `bench/run` builds everything first.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;
use linnet_bench::{
    measure, process,
    scenarios::{self, Scenario, Settings},
};

/// Prints ratios against references in the same run and writes them with a plot.
#[derive(Parser)]
struct Arguments {
    /// fanout, memory, connect, flood10k, idle, fairness; all of them where none is named. By name only: security,
    /// telemetry (ten pairs), api; with Node: socketio; with a nats-server: nats-latency, nats-publish, nats-foreign,
    /// nats-resume, nats-fanout, nats-rooms, nats-stream; with PostgreSQL too: outbox. This one needs a cluster: operator.
    names: Vec<String>,
    /// Small counts: shows that everything works, and nothing about speed.
    #[arg(long)]
    quick: bool,
    /// Interleaved repetitions (5; 1 where quick).
    #[arg(long)]
    pairs: Option<usize>,
    /// The gateway's binary; the one beside this binary where not given.
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// The operator's binary; the one beside this binary where not given.
    #[arg(long)]
    operator: Option<PathBuf>,
    /// A further argument for the gateway, such as --gateway-argument=--shards=1.
    #[arg(long = "gateway-argument")]
    gateway_arguments: Vec<String>,
    /// Folder for the results; bench/results where not given, and none where quick.
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let chosen = choose(&arguments.names)?;
    let settings = Settings {
        gateway: match arguments.gateway {
            Some(path) => path,
            None => process::sibling("linnet-gateway")?,
        },
        operator: arguments.operator,
        gateway_arguments: arguments.gateway_arguments,
        pairs: arguments
            .pairs
            .unwrap_or(if arguments.quick { 1 } else { 5 })
            .max(1),
        quick: arguments.quick,
    };
    // Children inherit the limit; the gateway has to take 10,000 connections.
    let files = measure::raise_file_limit()?;
    if !settings.quick && files < 11_000 {
        bail!("10,000 connections need a limit of 11,000 open files; it is {files} (ulimit -Hn)");
    }
    let kept = (!settings.quick).then(|| PathBuf::from("bench/results"));
    let out = arguments.out.or(kept);
    for (name, run) in chosen {
        eprintln!("{name}");
        let mut report = run(&settings).with_context(|| format!("benchmark {name}"))?;
        report.quick = settings.quick;
        println!("{}", report.to_markdown());
        if let Some(out) = &out {
            report.write(out)?;
        }
    }
    Ok(())
}

fn choose(names: &[String]) -> Result<Vec<Scenario>> {
    if names.is_empty() {
        return Ok(scenarios::ALL.to_vec());
    }
    let find = |name: &String| {
        scenarios::ALL
            .into_iter()
            .chain(scenarios::SECURITY)
            .chain(scenarios::MORE)
            .chain(scenarios::NATS)
            .chain(scenarios::CLUSTER)
            .find(|(known, _)| known == name)
            .with_context(|| {
                let known: Vec<&str> = scenarios::ALL
                    .iter()
                    .chain(&scenarios::SECURITY)
                    .chain(&scenarios::MORE)
                    .chain(&scenarios::NATS)
                    .chain(&scenarios::CLUSTER)
                    .map(|(name, _)| *name)
                    .collect();
                format!(
                    "no benchmark is called {name}; there are {}",
                    known.join(", ")
                )
            })
    };
    names.iter().map(find).collect()
}
