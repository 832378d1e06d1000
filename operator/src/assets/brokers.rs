//! Connections to NATS. Channels that reach the same servers in the same way share one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::{Context, ContextBuilder};
use async_nats::{Client, ConnectErrorKind, Event, ServerError};
use linnet_crds::broker::Nats;
use linnet_gateway::broker::nats::credentials::{Credentials, CredentialsError, Fingerprint};
use tokio::time::{Instant, timeout};

/// How long a connection may take until it stands.
const CONNECT: Duration = Duration::from_secs(4);
/// How long JetStream has to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a failure is an answer for the next who asks: a thousand channels of one broker that is down must not
/// wait for it one after another.
const FRESH: Duration = Duration::from_secs(5);
/// After this time unused a connection is closed.
const IDLE: Duration = Duration::from_secs(120);

/// The Secrets that a broker's specification names: keys by Secret.
pub type Secrets = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

/// Why a broker can't be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// The Secrets can't be used: what to change is said.
    #[error("{0}")]
    Credentials(String),
    /// The credentials are not accepted.
    #[error("NATS refuses the credentials: {0}")]
    Unauthorized(String),
    /// Nobody answers, or not as NATS does.
    #[error("NATS can't be reached at {urls}: {why}")]
    Unreachable {
        /// Where.
        urls: String,
        /// Why.
        why: String,
    },
}

impl From<CredentialsError> for BrokerError {
    fn from(error: CredentialsError) -> Self {
        Self::Credentials(error.to_string())
    }
}

/// Everything by which one connection differs from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    urls: Vec<String>,
    tls: bool,
    fingerprint: Fingerprint,
}

/// A connection or what came of the last try.
#[derive(Debug, Default)]
struct Slot {
    open: Option<(Client, Denials)>,
    failed: Option<(Instant, BrokerError)>,
}

/// The last permission that the server denied: the request that it concerned only times out.
#[derive(Debug, Clone, Default)]
pub(super) struct Denials(Arc<Mutex<Option<String>>>);

impl Denials {
    fn hear(&self, event: &Event) {
        if let Event::ServerError(ServerError::Other(text)) = event
            && text.to_lowercase().starts_with("permissions violation")
        {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.clone());
        }
    }

    /// It, if it is about a request with this subject. Takes it.
    pub fn about(&self, subject: &str) -> Option<String> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.take_if(|text| text.contains(subject))
    }
}

/// JetStream of one broker.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Asks it.
    pub(super) jetstream: Context,
    /// What it denied.
    pub(super) denials: Denials,
}

/// Used at some time, and what it is.
type Entry = (Instant, Arc<tokio::sync::Mutex<Slot>>);

/// All connections.
#[derive(Debug, Default)]
pub struct Brokers(Mutex<HashMap<Key, Entry>>);

impl Brokers {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// JetStream on a connection that stands.
    ///
    /// # Errors
    /// When there is none to be had within a few seconds.
    pub async fn get(&self, nats: &Nats, secrets: &Secrets) -> Result<Broker, BrokerError> {
        let credentials = Credentials::held(nats, secrets);
        let key = Key {
            urls: nats.urls.clone(),
            tls: nats.tls.is_some(),
            fingerprint: credentials.check()?,
        };
        let slot = self.slot(key);
        let mut slot = slot.lock().await;
        if let Some((client, denials)) = &slot.open
            && client.connection_state() == State::Connected
        {
            return Ok(broker(client, denials));
        }
        if let Some((at, error)) = &slot.failed
            && at.elapsed() < FRESH
        {
            return Err(error.clone());
        }
        match connect(nats, &credentials).await {
            Ok((client, denials)) => {
                let broker = broker(&client, &denials);
                *slot = Slot {
                    open: Some((client, denials)),
                    failed: None,
                };
                Ok(broker)
            }
            Err(error) => {
                *slot = Slot {
                    open: None,
                    failed: Some((Instant::now(), error.clone())),
                };
                Err(error)
            }
        }
    }

    /// The slot of a key; those that nobody has used for long go.
    fn slot(&self, key: Key) -> Arc<tokio::sync::Mutex<Slot>> {
        let now = Instant::now();
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|one, (used, _)| *one == key || now.duration_since(*used) < IDLE);
        let (used, slot) = slots.entry(key).or_insert_with(|| (now, Arc::default()));
        *used = now;
        Arc::clone(slot)
    }
}

fn broker(client: &Client, denials: &Denials) -> Broker {
    Broker {
        jetstream: ContextBuilder::new().timeout(ANSWER).build(client.clone()),
        denials: denials.clone(),
    }
}

async fn connect(nats: &Nats, credentials: &Credentials) -> Result<(Client, Denials), BrokerError> {
    let denials = Denials::default();
    let heard = denials.clone();
    let options = credentials
        .held_options()?
        .name("linnet-operator")
        .connection_timeout(CONNECT)
        .request_timeout(Some(ANSWER))
        .event_callback(move |event| {
            heard.hear(&event);
            std::future::ready(())
        });
    let unreachable = |why: String| BrokerError::Unreachable {
        urls: nats.urls.join(", "),
        why,
    };
    // Each server is tried in turn.
    let limit = CONNECT
        * u32::try_from(nats.urls.len())
            .unwrap_or(u32::MAX)
            .clamp(1, 3);
    match timeout(limit, options.connect(nats.urls.clone())).await {
        Ok(Ok(client)) => Ok((client, denials)),
        Ok(Err(error)) => Err(match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                BrokerError::Unauthorized(error.to_string())
            }
            _ => unreachable(error.to_string()),
        }),
        Err(_) => Err(unreachable("no answer in time".to_owned())),
    }
}
