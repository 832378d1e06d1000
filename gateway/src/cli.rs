//! The command line. Every flag has an environment variable.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::broker::nats::Settings;
use crate::config::watch::manifest::Author;
use crate::top;

/// Serves one RealtimeChannel.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    // Required unless there is a subcommand: clap sees to it.
    #[command(flatten)]
    serve: Option<Serve>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say all that is wrong with a manifest; exit code 1 if anything is.
    Check {
        /// The manifest.
        #[arg(value_name = "CHANNEL.yaml")]
        channel: PathBuf,
    },
    /// Show gateways in the terminal: connections, rates, latency, the largest rooms and users, slow clients.
    Top {
        /// Internal ports, as HOST:PORT. A name with several addresses, such as a channel's headless Service, is all its
        /// gateways.
        #[arg(value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
        gateways: Vec<String>,
        /// Seconds between two looks.
        #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = RangedU64ValueParser::<u64>::new().range(1..=3600))]
        every: u64,
        /// How many rooms, users and clients.
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = RangedU64ValueParser::<u64>::new().range(1..=1000))]
        most: u64,
        /// One picture as text, as where the output is no terminal.
        #[arg(long)]
        once: bool,
        /// File whose first line is an API key with the scope inspect: gateways on other machines ask for one before they
        /// name rooms and users.
        #[arg(long, value_name = "FILE", env = "LINNET_KEY_FILE")]
        key_file: Option<PathBuf>,
    },
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Action {
    /// To say all that is wrong with this manifest.
    Check(PathBuf),
    /// To show gateways.
    Top(top::Options),
    /// To serve a channel.
    Serve(Serve),
}

/// How to serve a channel.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// The manifest of the channel; changes are applied while it is served.
    #[arg(value_name = "CHANNEL.yaml", env = "LINNET_CHANNEL")]
    pub channel: PathBuf,

    /// Address for clients.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "LINNET_LISTEN",
        default_value = "0.0.0.0:8080"
    )]
    pub listen: SocketAddr,

    /// Address for health, status and metrics. It has no authentication: keep it private.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "LINNET_INTERNAL",
        default_value = "127.0.0.1:9090"
    )]
    pub internal: SocketAddr,

    /// Folder with the Secrets that the manifest names, as <secret>/<key>.
    #[arg(long, value_name = "DIR", env = "LINNET_SECRETS")]
    pub secrets: Option<PathBuf>,

    /// First part of the names of what the channel has on NATS; the same for all gateways of a cluster.
    #[arg(
        long,
        value_name = "PREFIX",
        env = "LINNET_SUBJECT_PREFIX",
        default_value = "linnet"
    )]
    pub subject_prefix: String,

    /// Make the channel's streams on NATS where they are missing, and keep their limits as the manifest says. In a
    /// cluster the operator does.
    #[arg(long, env = "LINNET_CREATE_STREAM")]
    pub create_stream: bool,

    /// The operator writes the manifest: fields that this version does not know are warnings, and a manifest that can't
    /// be served at the start is waited out, unready.
    #[arg(long, env = "LINNET_MANAGED")]
    pub managed: bool,

    /// Name of this gateway, told to clients. Default: the host's name.
    #[arg(long, value_name = "NAME", env = "LINNET_NAME", value_parser = gateway_name)]
    pub name: Option<String>,

    /// Seconds over which a stopping gateway moves its connections. Overrides
    /// spec.rollout.drainSeconds.
    #[arg(long, value_name = "SECONDS", env = "LINNET_DRAIN", value_parser = RangedU64ValueParser::<u64>::new().range(0..=3600))]
    pub drain: Option<u64>,

    /// Form of log lines. Default: human on a terminal, else json.
    #[arg(long, value_name = "FORMAT", env = "LINNET_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,

    /// Event loops that own connections. Default: one per core.
    #[arg(long, value_name = "N", env = "LINNET_SHARDS", value_parser = RangedU64ValueParser::<u64>::new().range(1..=1024))]
    pub shards: Option<u64>,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Human,
}

impl Cli {
    /// What is to be done.
    #[must_use]
    pub fn action(self) -> Action {
        match (self.command, self.serve) {
            (Some(Command::Check { channel }), _) => Action::Check(channel),
            (
                Some(Command::Top {
                    gateways,
                    every,
                    most,
                    once,
                    key_file,
                }),
                _,
            ) => Action::Top(top::Options {
                gateways,
                every: Duration::from_secs(every),
                most: usize::try_from(most).unwrap_or(usize::MAX),
                once,
                key_file,
            }),
            (None, Some(serve)) => Action::Serve(serve),
            (None, None) => unreachable!("clap asks for the manifest where there is no subcommand"),
        }
    }
}

impl Serve {
    /// The gateway's name: the flag, else the host's name.
    #[must_use]
    pub fn gateway_name(&self) -> String {
        let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let given = self.name.clone().or_else(host);
        let name = given.or_else(|| std::env::var("HOSTNAME").ok());
        name.and_then(|name| gateway_name(name.trim()).ok())
            .unwrap_or_else(|| "gateway".into())
    }

    /// Who writes the manifest.
    #[must_use]
    pub fn author(&self) -> Author {
        match self.managed {
            true => Author::Operator,
            false => Author::Person,
        }
    }

    /// The drain window, where the flag overrides the manifest's.
    #[must_use]
    pub fn drain_window(&self) -> Option<Duration> {
        self.drain.map(Duration::from_secs)
    }

    /// How this gateway uses NATS, where the manifest names it.
    #[must_use]
    pub fn nats_settings(&self) -> Settings {
        Settings {
            prefix: self.subject_prefix.clone(),
            gateway: self.gateway_name(),
            secrets: self.secrets.clone(),
            create_stream: self.create_stream,
        }
    }

    /// How many event loops to run.
    #[must_use]
    pub fn shard_count(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.shards
            .map_or_else(cores, |shards| usize::try_from(shards).unwrap_or(1))
    }
}

/// A name goes into every greeting and into logs, so it is short and printable.
fn gateway_name(name: &str) -> Result<String, &'static str> {
    let valid = (1..=253).contains(&name.len()) && !name.contains(char::is_control);
    valid
        .then(|| name.to_owned())
        .ok_or("a name has 1 to 253 bytes without control characters")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Action, clap::Error> {
        let words = std::iter::once("linnet-gateway").chain(line.split_whitespace());
        Cli::try_parse_from(words).map(Cli::action)
    }

    fn serve(line: &str) -> Serve {
        match parse(line).unwrap() {
            Action::Serve(serve) => serve,
            _ => panic!("{line} serves"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_manifest_alone_is_served_with_the_defaults() {
        let serve = serve("chat.yaml");
        assert_eq!(serve.channel, PathBuf::from("chat.yaml"));
        assert_eq!(serve.listen.to_string(), "0.0.0.0:8080");
        assert_eq!(serve.internal.to_string(), "127.0.0.1:9090");
        assert_eq!(serve.drain_window(), None);
        assert!(serve.shard_count() >= 1);
        assert!(!serve.gateway_name().is_empty());
    }

    #[test]
    fn flags_stand_on_either_side_of_the_manifest() {
        let serve = serve(
            "--listen 127.0.0.1:0 chat.yaml --internal [::1]:1 --secrets /s --name a \
             --drain 0 --log-format json --shards 3",
        );
        assert_eq!(serve.listen.port(), 0);
        assert!(serve.internal.is_ipv6());
        assert_eq!(serve.secrets, Some("/s".into()));
        assert_eq!(serve.gateway_name(), "a");
        assert_eq!(serve.drain_window(), Some(Duration::ZERO));
        assert_eq!(serve.log_format, Some(LogFormat::Json));
        assert_eq!(serve.shard_count(), 3);
    }

    #[test]
    fn check_takes_a_manifest_and_no_flags() {
        let action = parse("check chat.yaml").unwrap();
        assert!(matches!(action, Action::Check(file) if file.as_os_str() == "chat.yaml"));
        assert!(parse("check").is_err());
        assert!(parse("check chat.yaml --shards 2").is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "",
            "chat.yaml --listen here",
            "chat.yaml --drain -1",
            "chat.yaml --drain 3601",
            "chat.yaml --shards 0",
            "chat.yaml --log-format xml",
            "chat.yaml more.yaml",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn every_flag_has_a_variable() {
        for arg in Cli::command().get_arguments() {
            let name = arg.get_id().as_str();
            if ["help", "version"].contains(&name) {
                continue;
            }
            let variable = format!("LINNET_{}", name.to_uppercase());
            assert_eq!(arg.get_env().unwrap().to_str(), Some(variable.as_str()));
        }
    }
}
