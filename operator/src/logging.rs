//! Log lines: where they go and their form.

use std::io::IsTerminal;

use linnet_gateway::cli::LogFormat;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, fmt};

/// Own lines from `info` on, those of libraries from `warn` on; `RUST_LOG` decides where it is set.
const FILTER: &str = "warn,linnet_operator=info";

/// Sends log lines to standard error, and `sampled` in a million of the passes' spans to the exporter, where there is one.
///
/// # Errors
/// When the process has a subscriber already.
pub fn init(format: Option<LogFormat>, sampled: u32) -> Result<(), TryInitError> {
    let terminal = std::io::stderr().is_terminal();
    let default = match terminal {
        true => LogFormat::Human,
        false => LogFormat::Json,
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER));
    let spans = linnet_telemetry::layer::layer(sampled);
    let registry = tracing_subscriber::registry().with(filter).with(spans);
    let lines = fmt::layer().with_writer(std::io::stderr);
    match format.unwrap_or(default) {
        LogFormat::Json => registry.with(lines.json()).try_init(),
        LogFormat::Human => registry.with(lines.with_ansi(terminal)).try_init(),
    }
}
