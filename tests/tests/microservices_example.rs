//! `examples/microservices/run` starts everything and ends it; in between guests order, and workers die.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use linnet_tests::example::Run;
use linnet_tests::prelude::*;

const SCRIPT: &str = "examples/microservices/run";
const TABLES: usize = 12;
const ORDERS: u64 = 20;

/// A guest who orders soup after soup, and what the table was told.
struct Guest {
    client: Client,
    table: String,
    told: Vec<Value>,
}

impl Guest {
    async fn sit(gateway: std::net::SocketAddr, number: usize) -> Self {
        let mut client = Client::open(gateway, "").await.unwrap();
        // The script has been at the first tables.
        let table = format!("table.{}", 10 + number);
        client.subscribe(&table).await;
        Self {
            client,
            table,
            told: Vec::new(),
        }
    }

    async fn order(&mut self, dish: &str, quantity: u64) {
        let order = json!({"dish": dish, "quantity": quantity});
        self.client.publish(&self.table, order).await;
    }

    /// Awaits that the table was told of `count` orders; gives who took the last one.
    async fn told(&mut self, count: u64) -> String {
        while (self.told.len() as u64) < count {
            let frame = self.client.next_of("message").await;
            assert_eq!(frame["event"], "taken", "{frame}");
            assert_eq!(frame["from"], self.client.id(), "{frame}");
            self.told.push(frame["data"].clone());
        }
        self.told.last().unwrap()["by"].as_str().unwrap().to_owned()
    }
}

#[test]
fn each_order_is_taken_once_and_in_order_though_two_of_three_workers_are_killed() {
    scenario(400, async {
        let mut run = Run::start(SCRIPT, &[]);
        let nats = run.says("NATS at ").await;
        let gateway = run.says("gateway at ").await.parse().unwrap();
        let mut workers = BTreeMap::new();
        for _ in 0..3 {
            let line = run.says("worker counter-").await;
            let (number, process) = line.split_once(" is process ").unwrap();
            workers.insert(format!("counter-{number}"), process.to_owned());
        }
        run.says("order {").await;

        let mut kitchen = Client::open(gateway, "").await.unwrap();
        kitchen.subscribe("kitchen").await;
        let mut guests = Vec::new();
        for number in 0..TABLES {
            guests.push(Guest::sit(gateway, number).await);
        }
        for number in 1..=ORDERS {
            for guest in &mut guests {
                guest.order("soup", number).await;
            }
            if number == ORDERS / 3 {
                guests[0].order("unicorn", 1).await;
            }
            if number == ORDERS / 3 || number == 2 * ORDERS / 3 {
                // Most likely it has the next one in hand.
                let by = guests[0].told(number - 1).await;
                let process = workers.remove(&by).unwrap();
                let killed = Command::new("kill").args(["-KILL", &process]).status();
                assert!(killed.unwrap().success());
            }
        }

        let expected = |by: &Value, quantity| json!({"dish": "soup", "quantity": quantity, "cents": 450 * quantity, "by": by});
        for guest in &mut guests {
            let last = guest.told(ORDERS).await;
            assert!(workers.contains_key(&last), "{last} was killed before");
            for (told, quantity) in guest.told.iter().zip(1u64..) {
                assert_eq!(told, &expected(&told["by"], quantity), "{}", guest.table);
            }
        }
        let mut cooked: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for _ in 0..TABLES as u64 * ORDERS {
            let frame = kitchen.next_of("message").await;
            let table = frame["data"]["table"].as_str().unwrap().to_owned();
            let quantity = frame["data"]["quantity"].as_u64().unwrap();
            cooked.entry(table).or_default().push(quantity);
        }
        for guest in &guests {
            let quantities: Vec<u64> = (1..=ORDERS).collect();
            assert_eq!(cooked[&guest.table], quantities, "{}", guest.table);
        }
        // Nothing came a second time, neither here nor there.
        guests[0].order("tea", 1).await;
        guests[0].told(ORDERS + 1).await;
        assert_eq!(guests[0].told.last().unwrap()["dish"], "tea");
        assert_eq!(kitchen.next_of("message").await["data"]["dish"], "tea");

        let streams = async_nats::jetstream::new(async_nats::connect(nats).await.unwrap());
        let dead = streams.get_stream("linnet_default_restaurant_dead").await;
        let dead = dead.unwrap();
        assert_eq!(
            dead.cached_info().state.messages,
            2,
            "the script's and ours"
        );
        let mut by = BTreeSet::new();
        for number in 1..=2 {
            let letter = dead.get_raw_message(number).await.unwrap();
            let order: Value = serde_json::from_slice(&letter.payload).unwrap();
            assert_eq!(order["dish"], "unicorn");
            let reason = letter.headers.get("Linnet-Dead-Reason").unwrap();
            assert_eq!(reason.as_str(), r#""unicorn is not on the menu""#);
            by.insert(letter.headers.get("Linnet-Dead-By").unwrap().to_string());
        }
        assert!(
            by.iter().all(|name| name.starts_with("\"counter-")),
            "{by:?}"
        );

        run.terminate();
        assert!(!run.ended().await.success());
        let again = tokio::net::TcpStream::connect(gateway).await;
        assert!(again.is_err(), "the gateway went with it");
    });
}

#[test]
fn with_once_it_ends_by_itself() {
    scenario(400, async {
        let mut run = Run::start(SCRIPT, &["--once"]);
        assert!(run.ended().await.success(), "{:#?}", run.said);
        let said = |word: &str| run.said.iter().filter(|line| line.contains(word)).count();
        assert_eq!(
            (said("table.1: "), said("table.2: ")),
            (1, 2),
            "{:#?}",
            run.said
        );
        assert_eq!(said("kitchen: "), 3, "{:#?}", run.said);
        assert_eq!(said("a dead letter"), 1, "{:#?}", run.said);
    });
}
