//! The command line. Every flag has an environment variable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use linnet_crds::broker::{Broker, Nats, NatsTls};
use linnet_crds::gateway::ImagePullPolicy;
use linnet_gateway::cli::LogFormat;

use crate::controller::Scope;
use crate::settings::Settings;

/// Runs fleets of Linnet gateways, one for each RealtimeChannel.
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
    /// Serves the RealtimeChannels of a cluster, or of some of its namespaces.
    Run(Run),
    /// Prints the CustomResourceDefinition as YAML.
    Crd,
    /// Prints the objects of one RealtimeChannel as YAML, without a cluster.
    Render(Render),
    /// Asks an HTTP server whether it is well; exit code 1 if not.
    Probe {
        /// Such as http://linnet-operator:8081/readyz.
        url: String,
    },
}

/// How to serve channels.
#[derive(Debug, Clone, Args)]
pub struct Run {
    /// Serve only these namespaces. Absent: all of them.
    #[arg(
        long,
        value_name = "NAMES",
        env = "LINNET_NAMESPACES",
        value_delimiter = ','
    )]
    pub namespaces: Vec<String>,

    #[command(flatten)]
    installation: Installation,

    /// Address for health and metrics.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "LINNET_LISTEN",
        default_value = "0.0.0.0:8081"
    )]
    pub listen: SocketAddr,

    /// Name of the operator's own pod. Default: the host's name.
    #[arg(long, value_name = "NAME", env = "LINNET_POD_NAME")]
    pub pod_name: Option<String>,

    /// Name of the Lease by which one of several operators is the one that acts.
    #[arg(
        long,
        value_name = "NAME",
        env = "LINNET_LEASE_NAME",
        default_value = "linnet-operator"
    )]
    pub lease_name: String,

    /// Channels whose gateways are replaced at the same time when a new release brings another default image.
    #[arg(
        long,
        value_name = "N",
        env = "LINNET_MAX_CONCURRENT_ROLLOUTS",
        default_value = "1",
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=10_000)
    )]
    pub max_concurrent_rollouts: u64,

    /// Seconds without the broker after which a deleted channel's streams are left where they are.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "LINNET_BROKER_GONE_AFTER",
        default_value = "600"
    )]
    pub broker_gone_after: u64,

    /// Form of log lines. Default: human on a terminal, else json.
    #[arg(long, value_name = "FORMAT", env = "LINNET_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// What holds for all channels.
#[derive(Debug, Clone, Args)]
struct Installation {
    /// Image of gateways whose channel names none.
    #[arg(
        long,
        value_name = "IMAGE",
        env = "LINNET_GATEWAY_IMAGE",
        default_value = concat!("linnet-gateway:", env!("CARGO_PKG_VERSION"))
    )]
    gateway_image: String,

    /// When that image is pulled. Default: as Kubernetes decides from its tag.
    #[arg(
        long,
        value_name = "POLICY",
        env = "LINNET_IMAGE_PULL_POLICY",
        ignore_case = true
    )]
    image_pull_policy: Option<PullPolicy>,

    /// First part of the names of what channels have on NATS: another for each cluster that shares one.
    #[arg(
        long,
        value_name = "PREFIX",
        env = "LINNET_SUBJECT_PREFIX",
        default_value = "linnet"
    )]
    subject_prefix: String,

    /// A NATS server of channels without spec.broker. May be given several times. Absent: they are embedded, with one
    /// gateway each.
    #[arg(
        long,
        value_name = "URL",
        env = "LINNET_DEFAULT_NATS_URL",
        value_delimiter = ','
    )]
    default_nats_url: Vec<String>,

    /// Secret with ca.crt for it, in the namespace of each channel.
    #[arg(
        long,
        value_name = "NAME",
        env = "LINNET_DEFAULT_NATS_CA_SECRET",
        requires = "default_nats_url"
    )]
    default_nats_ca_secret: Option<String>,

    /// Secret with credentials for it, in the namespace of each channel.
    #[arg(
        long,
        value_name = "NAME",
        env = "LINNET_DEFAULT_NATS_CREDENTIALS_SECRET",
        requires = "default_nats_url"
    )]
    default_nats_credentials_secret: Option<String>,

    /// Namespace of the operator's own pods.
    #[arg(long, value_name = "NAME", env = "LINNET_POD_NAMESPACE")]
    pod_namespace: Option<String>,
}

/// How to print a channel's objects.
#[derive(Debug, Clone, Args)]
pub struct Render {
    /// The manifest; - is standard input.
    #[arg(short, long, value_name = "CHANNEL.yaml")]
    pub file: PathBuf,

    #[command(flatten)]
    installation: Installation,
}

/// When an image is pulled, as Kubernetes spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PullPolicy {
    #[value(name = "Always")]
    Always,
    #[value(name = "IfNotPresent")]
    IfNotPresent,
    #[value(name = "Never")]
    Never,
}

impl Run {
    /// Where channels are served.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        let mut namespaces: Vec<_> = self
            .namespaces
            .iter()
            .map(|name| name.trim())
            .filter(|name| !name.is_empty())
            .collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        match namespaces.is_empty() {
            true => vec![Scope::Cluster],
            false => namespaces
                .into_iter()
                .map(|name| Scope::Namespace(name.to_owned()))
                .collect(),
        }
    }

    /// What holds for all channels.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.installation.settings()
    }

    /// How long the broker may be away before a deleted channel's streams are left.
    #[must_use]
    pub fn broker_gone_after(&self) -> Duration {
        Duration::from_secs(self.broker_gone_after)
    }
}

impl Render {
    /// What holds for all channels.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.installation.settings()
    }
}

impl Installation {
    fn settings(&self) -> Settings {
        let ca = self.default_nats_ca_secret.clone();
        let nats = || Nats {
            urls: self.default_nats_url.clone(),
            credentials_secret_name: self.default_nats_credentials_secret.clone(),
            tls: ca.map(|ca| NatsTls {
                ca_secret_name: Some(ca),
                cert_secret_name: None,
            }),
        };
        Settings {
            gateway_image: self.gateway_image.clone(),
            image_pull_policy: self.image_pull_policy.map(|policy| match policy {
                PullPolicy::Always => ImagePullPolicy::Always,
                PullPolicy::IfNotPresent => ImagePullPolicy::IfNotPresent,
                PullPolicy::Never => ImagePullPolicy::Never,
            }),
            subject_prefix: self.subject_prefix.clone(),
            default_broker: (!self.default_nats_url.is_empty()).then(|| Broker { nats: nats() }),
            operator_namespace: self.pod_namespace.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn run(line: &str) -> Result<Run, clap::Error> {
        let words = ["linnet-operator", "run"]
            .into_iter()
            .chain(line.split_whitespace());
        Cli::try_parse_from(words).map(|cli| match cli.action {
            Action::Run(run) => run,
            other => panic!("{other:?}"),
        })
    }

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
    fn without_flags_the_whole_cluster_is_served_and_channels_are_embedded() {
        let run = run("").unwrap();
        assert_eq!(run.scopes(), [Scope::Cluster]);
        assert_eq!(run.listen.port(), 8081);
        assert_eq!(run.lease_name, "linnet-operator");
        assert_eq!(run.broker_gone_after(), Duration::from_secs(600));
        let settings = run.settings();
        assert_eq!(settings.default_broker, None);
        assert_eq!(settings.image_pull_policy, None);
        assert_eq!(settings.subject_prefix, "linnet");
    }

    #[test]
    fn namespaces_are_a_list_and_each_is_served_once() {
        let scope = |name: &str| Scope::Namespace(name.to_owned());
        let run = run("--namespaces b,a,,b").unwrap();
        assert_eq!(run.scopes(), [scope("a"), scope("b")]);
    }

    #[test]
    fn a_default_broker_has_its_secrets() {
        let line = "--default-nats-url nats://a,nats://b --default-nats-url nats://c \
                    --default-nats-ca-secret ca --default-nats-credentials-secret creds \
                    --image-pull-policy IfNotPresent";
        let settings = run(line).unwrap().settings();
        let nats = settings.default_broker.unwrap().nats;
        assert_eq!(nats.urls, ["nats://a", "nats://b", "nats://c"]);
        assert_eq!(nats.credentials_secret_name.as_deref(), Some("creds"));
        assert_eq!(nats.tls.unwrap().ca_secret_name.as_deref(), Some("ca"));
        assert_eq!(
            settings.image_pull_policy,
            Some(ImagePullPolicy::IfNotPresent)
        );
        assert!(
            run("--default-nats-ca-secret ca").is_err(),
            "there is no server for it"
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "--max-concurrent-rollouts 0",
            "--image-pull-policy Sometimes",
            "--listen x",
            "more",
        ] {
            assert!(run(line).is_err(), "{line}");
        }
    }
}
