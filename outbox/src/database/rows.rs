//! The rows of the outbox.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{Error, Row as _};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Database, in_time};
use crate::partitions::Partitions;
use crate::row::Row;

/// Rows that are counted at most: to count all of a long queue takes long.
pub const MOST_COUNTED: i64 = 100_000;

/// The first rows of each partition, but for those in hand. There is no cursor: a row with a lower number may be committed
/// after one with a higher.
const READ: &str = "SELECT o.id, o.seq, o.partition, o.aggregate, o.room, o.event, o.data::text, o.traceparent, \
     (extract(epoch FROM o.created_at) * 1000)::bigint, \
     (extract(epoch FROM clock_timestamp() - o.created_at) * 1000)::bigint \
     FROM unnest($1::int[]) AS p CROSS JOIN LATERAL \
     (SELECT * FROM linnet_outbox WHERE partition = p AND id <> ALL($2) ORDER BY seq LIMIT $3) AS o ORDER BY o.seq";
const LAST: &str = "SELECT p, (SELECT max(seq) FROM linnet_outbox WHERE partition = p) FROM unnest($1::int[]) AS p";
const DELETE: &str = "DELETE FROM linnet_outbox WHERE id = ANY($1)";
const FAIL: &str = "WITH gone AS (DELETE FROM linnet_outbox WHERE id = $1 RETURNING *) \
     INSERT INTO linnet_outbox_failed (id, seq, aggregate, room, event, data, traceparent, created_at, code, reason) \
     SELECT id, seq, aggregate, room, event, data, traceparent, created_at, $2, $3 FROM gone \
     ON CONFLICT (id) DO UPDATE SET code = excluded.code, reason = excluded.reason, failed_at = clock_timestamp()";
const LAG: &str = "SELECT (SELECT count(*) FROM (SELECT FROM linnet_outbox LIMIT $1) AS counted), \
     (SELECT count(*) FROM (SELECT FROM linnet_outbox_failed LIMIT $1) AS counted), \
     (SELECT (extract(epoch FROM clock_timestamp() - min(created_at)) * 1000)::bigint \
        FROM generate_series(0, 63) AS p CROSS JOIN LATERAL \
        (SELECT created_at FROM linnet_outbox WHERE partition = p ORDER BY seq LIMIT 1) AS first)";

/// How far the outbox is behind, over all partitions, whoever has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// Rows that wait, up to [`MOST_COUNTED`].
    pub waiting: u64,
    /// Rows that failed, up to as many.
    pub failed: u64,
    /// How old the oldest row is; nothing where none waits.
    pub oldest: Duration,
}

impl Database {
    /// Reads up to `most` rows of each of `partitions` that are not among `held`, in the order of their numbers.
    ///
    /// # Errors
    /// Of the database.
    pub async fn read(
        &mut self,
        partitions: Partitions,
        held: Vec<Uuid>,
        most: i64,
    ) -> Result<Vec<Row>, Error> {
        let read = sqlx::query(READ)
            .bind(partitions.numbers())
            .bind(held)
            .bind(most);
        let rows = in_time(read.fetch_all(&mut self.connection)).await?;
        let now = Instant::now();
        rows.iter().map(|row| of(row, now)).collect()
    }

    /// The highest number in each of `partitions` that has rows.
    ///
    /// # Errors
    /// Of the database.
    pub async fn last(&mut self, partitions: Partitions) -> Result<Vec<(u8, i64)>, Error> {
        let last = sqlx::query(LAST).bind(partitions.numbers());
        let rows = in_time(last.fetch_all(&mut self.connection)).await?;
        let mut last = Vec::with_capacity(rows.len());
        for row in rows {
            let (partition, seq): (i32, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
            last.extend(u8::try_from(partition).ok().zip(seq));
        }
        Ok(last)
    }

    /// Deletes rows that were published.
    ///
    /// # Errors
    /// Of the database.
    pub async fn delete(&mut self, ids: &[Uuid]) -> Result<(), Error> {
        let delete = sqlx::query(DELETE).bind(ids);
        in_time(delete.execute(&mut self.connection)).await?;
        Ok(())
    }

    /// Puts a row aside that will never be published.
    ///
    /// # Errors
    /// Of the database.
    pub async fn fail(&mut self, id: Uuid, code: &str, reason: &str) -> Result<(), Error> {
        let fail = sqlx::query(FAIL).bind(id).bind(code).bind(reason);
        in_time(fail.execute(&mut self.connection)).await?;
        Ok(())
    }

    /// How far the outbox is behind.
    ///
    /// # Errors
    /// Of the database.
    pub async fn lag(&mut self) -> Result<Lag, Error> {
        let lag = sqlx::query(LAG).bind(MOST_COUNTED);
        let row = in_time(lag.fetch_one(&mut self.connection)).await?;
        Ok(Lag {
            waiting: unsigned(row.try_get(0)?),
            failed: unsigned(row.try_get(1)?),
            oldest: Duration::from_millis(unsigned(row.try_get::<Option<i64>, _>(2)?.unwrap_or(0))),
        })
    }
}

fn of(row: &PgRow, now: Instant) -> Result<Row, Error> {
    Ok(Row {
        id: row.try_get(0)?,
        seq: row.try_get(1)?,
        partition: u8::try_from(row.try_get::<i32, _>(2)?).unwrap_or(u8::MAX),
        aggregate: row.try_get(3)?,
        room: row.try_get(4)?,
        event: row.try_get(5)?,
        data: row.try_get(6)?,
        traceparent: row.try_get(7)?,
        created: unsigned(row.try_get(8)?),
        age: Duration::from_millis(unsigned(row.try_get(9)?)),
        read: now,
    })
}

/// Clocks may be set back: nothing is younger than new.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
