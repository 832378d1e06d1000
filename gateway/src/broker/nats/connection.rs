//! The connections of a gateway to NATS, and what is heard about them.

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ClientError, ConnectErrorKind, ConnectOptions, Event, ServerError};
use rand::RngExt;
use tokio::sync::{Notify, broadcast, watch};

use super::health::{Fault, Health};

/// How long a connection may take until it stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Between two pings: a network that swallows everything is noticed after two that went unanswered.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// Longest pause between two tries to connect.
const RECONNECT_PAUSE: Duration = Duration::from_secs(2);
/// Deadline of a request to JetStream.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The oldest server that has what this gateway uses: message TTLs with markers, batches of direct gets.
const OLDEST_SERVER: (i64, i64) = (2, 11);
/// What headers may take of a message, beside its payload.
const HEADER_BYTES: usize = 8 * 1024;

/// What is over once a connection stands.
const CONNECTION_FAULTS: [Fault; 4] = [
    Fault::Disconnected,
    Fault::Unauthorized,
    Fault::PermissionDenied,
    Fault::Other,
];

/// One connection.
#[derive(Clone)]
pub struct Connection {
    /// Speaks to the server.
    pub client: Client,
    /// How many times it was connected, and whether it is now.
    pub state: watch::Receiver<Link>,
    /// Subjects that the server refused a publish or a subscription to.
    pub denied: broadcast::Sender<String>,
    /// Rung when the client has dropped messages that were not taken fast enough.
    pub dropped: Arc<Notify>,
}

/// Whether there is a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Link {
    /// Whether it stands.
    pub up: bool,
    /// How often it was made.
    pub generation: u64,
}

impl Link {
    /// What it is after an event.
    fn after(self, up: bool) -> Self {
        // Told once for each connection; that one was lost may have gone untold in a flood of events.
        Self {
            up,
            generation: self.generation + u64::from(up),
        }
    }
}

/// Begins to connect to one of `urls`; returns at once, and goes on trying for as long as there is anybody to try for.
///
/// # Errors
/// When a URL can't be read, or a file that the options name.
pub async fn connect(
    urls: &[String],
    options: ConnectOptions,
    name: String,
    of: u16,
    health: &Arc<Health>,
) -> Result<Connection, async_nats::ConnectError> {
    let (state, link) = watch::channel(Link::default());
    let (denied, _) = broadcast::channel(64);
    let (told, refused) = (Arc::clone(health), denied.clone());
    let dropped = Arc::new(Notify::new());
    let drops = Arc::clone(&dropped);
    let state = Arc::new(state);
    let options = options
        .name(name)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .connection_timeout(CONNECT_TIMEOUT)
        .ping_interval(PING_INTERVAL)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .reconnect_delay_callback(pause)
        .event_callback(move |event| {
            if matches!(event, Event::SlowConsumer(_)) {
                drops.notify_one();
            }
            hear(event, of, &state, &told, &refused);
            std::future::ready(())
        });
    health.awaits(Fault::Disconnected, of, "not connected yet");
    let client = options.connect(urls.to_vec()).await?;
    Ok(Connection {
        client,
        state: link,
        denied,
        dropped,
    })
}

/// The pause before the `attempt`th try: doubling, with jitter, so that a fleet does not come back as one.
fn pause(attempt: usize) -> Duration {
    let doubled = Duration::from_millis(50) * (1 << attempt.min(6));
    doubled
        .min(RECONNECT_PAUSE)
        .mul_f64(rand::rng().random_range(0.5..1.0))
}

fn hear(
    event: Event,
    of: u16,
    state: &watch::Sender<Link>,
    health: &Health,
    denied: &broadcast::Sender<String>,
) {
    match event {
        Event::Connected => {
            health.metrics.connects.add_shared(1);
            for fault in CONNECTION_FAULTS {
                health.clear_of(fault, of);
            }
            state.send_modify(|link| *link = link.after(true));
        }
        Event::Disconnected | Event::Closed => {
            state.send_modify(|link| *link = link.after(false));
            health.set_of(Fault::Disconnected, of, "the connection was lost");
        }
        Event::SlowConsumer(subscription) => {
            health.set_of(
                Fault::SlowConsumer,
                of,
                format!("subscription {subscription}"),
            );
        }
        Event::ServerError(ServerError::AuthorizationViolation) => {
            health.set_of(Fault::Unauthorized, of, "authorization violation");
        }
        Event::ServerError(ServerError::Other(text)) => {
            if let Some(subject) = denied_subject(&text) {
                health.set_of(Fault::PermissionDenied, of, text.clone());
                let _ = denied.send(subject.to_owned()); // nobody may be waiting for an answer
            } else if text.to_lowercase().contains("auth") {
                health.set_of(Fault::Unauthorized, of, text);
            } else {
                health.set_of(Fault::Other, of, text);
            }
        }
        Event::ClientError(error) if refuses_login(&error) => {
            health.set_of(Fault::Unauthorized, of, "authorization violation");
        }
        Event::ClientError(error) => {
            health.clear_of(Fault::Unauthorized, of); // that is not what keeps it away now
            health.set_of(Fault::Disconnected, of, error.to_string());
        }
        Event::ServerError(error) => health.set_of(Fault::Other, of, error.to_string()),
        Event::LameDuckMode | Event::Draining => {}
    }
}

/// Whether a try to connect failed because the server does not take the credentials: the client tells it in words.
fn refuses_login(error: &ClientError) -> bool {
    let ClientError::Other(text) = error else {
        return false;
    };
    [
        ConnectErrorKind::AuthorizationViolation,
        ConnectErrorKind::Authentication,
    ]
    .iter()
    .any(|kind| *text == kind.to_string())
}

/// The subject of `Permissions Violation for Publish to "a.b"`.
fn denied_subject(text: &str) -> Option<&str> {
    let lower = text.to_lowercase();
    let at = lower
        .starts_with("permissions violation")
        .then(|| text.find('"'))??;
    text[at + 1..].split('"').next()
}

impl Connection {
    /// Whether it stands.
    pub fn is_up(&self) -> bool {
        self.state.borrow().up && self.client.connection_state() == State::Connected
    }

    /// Awaits that it stands; gives which connection it is. Pending for ever once the client is gone.
    pub async fn up(&mut self) -> u64 {
        let link = self.state.wait_for(|link| link.up).await;
        let generation = link.map(|link| link.generation);
        match generation {
            Ok(generation) => generation,
            Err(_) => std::future::pending().await,
        }
    }

    /// Awaits that the connection `generation` is not there any more.
    pub async fn lost(&mut self, generation: u64) {
        let gone = |link: &Link| !link.up || link.generation != generation;
        if self.state.wait_for(gone).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether it stands, for who needs no more.
    pub fn stands(&self) -> watch::Receiver<bool> {
        let (sender, receiver) = watch::channel(false);
        let mut state = self.state.clone();
        tokio::spawn(async move {
            loop {
                let up = state.borrow_and_update().up;
                // Told at each change: a connection that was lost and made again is another one.
                if sender.send(up).is_err() || state.changed().await.is_err() {
                    return;
                }
            }
        });
        receiver
    }

    /// What makes the server unfit for a channel whose messages have up to `message_size` bytes; `None` if it will do.
    pub fn unsuitable(&self, message_size: usize) -> Option<String> {
        let info = self.client.server_info();
        let (major, minor) = OLDEST_SERVER;
        if !self.client.is_server_compatible(major, minor, 0) {
            return Some(format!(
                "its version is {}, and {major}.{minor} or newer is needed",
                info.version
            ));
        }
        let needed = message_size + HEADER_BYTES;
        (info.max_payload < needed).then(|| {
            format!(
                "its max_payload is {}, and spec.limits.messageSize needs {needed} (with 8 KiB for headers)",
                info.max_payload
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_of_a_denial_is_found() {
        let text = "Permissions Violation for Publish to \"linnet.default.chat.live.3.r_x\"";
        assert_eq!(denied_subject(text), Some("linnet.default.chat.live.3.r_x"));
        assert_eq!(denied_subject("Maximum Payload Violation"), None);
    }

    #[test]
    fn each_connection_has_a_number_of_its_own() {
        let link = Link::default().after(true);
        assert_eq!((link.up, link.generation), (true, 1));
        assert_eq!(link.after(true).generation, 2, "its end went untold");
        assert_eq!(link.after(false).after(true).generation, 2);
    }

    #[test]
    fn the_pause_between_tries_grows_up_to_its_bound() {
        for attempt in [0, 1, 5, 100] {
            assert!(pause(attempt) <= RECONNECT_PAUSE);
        }
        assert!(pause(100) >= RECONNECT_PAUSE / 2);
    }
}
