//! The channel as the gateway uses it: compiled once from a manifest, shared, replaced whole when the file changes.

pub mod document;
pub mod handler;
pub mod limits;
pub mod pattern;
mod projection;
pub mod rules;
pub mod watch;

use std::sync::Arc;
use std::time::Duration;

use linnet_crds::RealtimeChannel;
pub use linnet_crds::broker::Nats;
pub use linnet_crds::history::Storage;
use linnet_crds::toggle::Permission;
use linnet_crds::transports::Compression;

pub use handler::Handler;
pub use limits::Limits;
pub use rules::{Access, PresenceMode, Rule, Rules};

/// One channel, ready to serve.
#[derive(Debug)]
pub struct Channel {
    /// The manifest's `metadata.name`.
    pub name: String,
    /// The manifest's `metadata.namespace`; `default` where it has none, as in Kubernetes.
    pub namespace: String,
    /// What connects the gateways; `None`: there is one, with the embedded broker.
    pub nats: Option<Nats>,
    /// What is allowed in which room.
    pub rules: Rules,
    /// Bounds on clients and on the gateway as a whole.
    pub limits: Limits,
    /// How dead connections are found.
    pub heartbeat: Heartbeat,
    /// How many messages rooms keep; `None` where the channel has no history.
    pub history: Option<History>,
    /// How workers share what is published to rooms that have them.
    pub workers: Workers,
    /// Window over which a stopping gateway moves its connections.
    pub drain: Duration,
    /// Whether Socket.IO is served.
    pub socket_io: bool,
    /// Whether permessage-deflate is negotiated.
    pub compression: bool,
    /// Whether streams of events are served.
    pub server_sent_events: bool,
    /// Public path prefix; begins and ends with `/`.
    pub path: String,
    /// Whether the console page is served.
    pub console: bool,
    /// Whether a client without a token gets a session.
    pub anonymous: bool,
    /// Which tokens are taken; `None`: none.
    pub tokens: Option<crate::auth::Policy>,
    /// The Secret with the keys of the server APIs.
    pub api_key_secret: Option<String>,
    /// Whether `?token=` is taken.
    pub query_token: bool,
    /// Origins that browsers may come from; empty: the Origin's host and port must equal Host's.
    pub allowed_origins: Vec<String>,
    /// Networks of proxies that are believed when they tell whom they speak for.
    pub trusted_proxies: Vec<String>,
    /// Least severe level that is logged.
    pub log_level: &'static str,
    /// The back end that is asked about connections and answers requests.
    pub handler: Option<Arc<Handler>>,
    /// Which connections are traced.
    pub telemetry: Telemetry,
    /// Where traces and metrics go; taken up at the start.
    pub otlp_endpoint: Option<String>,
}

/// `spec.telemetry`, as far as it changes live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Telemetry {
    /// Connections of a million that are traced.
    pub sampling: u32,
    /// Whether a client's trace is the parent of what it asks for, or only linked.
    pub trust_clients: bool,
}

/// `spec.heartbeat`.
#[derive(Debug, Clone, Copy)]
pub struct Heartbeat {
    /// Silence after which the server pings.
    pub interval: Duration,
    /// How long the answer may take.
    pub timeout: Duration,
}

/// `spec.history`, as far as a gateway acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// Messages that a room keeps at most.
    pub max_messages_per_room: usize,
    /// Age at which a message goes.
    pub max_age: Duration,
    /// For how long a `message_id` is remembered.
    pub deduplication: Duration,
    /// Where a broker with a store keeps messages.
    pub storage: Storage,
    /// Copies that it keeps.
    pub replicas: usize,
    /// Stores that rooms are spread over.
    pub partitions: u16,
}

/// `spec.workers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    /// Parts that rooms are spread over, each worked by one worker at a time.
    pub partitions: u16,
    /// How long a worker has for one message.
    pub acknowledge: Duration,
    /// How often a message is tried.
    pub max_deliveries: u32,
}

impl Channel {
    /// Compiles a valid manifest.
    pub fn compile(manifest: &RealtimeChannel) -> Self {
        let spec = &manifest.spec;
        let path = spec.expose.path.trim_matches('/');
        Self {
            name: manifest.metadata.name.clone().unwrap_or_default(),
            namespace: manifest
                .metadata
                .namespace
                .clone()
                .unwrap_or_else(|| "default".into()),
            nats: spec.broker.as_ref().map(|broker| broker.nats.clone()),
            rules: Rules::compile(&spec.rooms, spec.history.is_some()),
            limits: Limits::compile(&spec.limits),
            heartbeat: Heartbeat {
                interval: Duration::from_secs(spec.heartbeat.interval_seconds.into()),
                timeout: Duration::from_secs(spec.heartbeat.timeout_seconds.into()),
            },
            history: spec.history.as_ref().map(|history| History {
                max_messages_per_room: history.max_messages_per_room as usize,
                max_age: Duration::from_secs(history.max_age_seconds.into()),
                deduplication: Duration::from_secs(history.deduplication_seconds.into()),
                storage: history.storage,
                replicas: history.replicas as usize,
                partitions: u16::try_from(history.partitions).unwrap_or(u16::MAX),
            }),
            workers: Workers {
                partitions: u16::try_from(spec.workers.partitions).unwrap_or(u16::MAX),
                acknowledge: Duration::from_secs(spec.workers.acknowledge_seconds.into()),
                max_deliveries: spec.workers.max_deliveries,
            },
            drain: Duration::from_secs(spec.rollout.drain_seconds.into()),
            socket_io: spec.transports.socket_io.mode.is_enabled(),
            compression: spec.transports.web_socket.compression == Compression::PerMessage,
            server_sent_events: spec.transports.server_sent_events.mode.is_enabled(),
            path: if path.is_empty() {
                "/".into()
            } else {
                format!("/{path}/")
            },
            console: spec.console.is_enabled(),
            anonymous: spec.authentication.anonymous == Permission::Allow,
            tokens: {
                let jwt = spec.authentication.jwt.as_ref();
                jwt.and_then(crate::auth::Policy::compile)
            },
            api_key_secret: spec.authentication.api_key_secret_name.clone(),
            query_token: spec.authentication.query_token == Permission::Allow,
            allowed_origins: spec.authentication.allowed_origins.clone(),
            trusted_proxies: spec.authentication.trusted_proxies.clone(),
            log_level: spec.telemetry.log_level.as_str(),
            handler: {
                let handler = spec.handler.as_ref();
                handler.and_then(Handler::compile).map(Arc::new)
            },
            telemetry: Telemetry {
                sampling: spec.telemetry.sampling_rate_per_million,
                trust_clients: spec.telemetry.trust_client_traces == Permission::Allow,
            },
            otlp_endpoint: spec.telemetry.otlp_endpoint.clone(),
        }
    }
}
