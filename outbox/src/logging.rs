//! Log lines: where they go and their form.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, fmt};

/// Own lines from `info` on, those of libraries from `warn` on; `RUST_LOG` decides where it is set.
const FILTER: &str = "warn,linnet_outbox=info";

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One object a line.
    Json,
}

/// Sends log lines to standard error.
///
/// # Errors
/// When the process has a subscriber already.
pub fn init(format: Option<LogFormat>) -> Result<(), TryInitError> {
    let terminal = std::io::stderr().is_terminal();
    let default = match terminal {
        true => LogFormat::Human,
        false => LogFormat::Json,
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER));
    let registry = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_writer(std::io::stderr);
    match format.unwrap_or(default) {
        LogFormat::Json => registry.with(lines.json()).try_init(),
        LogFormat::Human => registry.with(lines.with_ansi(terminal)).try_init(),
    }
}
