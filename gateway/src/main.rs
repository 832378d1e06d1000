//! `linnet-gateway`: serves one RealtimeChannel.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use linnet_gateway::api::{Api, Counts};
use linnet_gateway::auth::{ApiAccess, Keys, Tokens};
use linnet_gateway::broker::nats::health::Health;
use linnet_gateway::cli::{Action, Cli, Serve};
use linnet_gateway::config::Channel;
use linnet_gateway::config::watch::manifest::{self, Author, LoadError, Loaded};
use linnet_gateway::config::watch::watch;
use linnet_gateway::drain::{Drained, Lifecycle, Phase, Signals, drain};
use linnet_gateway::handler;
use linnet_gateway::internal::top::look_up;
use linnet_gateway::internal::{self, GatewayMetrics, Internal, Looks, waiting};
use linnet_gateway::logging::{self, LogLevel};
use linnet_gateway::runtime::Gateway;
use linnet_gateway::transport::http::{Public, raise_file_limit, server};
use linnet_gateway::{top, traces};
use linnet_telemetry::{Exporter, env};
use tokio::net::TcpListener;
use tokio::time::sleep;

/// How long saying goodbye to other gateways may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// How long the handler may take to be told who has left.
const LAST_CALLS: Duration = Duration::from_secs(2);

/// How long what streams of the server APIs were told last may take to their sockets.
const LAST_ANSWERS: Duration = Duration::from_millis(20);

/// How long the last spans may take on their way to a collector.
const LAST_SPANS: Duration = Duration::from_secs(1);

/// Until there is a manifest that names one.
const LOG_LEVEL_WITHOUT_A_MANIFEST: &str = "info";

fn main() -> ExitCode {
    let outcome = match Cli::parse().action() {
        Action::Check(file) => check(&file),
        Action::Top(options) => top::run(&options)
            .map(|()| ExitCode::SUCCESS)
            .map_err(Into::into),
        Action::Serve(options) => serve(&options),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn check(file: &Path) -> anyhow::Result<ExitCode> {
    Ok(match manifest::load(file, Author::Person) {
        Ok(_) => {
            writeln!(std::io::stdout(), "{}: OK", file.display())?;
            ExitCode::SUCCESS
        }
        Err(error) => refuse(file, &error),
    })
}

/// Says all that is wrong with a manifest, a problem a line.
fn refuse(file: &Path, error: &LoadError) -> ExitCode {
    let name = file.display();
    match error {
        LoadError::Invalid(problems) => {
            for problem in problems.iter() {
                eprintln!("{name}: {problem}");
            }
        }
        LoadError::Read(_) => eprintln!("{name}: {error}"),
    }
    ExitCode::FAILURE
}

fn serve(options: &Serve) -> anyhow::Result<ExitCode> {
    let loaded = manifest::load(&options.channel, options.author());
    let level = match &loaded {
        Ok(loaded) => loaded.channel().log_level,
        Err(_) if options.managed => LOG_LEVEL_WITHOUT_A_MANIFEST,
        Err(error) => return Ok(refuse(&options.channel, error)),
    };
    let log_level = logging::init(options.log_format, level)?;
    // One thread for all HTTP, and this one: what it does is short, its cost per connection is the
    // least without locks and wake-ups across threads, and the cores belong to the shards.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                let (listener, _) = bind(options.internal)?;
                tokio::select! {
                    loaded = waiting::until_good(options, error, listener) => loaded?,
                    signal = signals.next() => return Ok(ExitCode::from(signal.exit_code())),
                }
            }
        };
        log_level.set(loaded.channel().log_level);
        run(options, loaded, log_level, signals).await
    })
}

async fn run(
    options: &Serve,
    loaded: Loaded,
    log_level: LogLevel,
    mut signals: Signals,
) -> anyhow::Result<ExitCode> {
    let file_limit = raise_file_limit().context("cannot raise the file limit")?;
    let (public_listener, public_address) = bind(options.listen)?;
    let (internal_listener, internal_address) = bind(options.internal)?;

    let channel = loaded.channel();
    let name: Arc<str> = options.gateway_name().into();
    let partitions = channel.history.map_or(1, |history| history.partitions);
    let health = Arc::new(Health::new(partitions));
    let tokens = Arc::new(Tokens::default());
    let keys = Keys::new(
        Arc::clone(&tokens),
        options.secrets.clone(),
        tokio::runtime::Handle::current(),
    );
    keys.configure(channel.tokens.as_ref());
    let handler = handler::Handle::new(
        handler::Names {
            namespace: channel.namespace.clone(),
            channel: channel.name.clone(),
            gateway: name.to_string(),
        },
        options.secrets.clone(),
        tokio::runtime::Handle::current(),
    );
    handler.configure(channel.handler.as_deref());
    let gateway = Gateway::start(
        Arc::clone(&channel),
        &tokens,
        Arc::clone(&name),
        options.shard_count(),
        options.nats_settings(),
        Arc::clone(&health),
        handler.clone(),
    )?;
    let lifecycle = Arc::new(Lifecycle::new());
    let public = Arc::new(Public::new(
        Arc::clone(&channel),
        Arc::clone(&tokens),
        Arc::new(gateway.shards.clone()),
        Arc::clone(&lifecycle),
        file_limit,
    ));
    if let Some(relay) = gateway.relay.clone() {
        public.relay(relay);
    }

    let access = ApiAccess::new(options.secrets.clone(), Arc::clone(&tokens));
    let api = Api::new(
        Arc::clone(&channel),
        access,
        Arc::clone(&gateway.desk),
        gateway.revoker.clone(),
        Counts {
            gateway: Arc::clone(&name),
            shards: gateway
                .shards
                .iter()
                .map(|shard| Arc::clone(shard.metrics()))
                .collect(),
            hub: Arc::clone(&gateway.hub_metrics),
        },
        gateway.answers.clone(),
    );

    let apply = {
        let api = api.clone();
        let (shards, hub) = (gateway.shards.clone(), gateway.hub.clone());
        let (public, handler) = (Arc::clone(&public), handler.clone());
        move |channel: Arc<Channel>| {
            log_level.set(channel.log_level);
            keys.configure(channel.tokens.as_ref());
            api.configure(Arc::clone(&channel));
            handler.configure(channel.handler.as_deref());
            hub.configure(Arc::clone(&channel));
            shards.configure(&channel);
            public.configure(channel);
        }
    };
    let config = watch(options.channel.clone(), options.author(), loaded, apply)?;

    let metrics = Arc::new(GatewayMetrics {
        shards: gateway
            .shards
            .iter()
            .map(|shard| Arc::clone(shard.metrics()))
            .collect(),
        hub: Arc::clone(&gateway.hub_metrics),
        http: Arc::clone(public.metrics()),
        api: Arc::clone(api.metrics()),
        tokens: Arc::clone(&tokens),
        handler: Arc::clone(handler.metrics()),
        config: Arc::clone(&config),
        broker: channel.nats.is_some().then(|| Arc::clone(&health)),
    });
    let exporter = start_exporter(&channel, &name, &metrics);
    let internal = Internal {
        name: Arc::clone(&name),
        lifecycle: Arc::clone(&lifecycle),
        config,
        public: Arc::clone(&public),
        api: api.clone(),
        shards: gateway.shards.clone(),
        top: Looks(look_up(gateway.hub.clone(), gateway.shards.clone())),
        metrics,
        broker: channel.nats.is_some().then(|| Arc::clone(&health)),
    };
    tokio::spawn(internal::serve(internal_listener, internal));
    let serving = server::serve(public_listener, Arc::clone(&public));
    tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the public port can't be served");
            std::process::exit(1);
        }
    });
    announce(&channel, &name, public_address, internal_address);
    let signal = tokio::select! {
        () = health.until_warm() => {
            lifecycle.enter(Phase::Serving);
            if channel.nats.is_some() {
                tracing::info!("the broker is there: clients may come");
            }
            signals.next().await
        }
        signal = signals.next() => signal,
    };
    let window = options.drain_window().unwrap_or(channel.drain);
    let connections = public.connections();
    tracing::info!(
        ?signal,
        connections,
        window_seconds = window.as_secs(),
        "draining"
    );
    if let Some(presence) = &gateway.presence {
        presence.drain();
    }
    let drained = drain(
        &lifecycle,
        window,
        |window| gateway.shards.drain(window),
        || public.connections() + api.streams(),
        signals.next(),
    )
    .await;
    // What the handler is not told by then it is told never.
    let _ = tokio::time::timeout(LAST_CALLS, handler.idle()).await;
    sleep(LAST_ANSWERS).await;
    if let Some(presence) = &gateway.presence {
        presence.goodbye();
        // One that can't be sent is noticed by the lease.
        let _ = tokio::time::timeout(GOODBYE, presence.ended()).await;
    }
    if let Some(exporter) = exporter {
        exporter.end(LAST_SPANS);
    }
    Ok(match drained {
        Drained::Empty => {
            tracing::info!("drained: all connections are gone");
            ExitCode::SUCCESS
        }
        Drained::OutOfTime(connections) => {
            tracing::warn!(connections, "drained: the window is over");
            ExitCode::SUCCESS
        }
        Drained::Interrupted(signal) => {
            tracing::warn!(?signal, "ended by a second signal");
            ExitCode::from(signal.exit_code())
        }
    })
}

/// Sends traces and metrics where the manifest or the environment names a collector.
fn start_exporter(
    channel: &Channel,
    name: &str,
    metrics: &Arc<GatewayMetrics>,
) -> Option<Exporter> {
    let attribute = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let settings = env::of_process(&env::Own {
        service: "linnet-gateway".to_owned(),
        resource: vec![
            attribute("service.version", env!("CARGO_PKG_VERSION")),
            attribute("service.namespace", &channel.namespace),
            attribute("service.instance.id", name),
            attribute("linnet.channel", &channel.name),
        ],
        endpoint: channel.otlp_endpoint.clone(),
    });
    traces::decide_by_environment(&settings);
    let metrics = Arc::clone(metrics);
    Exporter::of_process(settings, move || metrics.text().unwrap_or_default())
}

fn bind(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = server::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Tells programs on standard output, and people in the log, where the gateway is.
fn announce(channel: &Channel, gateway: &str, public: SocketAddr, internal: SocketAddr) {
    let mut out = std::io::stdout();
    // A gateway whose output nobody reads serves all the same.
    let _ = writeln!(out, "listening public={public} internal={internal}");
    let _ = out.flush();
    let local = public.ip().is_unspecified() || public.ip().is_loopback();
    let host = match local {
        true => format!("localhost:{}", public.port()),
        false => public.to_string(),
    };
    let (name, path) = (channel.name.as_str(), channel.path.as_str());
    match channel.console {
        true => tracing::info!(channel = name, gateway, %internal, "open http://{host}{path}"),
        false => {
            tracing::info!(channel = name, gateway, %internal, "clients connect to ws://{host}{path}ws");
        }
    }
}
