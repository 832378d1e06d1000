//! What rings when rows are committed: `NOTIFY`, on a connection of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::locks::RELAYS_CHANNEL;
use crate::partitions::Partitions;

/// The channel of the schema's trigger; the payload is the partition.
const ROWS_CHANNEL: &str = "linnet_outbox";
/// Between two tries to connect. Meanwhile rows are found by asking.
const PAUSE: Duration = Duration::from_secs(1);

/// Rings until it is dropped.
#[derive(Debug)]
pub struct Bell {
    state: Arc<State>,
    task: JoinHandle<()>,
}

/// What it rang for since the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rings {
    /// Partitions that may have new rows.
    pub rows: Partitions,
    /// Whether relays came, went or let partitions go.
    pub relays: bool,
}

#[derive(Debug, Default)]
struct State {
    rows: AtomicU64,
    relays: AtomicBool,
    rung: Notify,
}

impl State {
    fn ring(&self, rows: Partitions, relays: bool) {
        self.rows.fetch_or(rows.bits(), Ordering::SeqCst);
        self.relays.fetch_or(relays, Ordering::SeqCst);
        self.rung.notify_one();
    }

    fn heard(&self, channel: &str, payload: &str) {
        match payload.parse() {
            _ if channel == RELAYS_CHANNEL => self.ring(Partitions::NONE, true),
            Ok(partition) => self.ring([partition].into_iter().collect(), false),
            // Somebody's own: it says that there is something.
            Err(_) => self.ring(Partitions::ALL, false),
        }
    }
}

impl Bell {
    /// Begins to listen.
    #[must_use]
    pub fn hang(options: &PgConnectOptions) -> Self {
        let state = Arc::new(State::default());
        let task = tokio::spawn(listen(options.clone(), Arc::clone(&state)));
        Self { state, task }
    }

    /// Awaits that it rings, or has rung since the last time.
    pub async fn rung(&self) -> Rings {
        loop {
            let rings = Rings {
                rows: Partitions::of_bits(self.state.rows.swap(0, Ordering::SeqCst)),
                relays: self.state.relays.swap(false, Ordering::SeqCst),
            };
            if rings.relays || !rings.rows.is_empty() {
                return rings;
            }
            self.state.rung.notified().await;
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(options: PgConnectOptions, state: Arc<State>) {
    let options = options.disable_statement_logging();
    loop {
        if let Err(error) = hear(&options, &state).await {
            tracing::debug!(%error, "not woken by the database for now");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Listens until the connection ends for good.
async fn hear(options: &PgConnectOptions, state: &State) -> Result<(), sqlx::Error> {
    // The listener takes its connections from a pool.
    let pool = PgPoolOptions::new();
    let pool = pool
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None);
    let pool = pool.connect_lazy_with(options.clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen_all([ROWS_CHANNEL, RELAYS_CHANNEL]).await?;
    loop {
        // It may have been deaf until now.
        state.ring(Partitions::ALL, true);
        while let Some(heard) = listener.try_recv().await? {
            state.heard(heard.channel(), heard.payload());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_says_once_what_it_rang_for() {
        let bell = Bell {
            state: Arc::default(),
            task: tokio::spawn(async {}),
        };
        bell.state.heard(ROWS_CHANNEL, "3");
        bell.state.heard(ROWS_CHANNEL, "63");
        bell.state.heard(RELAYS_CHANNEL, "");
        let rings = bell.rung().await;
        assert_eq!(rings.rows.numbers(), [3, 63]);
        assert!(rings.relays);
        let state = Arc::clone(&bell.state);
        let next = tokio::spawn(async move { bell.rung().await });
        state.heard(ROWS_CHANNEL, "");
        let rings = next.await.unwrap();
        assert_eq!((rings.rows, rings.relays), (Partitions::ALL, false));
    }
}
