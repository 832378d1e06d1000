//! The relay of the outbox, at rooms that misbehave when they are told to.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::time::Duration;

use linnet_tests::ledger::{self, ROOM};
use linnet_tests::prelude::*;
use linnet_tests::rooms::Manner;
use linnet_tests::seed::seed;
use linnet_tests::{Outbox, Postgres, Rooms};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sqlx::Row;

async fn scene() -> (Postgres, Rooms, Outbox) {
    let postgres = Postgres::start().await;
    ledger::prepare(&postgres).await;
    let rooms = Rooms::open().await;
    let outbox = Outbox::start(&postgres, rooms.address).await;
    outbox.has_all().await;
    (postgres, rooms, outbox)
}

#[test]
fn what_is_committed_is_published_once_and_in_order_and_nothing_that_is_rolled_back() {
    scenario(60, async {
        let (postgres, rooms, _outbox) = scene().await;
        let seed = seed();
        let writers = (0..4).map(|number| {
            let random = StdRng::seed_from_u64(seed.wrapping_add(number));
            tokio::spawn(ledger::change_often(
                postgres.url(),
                250,
                Duration::ZERO,
                random,
            ))
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        ledger::is_whole(&postgres, &rooms).await;
    });
}

#[test]
fn a_message_is_published_as_it_was_written() {
    scenario(30, async {
        let (postgres, rooms, _outbox) = scene().await;
        postgres
            .run(
                "INSERT INTO linnet_outbox (id, aggregate, room, event, data) VALUES \
                 ('0190c7a0-0000-7000-8000-000000000001', 'a', 'Küche & Bad', 'SAID', \
                 '{\"price\": 19.90, \"large\": 123456789012345678901234567890, \"b\":1, \"a\":\"\\u00e9\"}')",
            )
            .await;
        rooms.holds("Küche & Bad", 1).await;
        let message = &rooms.room("Küche & Bad")[0];
        assert_eq!(message.id, "0190c7a0-0000-7000-8000-000000000001");
        assert_eq!(message.event.as_deref(), Some("SAID"));
        assert_eq!(
            message.text,
            r#"{"price": 19.90, "large": 123456789012345678901234567890, "b":1, "a":"\u00e9"}"#
        );
    });
}

#[test]
fn commits_are_published_at_once_and_not_only_when_the_table_is_read_anyway() {
    scenario(60, async {
        let (postgres, rooms, _outbox) = scene().await;
        let mut connection = postgres.connect().await;
        // The table is read every five seconds: that would take a minute and more.
        within("thirty messages, one after the other", 40, async {
            for count in 1..=30 {
                ledger::change(&mut connection, "counter/7", true)
                    .await
                    .unwrap();
                rooms.holds(ROOM, count).await;
            }
        })
        .await;
    });
}

#[test]
fn rows_are_found_without_their_trigger_too() {
    scenario(30, async {
        let (postgres, rooms, _outbox) = scene().await;
        postgres
            .run("DROP TRIGGER linnet_outbox_wake ON linnet_outbox")
            .await;
        let mut connection = postgres.connect().await;
        ledger::change(&mut connection, "counter/1", true)
            .await
            .unwrap();
        rooms.holds(ROOM, 1).await;
    });
}

#[test]
fn a_message_that_can_never_be_published_is_put_aside_with_its_reason_and_holds_up_nobody() {
    scenario(30, async {
        let (postgres, rooms, outbox) = scene().await;
        postgres
            .run(
                "INSERT INTO linnet_outbox (aggregate, room, data) VALUES \
                 ('a', 'good', '1'), ('a', '', '2'), ('a', 'good', '3'), ('b', 'good', '4')",
            )
            .await;
        let mut heard = rooms.holds("good", 3).await;
        let place = heard.iter().position(|data| *data == 4).unwrap();
        heard.remove(place);
        assert_eq!(heard, [json!(1), json!(3)]);
        ledger::is_empty(&postgres).await;
        let mut connection = postgres.connect().await;
        let failed =
            sqlx::query("SELECT aggregate, data::text, code, reason FROM linnet_outbox_failed");
        let failed = failed.fetch_one(&mut connection).await.unwrap();
        let told: Vec<String> = (0..4).map(|column| failed.get(column)).collect();
        assert_eq!(told, ["a", "2", "bad_room", "it says bad_room"]);
        assert_eq!(outbox.metric("linnet_outbox_failed_total").await, 1.0);
        outbox
            .metric_is("linnet_outbox_rows_failed", |count| count == 1.0)
            .await;
    });
}

#[test]
fn while_no_gateway_takes_messages_they_wait_and_keep_their_order() {
    scenario(60, async {
        let (postgres, rooms, outbox) = scene().await;
        rooms.behave(Manner::Away);
        let mut connection = postgres.connect().await;
        for number in 0..60 {
            let name = format!("counter/{}", number % 3);
            ledger::change(&mut connection, &name, true).await.unwrap();
        }
        outbox
            .metric_is("linnet_outbox_rows_waiting", |count| count == 60.0)
            .await;
        outbox
            .metric_is("linnet_outbox_oldest_row_age_seconds", |age| age > 0.0)
            .await;
        until("some tries", || async { (rooms.asked() > 9).then_some(()) }).await;
        assert!(rooms.room(ROOM).is_empty());
        outbox.ready(true).await;
        rooms.behave(Manner::Well);
        ledger::is_whole(&postgres, &rooms).await;
        assert!(outbox.metric("linnet_outbox_retries_total").await > 0.0);
        outbox
            .metric_is("linnet_outbox_rows_waiting", |count| count == 0.0)
            .await;
    });
}

#[test]
fn what_may_have_been_published_is_sent_again_under_its_id() {
    scenario(60, async {
        let (postgres, rooms, outbox) = scene().await;
        rooms.behave(Manner::Unsure);
        let mut connection = postgres.connect().await;
        for _ in 0..3 {
            ledger::change(&mut connection, "counter/0", true)
                .await
                .unwrap();
        }
        until("some tries", || async { (rooms.asked() > 3).then_some(()) }).await;
        assert_eq!(rooms.room(ROOM).len(), 1, "the next one waits for its turn");
        rooms.behave(Manner::Well);
        ledger::is_whole(&postgres, &rooms).await;
        assert!(outbox.metric("linnet_outbox_duplicates_total").await >= 1.0);
    });
}

#[test]
fn without_its_tables_it_is_not_ready_and_says_how_to_make_them() {
    scenario(30, async {
        let postgres = Postgres::start().await;
        let rooms = Rooms::open().await;
        let outbox = Outbox::spawn(&postgres, rooms.address, &[]).await;
        outbox
            .logged("how to make the tables", |line| {
                let message = line["fields"]["message"].as_str()?;
                message.contains("linnet-outbox schema").then_some(())
            })
            .await;
        outbox.ready(false).await;
        ledger::prepare(&postgres).await;
        outbox.ready(true).await;
    });
}
