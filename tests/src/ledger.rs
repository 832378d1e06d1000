//! A service as docs/outbox.md wants it: it locks a row, changes it, and says so in the outbox, all in one transaction.
//! Each commit counts its aggregate up by one, so what a room must hold is known from the table: 1, 2, 3… of each.

use std::collections::HashMap;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row};

use crate::postgres::Postgres;
use crate::rooms::Rooms;
use crate::wait::until;

/// The room that changes go to.
pub const ROOM: &str = "counters";

/// How many aggregates there are.
const AGGREGATES: u32 = 20;

const TABLES: &str = "CREATE TABLE counters (name text PRIMARY KEY, count bigint NOT NULL); \
     INSERT INTO counters SELECT 'counter/' || n, 0 FROM generate_series(0, 19) AS n";
const COUNT: &str = "UPDATE counters SET count = count + 1 WHERE name = $1 RETURNING count";
const SAY: &str = "INSERT INTO linnet_outbox (id, aggregate, room, event, data) \
     SELECT id, $1::text, 'counters', 'COUNTED', json_build_object('id', id, 'name', $1::text, 'count', $2::bigint) \
     FROM gen_random_uuid() AS id";

/// Makes the tables of the outbox and of the service.
pub async fn prepare(postgres: &Postgres) {
    postgres.run(linnet_outbox::SCHEMA).await;
    postgres.run(TABLES).await;
}

/// Changes one aggregate; `commit` says whether it is to last.
///
/// # Errors
/// Of the database: nobody knows then whether it was committed.
pub async fn change(connection: &mut PgConnection, name: &str, commit: bool) -> Result<(), Error> {
    let mut transaction = connection.begin().await?;
    let count = sqlx::query(COUNT).bind(name).fetch_one(&mut *transaction);
    let count: i64 = count.await?.try_get(0)?;
    let say = sqlx::query(SAY).bind(name).bind(count);
    say.execute(&mut *transaction).await?;
    match commit {
        true => transaction.commit().await,
        false => transaction.rollback().await,
    }
}

/// Changes aggregates so many times, at random; a third is rolled back. Goes on where the database was away.
pub async fn change_often(url: String, times: usize, pace: Duration, mut random: StdRng) {
    let mut connection = None;
    for _ in 0..times {
        let name = format!("counter/{}", random.random_range(0..AGGREGATES));
        let commit = random.random_range(0..3) > 0;
        let mut one = match connection.take() {
            Some(connection) => connection,
            None => {
                until("the database", || async {
                    PgConnection::connect(&url).await.ok()
                })
                .await
            }
        };
        if change(&mut one, &name, commit).await.is_ok() {
            connection = Some(one);
        }
        tokio::time::sleep(pace).await;
    }
}

/// Awaits that nothing waits in the outbox any more.
pub async fn is_empty(postgres: &Postgres) {
    until("an empty outbox", || async {
        let mut connection = postgres.connect().await;
        let count = sqlx::query("SELECT count(*) FROM linnet_outbox").fetch_one(&mut connection);
        let count: i64 = count.await.unwrap().get(0);
        connection.close().await.unwrap();
        (count == 0).then_some(())
    })
    .await;
}

/// Awaits that nothing waits any more; then the room must hold what was committed, once and in order.
///
/// # Panics
/// When it does not.
pub async fn is_whole(postgres: &Postgres, rooms: &Rooms) {
    is_empty(postgres).await;
    let messages = rooms.room(ROOM).into_iter().map(|message| message.data);
    holds(postgres, messages.collect()).await;
}

/// These messages must be what was committed, once and in order.
///
/// # Panics
/// When they are not.
pub async fn holds(postgres: &Postgres, messages: Vec<Value>) {
    let mut heard: HashMap<String, Vec<i64>> = HashMap::new();
    for message in messages {
        let name = message["name"].as_str().unwrap().to_owned();
        heard
            .entry(name)
            .or_default()
            .push(message["count"].as_i64().unwrap());
    }
    let mut connection = postgres.connect().await;
    let all = sqlx::query("SELECT name, count FROM counters").fetch_all(&mut connection);
    let all = all.await.unwrap();
    let committed: i64 = all.iter().map(|row| row.get::<i64, _>(1)).sum();
    assert!(committed > 0, "nothing was committed");
    for row in all {
        let (name, count): (String, i64) = (row.get(0), row.get(1));
        let expected: Vec<i64> = (1..=count).collect();
        assert_eq!(heard.remove(&name).unwrap_or_default(), expected, "{name}");
    }
    assert!(heard.is_empty(), "nobody committed {heard:?}");
}
