//! Several relays of one outbox.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::time::Duration;

use linnet_tests::ledger::{self, ROOM};
use linnet_tests::outbox::PARTITIONS;
use linnet_tests::prelude::*;
use linnet_tests::seed::seed;
use linnet_tests::{Outbox, Postgres, Rooms};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

async fn scene() -> (Postgres, Rooms) {
    let postgres = Postgres::start().await;
    ledger::prepare(&postgres).await;
    (postgres, Rooms::open().await)
}

async fn has_half(outbox: &Outbox) {
    outbox
        .metric_is("linnet_outbox_partitions", |count| {
            count == PARTITIONS / 2.0
        })
        .await;
}

#[test]
fn relays_share_evenly_and_one_that_is_killed_or_stopped_leaves_all_to_the_others() {
    scenario(60, async {
        let (postgres, rooms) = scene().await;
        let mut first = Outbox::start(&postgres, rooms.address).await;
        first.has_all().await;
        let mut second = Outbox::start(&postgres, rooms.address).await;
        has_half(&first).await;
        has_half(&second).await;
        first.kill().await;
        second.has_all().await;
        let third = Outbox::start(&postgres, rooms.address).await;
        has_half(&second).await;
        has_half(&third).await;
        second.stop().await;
        third.has_all().await;
        let mut connection = postgres.connect().await;
        for number in 0..20 {
            let name = format!("counter/{number}");
            ledger::change(&mut connection, &name, true).await.unwrap();
        }
        ledger::is_whole(&postgres, &rooms).await;
    });
}

#[test]
fn relays_that_are_killed_at_random_lose_double_and_reorder_nothing() {
    scenario(120, async {
        let (postgres, rooms) = scene().await;
        let seed = seed();
        let mut random = StdRng::seed_from_u64(seed);
        let mut relays = Vec::new();
        for _ in 0..2 {
            relays.push(Outbox::start(&postgres, rooms.address).await);
        }
        let pace = Duration::from_millis(5);
        let writers = (0..4).map(|number| {
            let random = StdRng::seed_from_u64(seed.wrapping_add(number));
            tokio::spawn(ledger::change_often(postgres.url(), 500, pace, random))
        });
        let writers: Vec<_> = writers.collect();
        let mut kills = 0;
        while writers.iter().any(|writer| !writer.is_finished()) || kills < 5 {
            // At any moment of what it is at.
            tokio::time::sleep(Duration::from_millis(random.random_range(100..700))).await;
            let victim = random.random_range(0..relays.len());
            relays[victim].kill().await;
            relays[victim] = Outbox::spawn(&postgres, rooms.address, &[]).await;
            kills += 1;
        }
        for writer in writers {
            writer.await.unwrap();
        }
        ledger::is_whole(&postgres, &rooms).await;
    });
}

#[test]
fn a_relay_that_stands_still_loses_its_partitions_and_doubles_nothing_when_it_goes_on() {
    scenario(120, async {
        let (postgres, rooms) = scene().await;
        let first = Outbox::start(&postgres, rooms.address).await;
        first.has_all().await;
        let second = Outbox::start(&postgres, rooms.address).await;
        has_half(&first).await;
        has_half(&second).await;
        first.pause();
        let mut connection = postgres.connect().await;
        for number in 0..40 {
            let name = format!("counter/{}", number % 20);
            ledger::change(&mut connection, &name, true).await.unwrap();
        }
        second.has_all().await;
        ledger::is_whole(&postgres, &rooms).await;
        first.resume();
        has_half(&first).await;
        has_half(&second).await;
        for number in 0..20 {
            let name = format!("counter/{number}");
            ledger::change(&mut connection, &name, true).await.unwrap();
        }
        ledger::is_whole(&postgres, &rooms).await;
        assert_eq!(rooms.room(ROOM).len(), 60);
    });
}
