//! `linnet-operator`: the controller of RealtimeChannels.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser;
use kube::Client;
use linnet_operator::cli::{Action, Cli, Render, Run};
use linnet_operator::controller::{self, Context};
use linnet_operator::{logging, probe, render};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let outcome = match Cli::parse().action {
        Action::Run(options) => run(&options),
        Action::Crd => crd(),
        Action::Render(options) => print_children(&options),
        Action::Probe { url } => ask(&url),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn crd() -> anyhow::Result<ExitCode> {
    print!("{}", linnet_crds::schema::yaml());
    Ok(ExitCode::SUCCESS)
}

fn print_children(options: &Render) -> anyhow::Result<ExitCode> {
    let file = options.file.display();
    let yaml = read(&options.file).with_context(|| format!("cannot read {file}"))?;
    match render::render(&yaml, &options.settings()) {
        Ok(children) => {
            for child in children {
                print!("---\n{}", serde_saphyr::to_string(&child)?);
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            for line in error.to_string().lines() {
                eprintln!("{file}: {line}");
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

fn read(file: &Path) -> std::io::Result<String> {
    if file.as_os_str() != "-" {
        return std::fs::read_to_string(file);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

fn ask(url: &str) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(probe::probe(url))?;
    Ok(ExitCode::SUCCESS)
}

fn run(options: &Run) -> anyhow::Result<ExitCode> {
    logging::init(options.log_format)?;
    // The API server's client and that of NATS are to use the same.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        anyhow::bail!("the process has a provider of cryptography already");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(serve(options))
}

async fn serve(options: &Run) -> anyhow::Result<ExitCode> {
    let client = Client::try_default()
        .await
        .context("no API server: neither in a cluster nor is there a KUBECONFIG")?;
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stops: passes that have begun are brought to their end");
    };
    let context = Context::new(client, options.settings(), options.pod_name.clone());
    tracing::info!(scopes = ?options.scopes(), version = env!("CARGO_PKG_VERSION"), "serves channels");
    controller::run(Arc::new(context), options.scopes(), stop).await;
    Ok(ExitCode::SUCCESS)
}
