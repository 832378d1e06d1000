//! `linnet-outbox`: publishes what services have committed.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser;
use linnet_outbox::cli::{Action, Cli, Run};
use linnet_outbox::delivery::Courier;
use linnet_outbox::gateway::{Gateway, Key};
use linnet_outbox::metrics::Metrics;
use linnet_outbox::relay::Relay;
use linnet_outbox::{SCHEMA, health, logging};
use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

fn main() -> ExitCode {
    let outcome = match Cli::parse().action {
        Action::Run(options) => run(&options),
        Action::Schema => {
            print!("{SCHEMA}");
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Run) -> anyhow::Result<()> {
    logging::init(options.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(serve(options))
}

async fn serve(options: &Run) -> anyhow::Result<()> {
    let database: PgConnectOptions = options.database_url.parse().context("--database-url")?;
    let database = database.application_name("linnet-outbox");
    let key = Key::of(&options.api_key_file)?;
    let gateway = Gateway::at(&options.gateway, key).with_context(|| {
        let url = &options.gateway;
        format!("--gateway: {url} is not http://host:port, the internal port of the gateways")
    })?;
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let listen = options.listen;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}"))?;
    println!("listening {}", listener.local_addr()?);
    let metrics = Arc::new(Metrics::default());
    let port = axum::serve(listener, health::router(Arc::clone(&metrics)));
    tokio::spawn(port.into_future());
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let _ = stop.send(true);
        // Held, so that the relay does not take the end of this task for a signal.
        std::future::pending::<()>().await;
    });
    let courier = Courier::new(gateway, options.trusted());
    tracing::info!(gateway = %options.gateway, version = env!("CARGO_PKG_VERSION"), "starts");
    Relay::new(database, courier, metrics, options.concurrency)
        .run(stopped)
        .await;
    tracing::info!("ended");
    Ok(())
}
