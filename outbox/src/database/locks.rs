//! Who owns what: session-level advisory locks of two keys. The first is this outbox; the second is a partition, or stands
//! for a relay that is there.

use sqlx::{Error, Row as _};

use super::{Database, in_time};
use crate::partitions::Partitions;
use crate::share::Standing;

/// Mixed into the first key, so that no other program's locks on small numbers are taken for ours.
const SALT: i64 = 0x6c69_6e6e;
/// Second keys from here on stand for relays.
const RELAYS: i32 = 1_000_000;
/// Tells relays that there is one more, or that partitions are free.
pub(super) const RELAYS_CHANNEL: &str = "linnet_outbox_relays";

/// The first key of the locks of the outbox whose table has this OID.
pub(super) fn class(table: i64) -> i32 {
    // The locks take all 32 bits, as their sign.
    (table ^ SALT) as u32 as i32
}

const JOIN: &str = "SELECT pg_try_advisory_lock($1, $2)";
// Of the two keys pg_locks has the bits, as OIDs.
const STANDING: &str = "SELECT objid::bigint, pid = pg_backend_pid() FROM pg_locks \
     WHERE locktype = 'advisory' AND objsubid = 2 AND granted AND classid::bigint = $1 \
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
const TAKE: &str = "SELECT p FROM unnest($2::int[]) AS p WHERE pg_try_advisory_lock($1, p)";
const RELEASE: &str = "SELECT pg_advisory_unlock($1, p) FROM unnest($2::int[]) AS p";
const RELEASE_ALL: &str = "SELECT pg_advisory_unlock_all()";
const TELL: &str = "SELECT pg_notify($1, '')";

impl Database {
    /// Is a relay among others from now on, until the connection ends.
    ///
    /// # Errors
    /// Of the database.
    pub async fn join(&mut self) -> Result<(), Error> {
        for seat in RELAYS.. {
            let join = sqlx::query(JOIN).bind(self.class).bind(seat);
            if in_time(join.fetch_one(&mut self.connection))
                .await?
                .try_get(0)?
            {
                break;
            }
        }
        self.tell().await
    }

    /// Who has what.
    ///
    /// # Errors
    /// Of the database.
    pub async fn standing(&mut self) -> Result<Standing, Error> {
        let locks = sqlx::query(STANDING).bind(i64::from(self.class as u32));
        let mut standing = Standing {
            relays: 0,
            own: Partitions::NONE,
            others: Partitions::NONE,
        };
        for lock in in_time(locks.fetch_all(&mut self.connection)).await? {
            let (key, own): (i64, bool) = (lock.try_get(0)?, lock.try_get(1)?);
            match u8::try_from(key) {
                Ok(partition) if own => standing.own.insert(partition),
                Ok(partition) => standing.others.insert(partition),
                Err(_) => standing.relays += 1,
            }
        }
        Ok(standing)
    }

    /// Takes those of `partitions` that are free.
    ///
    /// # Errors
    /// Of the database.
    pub async fn take(&mut self, partitions: Partitions) -> Result<Partitions, Error> {
        let take = sqlx::query(TAKE)
            .bind(self.class)
            .bind(partitions.numbers());
        let taken = in_time(take.fetch_all(&mut self.connection)).await?;
        let taken = taken.iter().map(|row| row.try_get::<i32, _>(0));
        let taken = taken.collect::<Result<Vec<_>, _>>()?;
        Ok(taken
            .into_iter()
            .filter_map(|one| u8::try_from(one).ok())
            .collect())
    }

    /// Lets partitions go, and tells the other relays.
    ///
    /// # Errors
    /// Of the database.
    pub async fn release(&mut self, partitions: Partitions) -> Result<(), Error> {
        let release = sqlx::query(RELEASE)
            .bind(self.class)
            .bind(partitions.numbers());
        in_time(release.execute(&mut self.connection)).await?;
        self.tell().await
    }

    /// Is a relay no more.
    ///
    /// # Errors
    /// Of the database.
    pub async fn leave(&mut self) -> Result<(), Error> {
        in_time(sqlx::query(RELEASE_ALL).execute(&mut self.connection)).await?;
        self.tell().await
    }

    async fn tell(&mut self) -> Result<(), Error> {
        let tell = sqlx::query(TELL).bind(RELAYS_CHANNEL);
        in_time(tell.execute(&mut self.connection)).await?;
        Ok(())
    }
}
