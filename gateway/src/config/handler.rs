//! `spec.handler`: the back end that is asked about connections and answers requests.

use std::time::Duration;

use linnet_crds::handler::{Handler as Spec, HandlerEvent};
use linnet_crds::toggle::Permission;

/// What is asked of whom, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handler {
    /// Who is asked.
    pub target: Target,
    /// Whether it is asked when somebody connects.
    pub connect: bool,
    /// Whether it is told when somebody has left.
    pub disconnect: bool,
    /// Whether it answers requests.
    pub request: bool,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Whether a client may connect when there is no answer.
    pub lets_in: bool,
    /// The Secret with the keys that sign what is sent.
    pub signing_secret: Option<String>,
}

/// Where a handler is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// At this URL.
    Http(String),
    /// Behind this subject, at the channel's broker.
    Nats(String),
}

impl Handler {
    /// Compiles a valid one: the schema lets it have exactly one target.
    #[must_use]
    pub fn compile(spec: &Spec) -> Option<Self> {
        let url = spec.url.clone().map(Target::Http);
        let target = url.or_else(|| spec.nats_subject.clone().map(Target::Nats))?;
        let has = |event: HandlerEvent| spec.events.contains(&event);
        Some(Self {
            target,
            connect: has(HandlerEvent::Connect),
            disconnect: has(HandlerEvent::Disconnect),
            request: has(HandlerEvent::Request),
            timeout: Duration::from_secs(spec.timeout_seconds.into()),
            lets_in: spec.on_failure == Permission::Allow,
            signing_secret: spec.signing_secret_name.clone(),
        })
    }
}
