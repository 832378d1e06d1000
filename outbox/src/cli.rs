//! The command line. Every flag has an environment variable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand};
use http::Uri;

use crate::logging::LogFormat;

/// Publishes what services have committed to a table of PostgreSQL to rooms of a Linnet channel.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Publishes rows as they come, until it is told to end.
    Run(Run),
    /// Prints the SQL that makes the tables.
    Schema,
}

/// How to publish.
#[derive(Debug, Clone, Args)]
pub struct Run {
    /// The database, such as postgres://user:password@host/name. What it does not say, the variables of libpq do (PGHOST,
    /// PGUSER, PGPASSFILE…).
    #[arg(
        long,
        value_name = "URL",
        env = "LINNET_DATABASE_URL",
        hide_env_values = true
    )]
    pub database_url: String,

    /// The gateways' internal port, such as http://chat-pods:9090.
    #[arg(long, value_name = "URL", env = "LINNET_GATEWAY")]
    pub gateway: Uri,

    /// File whose first line is an API key of the channel with the scopes publish and history. It is read again when a
    /// gateway does not take the key.
    #[arg(long, value_name = "FILE", env = "LINNET_API_KEY_FILE")]
    pub api_key_file: PathBuf,

    /// The channel's history.deduplicationSeconds: what may have been sent longer ago is looked for in the room first.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "LINNET_DEDUPLICATION_SECONDS",
        default_value = "120",
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=86_400)
    )]
    pub deduplication_seconds: u64,

    /// Publishes that may be under way at the same time, each for another aggregate.
    #[arg(
        long,
        value_name = "N",
        env = "LINNET_CONCURRENCY",
        default_value = "64",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=4_096)
    )]
    pub concurrency: usize,

    /// Address for health and metrics.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "LINNET_LISTEN",
        default_value = "0.0.0.0:8082"
    )]
    pub listen: SocketAddr,

    /// Form of log lines. Default: human on a terminal, else json.
    #[arg(long, value_name = "FORMAT", env = "LINNET_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
}

impl Run {
    /// How long after a row may have been sent its room certainly knows its id: half of the time that it promises, as
    /// clocks differ and requests take their time.
    #[must_use]
    pub fn trusted(&self) -> Duration {
        Duration::from_secs(self.deduplication_seconds) / 2
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound_and_every_flag_has_a_variable() {
        let command = Cli::command();
        command.clone().debug_assert();
        let run = command.find_subcommand("run").unwrap();
        for arg in run.get_arguments() {
            let name = arg.get_id().as_str();
            if ["help", "version"].contains(&name) {
                continue;
            }
            let variable = format!("LINNET_{}", name.to_uppercase());
            assert_eq!(arg.get_env().unwrap().to_str(), Some(variable.as_str()));
        }
    }

    #[test]
    fn a_room_is_trusted_for_half_of_its_window() {
        let line = "linnet-outbox run --database-url x --gateway http://g --api-key-file f";
        let words = line.split_whitespace();
        let Action::Run(run) = Cli::try_parse_from(words).unwrap().action else {
            panic!("{line}")
        };
        assert_eq!(run.trusted(), Duration::from_secs(60));
        let none = format!("{line} --deduplication-seconds 0");
        assert!(Cli::try_parse_from(none.split_whitespace()).is_err());
    }
}
