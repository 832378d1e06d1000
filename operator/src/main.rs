//! `linnet-operator`: the controller of RealtimeChannels.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use http::{HeaderValue, header};
use kube::{Client, Config};
use linnet_operator::cli::{Action, Cli, Render, Run};
use linnet_operator::service::Service;
use linnet_operator::{logging, probe, render};
use linnet_telemetry::{Settings, env};
use tokio::net::TcpListener;
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

/// How the API server's log and its metrics know the operator.
const USER_AGENT: &str = concat!("linnet-operator/", env!("CARGO_PKG_VERSION"));

fn run(options: &Run) -> anyhow::Result<ExitCode> {
    let settings = telemetry(options.pod_name.as_deref());
    // The operator makes few spans, so all are recorded where nothing else is asked for.
    logging::init(options.log_format, settings.sampling.unwrap_or(1_000_000))?;
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
    runtime.block_on(serve(options, settings))
}

/// Where traces and metrics go: the environment says so, as in `env` of the chart's values.
fn telemetry(pod: Option<&str>) -> Settings {
    let attribute = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut resource = vec![attribute("service.version", env!("CARGO_PKG_VERSION"))];
    resource.extend(pod.map(|pod| attribute("service.instance.id", pod)));
    env::of_process(&env::Own {
        service: "linnet-operator".to_owned(),
        resource,
        endpoint: None,
    })
}

async fn serve(options: &Run, telemetry: Settings) -> anyhow::Result<ExitCode> {
    let mut config = Config::infer()
        .await
        .context("no API server: neither in a cluster nor is there a KUBECONFIG")?;
    let agent = (header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    config.headers.push(agent);
    let client = Client::try_from(config).context("no client of the API server")?;
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let listen = options.listen;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}"))?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let settings = options.settings();
    let namespace = settings.operator_namespace.clone();
    let service = Service {
        lease: options.lease_name.clone(),
        // Outside a cluster, the namespace of the KUBECONFIG's context.
        namespace: namespace.unwrap_or_else(|| client.default_namespace().to_owned()),
        pod: options.pod_name.clone(),
        scopes: options.scopes(),
        rollouts: usize::try_from(options.max_concurrent_rollouts).unwrap_or(usize::MAX),
        broker_gone_after: options.broker_gone_after(),
        settings,
        client,
        telemetry,
    };
    tracing::info!(scopes = ?service.scopes, %listen, version = env!("CARGO_PKG_VERSION"), "starts");
    service.run(listener, stop).await;
    Ok(ExitCode::SUCCESS)
}
