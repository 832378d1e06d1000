//! The database. One connection is what owns partitions, reads their rows and deletes them: when it is lost, so is all of
//! that at once, and nobody can go on with one and without the other. A second one listens.

mod bell;
mod locks;
mod rows;

use std::future::Future;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Error, Row as _};

pub use bell::{Bell, Rings};
pub use rows::Lag;

/// How long a statement may take. Then the connection is given up.
const DEADLINE: Duration = Duration::from_secs(10);

/// What holds for the connection that owns partitions. A relay asks something every second: the server ends the
/// connection of one that stands still, so that others get its partitions; likewise where its machine is gone. Deletes need
/// not be on the disk at once: a row that comes back with a crash is sent again under its id.
const SETTINGS: &str = "SET idle_session_timeout = '15s'; SET tcp_keepalives_idle = 5; \
     SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 2; SET synchronous_commit = off";

/// The connection that owns partitions.
#[derive(Debug)]
pub struct Database {
    connection: PgConnection,
    /// First key of the advisory locks of this outbox.
    class: i32,
}

impl Database {
    /// Connects.
    ///
    /// # Errors
    /// When the server can't be reached, or has no outbox.
    pub async fn open(options: &PgConnectOptions) -> Result<Self, Error> {
        let options = options.clone().disable_statement_logging();
        let mut connection = in_time(PgConnection::connect_with(&options)).await?;
        in_time(sqlx::raw_sql(SETTINGS).execute(&mut connection)).await?;
        // Outboxes in other schemas of this database have other tables.
        let table = sqlx::query("SELECT 'linnet_outbox'::regclass::oid::bigint");
        let table: i64 = in_time(table.fetch_one(&mut connection))
            .await?
            .try_get(0)?;
        Ok(Self {
            connection,
            class: locks::class(table),
        })
    }

    /// Ends the connection in order.
    pub async fn close(self) {
        // Without it the server ends it by itself.
        let _ = in_time(self.connection.close()).await;
    }
}

async fn in_time<T>(step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let step = tokio::time::timeout(DEADLINE, step).await;
    step.unwrap_or_else(|_| Err(Error::Io(std::io::ErrorKind::TimedOut.into())))
}
