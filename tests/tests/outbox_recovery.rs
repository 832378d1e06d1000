//! The relay of the outbox after something was away: the database, or itself for longer than rooms know ids.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::time::Duration;

use linnet_tests::ledger;
use linnet_tests::prelude::*;
use linnet_tests::rooms::Manner;
use linnet_tests::seed::seed;
use linnet_tests::{Outbox, Postgres, Rooms};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sqlx::Row;

/// A window of two seconds, half of which is trusted.
const SHORT: [&str; 2] = ["--deduplication-seconds", "2"];

async fn scene() -> (Postgres, Rooms) {
    let postgres = Postgres::start().await;
    ledger::prepare(&postgres).await;
    (postgres, Rooms::open().await)
}

/// Awaits that all rows are older than what is trusted.
async fn rows_are_old(postgres: &Postgres) {
    until("old rows", || async {
        let mut connection = postgres.connect().await;
        let young = sqlx::query("SELECT count(*) FROM linnet_outbox WHERE created_at > clock_timestamp() - interval '2 s'");
        let young: i64 = young.fetch_one(&mut connection).await.unwrap().get(0);
        (young == 0).then_some(())
    })
    .await;
}

#[test]
fn a_database_that_is_restarted_and_one_that_crashes_lose_and_double_nothing() {
    scenario(120, async {
        let (mut postgres, rooms) = scene().await;
        let first = Outbox::start(&postgres, rooms.address).await;
        let second = Outbox::start(&postgres, rooms.address).await;
        let seed = seed();
        let pace = Duration::from_millis(5);
        let writers = (0..4).map(|number| {
            let random = StdRng::seed_from_u64(seed.wrapping_add(number));
            tokio::spawn(ledger::change_often(postgres.url(), 400, pace, random))
        });
        let writers: Vec<_> = writers.collect();
        rooms_fill(&rooms, 100).await;
        postgres.restart().await;
        first.ready(true).await;
        rooms_fill(&rooms, 100).await;
        postgres.crash().await;
        first.ready(false).await;
        second.ready(false).await;
        postgres.launch().await;
        for writer in writers {
            writer.await.unwrap();
        }
        ledger::is_whole(&postgres, &rooms).await;
        first.ready(true).await;
        second.ready(true).await;
    });
}

/// Awaits that so many messages more are in the room.
async fn rooms_fill(rooms: &Rooms, more: usize) {
    let goal = rooms.room(ledger::ROOM).len() + more;
    until("messages", || async {
        (rooms.room(ledger::ROOM).len() >= goal).then_some(())
    })
    .await;
}

/// Messages of others that come after the one in question.
const CROWD: usize = 250;

/// A relay dies between a publish and its ack, and the next one comes when the room knows the id no more. `row` writes
/// the row; gives how often the room has the message then.
async fn dies_before_the_ack(row: &'static str) -> usize {
    let (postgres, rooms) = scene().await;
    let mut relay = Outbox::start_with(&postgres, rooms.address, &SHORT).await;
    rooms.behave(Manner::Silent);
    postgres.run(row).await;
    rooms.holds("orders", 1).await;
    // This one was never published.
    rooms.behave(Manner::Away);
    postgres
        .run("INSERT INTO linnet_outbox (aggregate, room, data) VALUES ('other', 'others', '{}')")
        .await;
    relay.kill().await;
    // Some pages of history lie above it.
    rooms.crowd("orders", CROWD);
    rows_are_old(&postgres).await;
    rooms.behave(Manner::Well);
    rooms.forget(Duration::ZERO);
    let relay = Outbox::start_with(&postgres, rooms.address, &SHORT).await;
    ledger::is_empty(&postgres).await;
    rooms.holds("others", 1).await;
    let count = rooms.room("orders").len() - CROWD;
    let recognised = relay.metric("linnet_outbox_recognised_total").await;
    assert_eq!(recognised, (2 - count) as f64);
    count
}

#[test]
fn what_was_published_before_the_window_is_recognised_by_the_id_in_its_data() {
    scenario(60, async {
        let row = "INSERT INTO linnet_outbox (id, aggregate, room, data) VALUES \
             ('0190c7a0-0000-7000-8000-000000000001', 'a', 'orders', \
             '{\"id\":\"0190c7a0-0000-7000-8000-000000000001\"}')";
        assert_eq!(dies_before_the_ack(row).await, 1);
    });
}

#[test]
fn what_tells_its_id_nowhere_is_there_twice_after_the_window_and_never_lost() {
    scenario(60, async {
        let row = "INSERT INTO linnet_outbox (aggregate, room, data) VALUES ('a', 'orders', '{}')";
        assert_eq!(dies_before_the_ack(row).await, 2);
    });
}

#[test]
fn a_relay_that_gets_no_certain_answer_for_longer_than_the_window_looks_before_it_sends_again() {
    scenario(60, async {
        let (postgres, rooms) = scene().await;
        let relay = Outbox::start_with(&postgres, rooms.address, &SHORT).await;
        rooms.behave(Manner::Unsure);
        let mut connection = postgres.connect().await;
        ledger::change(&mut connection, "counter/3", true)
            .await
            .unwrap();
        relay
            .metric_is("linnet_outbox_recognised_total", |count| count == 1.0)
            .await;
        rooms.forget(Duration::ZERO);
        rooms.behave(Manner::Well);
        ledger::is_whole(&postgres, &rooms).await;
    });
}
