//! The relay: connects, and begins anew when the connection is lost.

mod session;

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use crate::delivery::Courier;
use crate::metrics::Metrics;
use crate::pause;
use session::Session;

/// A connection that lasted so long was a good one: the next is tried soon.
const LASTING: Duration = Duration::from_secs(30);

/// What outlives a connection.
#[derive(Debug)]
pub struct Relay {
    database: PgConnectOptions,
    courier: Arc<Courier>,
    metrics: Arc<Metrics>,
    concurrency: usize,
    /// Rows that are in their rooms and still in the table. They are deleted also after the connection was lost: whoever
    /// has their partition then need not send them again.
    published: Vec<Uuid>,
}

impl Relay {
    /// Brings rows of the database by `courier`, so many at a time.
    #[must_use]
    pub fn new(
        database: PgConnectOptions,
        courier: Courier,
        metrics: Arc<Metrics>,
        concurrency: usize,
    ) -> Self {
        Self {
            database,
            courier: Arc::new(courier),
            metrics,
            concurrency,
            published: Vec::new(),
        }
    }

    /// Publishes rows until it is told to stop.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut failures = 0;
        loop {
            let begun = Instant::now();
            let outcome = match Session::open(&mut self).await {
                Ok(session) => session.run(stop.clone()).await,
                Err(error) => Err(error),
            };
            let Err(error) = outcome else { return };
            self.metrics.connected(false);
            failures = match begun.elapsed() > LASTING {
                true => 1,
                false => failures + 1,
            };
            let hint = match error.as_database_error().and_then(|error| error.code()) {
                // undefined_table
                Some(code) if code == "42P01" => {
                    "; linnet-outbox schema prints what makes the tables"
                }
                _ => "",
            };
            tracing::warn!("no connection to the database: {error}{hint}");
            tokio::select! {
                () = tokio::time::sleep(pause::after(failures)) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }
}
