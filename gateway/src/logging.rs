//! Log lines: where they go, their form, and how many of them.

pub mod pace;

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::cli::LogFormat;

/// Changes the level while the gateway runs.
#[derive(Debug, Clone)]
pub struct LogLevel(Option<reload::Handle<EnvFilter, Registry>>);

/// Sends log lines to standard error, from `level` (`spec.telemetry.logLevel`) on.
///
/// `RUST_LOG`, where it is set and valid, decides instead of the manifest, now and later: who
/// debugs a gateway does not want to lose that with the next change of the manifest.
///
/// # Errors
/// When the process has a subscriber already.
pub fn init(format: Option<LogFormat>, level: &str) -> Result<LogLevel, TryInitError> {
    let chosen = std::env::var("RUST_LOG").ok();
    let chosen = chosen.filter(|text| !text.is_empty());
    let chosen = chosen.and_then(|text| text.parse().ok());
    let fixed = chosen.is_some();
    let (filter, handle) = reload::Layer::new(chosen.unwrap_or_else(|| filter(level)));
    let registry = tracing_subscriber::registry().with(filter);
    registry.with(lines(format)).try_init()?;
    Ok(LogLevel((!fixed).then_some(handle)))
}

impl LogLevel {
    /// Logs from `level` on.
    pub fn set(&self, level: &str) {
        let Some(handle) = &self.0 else { return };
        if let Err(error) = handle.reload(filter(level)) {
            tracing::warn!(%error, level, "the log level stays as it is");
        }
    }
}

/// The manifest's level holds for the gateway; its libraries tell their warnings only, or `debug`
/// would drown what it is meant to show.
fn filter(level: &str) -> EnvFilter {
    let others = if level == "error" { "error" } else { "warn" };
    EnvFilter::new(format!("{others},linnet_gateway={level}"))
}

fn lines<S>(format: Option<LogFormat>) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let terminal = std::io::stderr().is_terminal();
    let default = match terminal {
        true => LogFormat::Human,
        false => LogFormat::Json,
    };
    let layer = fmt::layer().with_writer(std::io::stderr);
    match format.unwrap_or(default) {
        LogFormat::Human => layer.with_ansi(terminal).with_target(false).boxed(),
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
    }
}

#[cfg(test)]
mod tests {
    use tracing::subscriber::with_default;

    use super::*;

    #[test]
    fn a_level_changes_while_lines_are_written() {
        let (layer, handle) = reload::Layer::new(filter("info"));
        let level = LogLevel(Some(handle));
        with_default(tracing_subscriber::registry().with(layer), || {
            let debug = || tracing::enabled!(target: "linnet_gateway::hub", tracing::Level::DEBUG);
            assert!(!debug());
            level.set("debug");
            assert!(debug());
            assert!(!tracing::enabled!(target: "hyper", tracing::Level::DEBUG));
            level.set("error");
            assert!(!tracing::enabled!(target: "linnet_gateway::hub", tracing::Level::WARN));
        });
    }

    #[test]
    fn a_level_that_is_fixed_stays() {
        LogLevel(None).set("trace");
    }
}
