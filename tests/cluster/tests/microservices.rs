//! `examples/microservices` on the cluster: three workers between two gateways.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::collections::{BTreeMap, BTreeSet};

use linnet_cluster_tests::application::{on_stage, rolled_out};
use linnet_cluster_tests::operator::{SYSTEM, crash};
use linnet_cluster_tests::{Cluster, Door, Guest, Kubectl, Namespace, scenario};
use serde_json::{Value, json};

const COUNTER: &str = "deployment/restaurant-counter";
const TABLES: usize = 12;
const ORDERS: u64 = 20;

/// A guest who orders soup after soup, and what the table was told.
struct Table {
    guest: Guest,
    name: String,
    told: Vec<Value>,
}

impl Table {
    async fn sit(door: &Door, number: usize) -> Self {
        let name = format!("table.{number}");
        let mut guest = Guest::enter(door).await;
        guest.subscribe(&name).await;
        Self {
            guest,
            name,
            told: Vec::new(),
        }
    }

    async fn order(&mut self, dish: &str, quantity: u64) {
        let order = json!({"dish": dish, "quantity": quantity});
        self.guest.publish(&self.name, &order).await;
    }

    /// Awaits that the table was told of `count` orders; gives who took the last one.
    async fn told(&mut self, count: u64) -> String {
        while (self.told.len() as u64) < count {
            self.told.push(self.guest.message().await);
        }
        self.told.last().unwrap()["by"].as_str().unwrap().to_owned()
    }
}

async fn scale(kubectl: &Kubectl, replicas: &str) {
    kubectl.run(&["scale", COUNTER, replicas]).await;
}

/// How many dead letters a namespace's restaurant has, as its NATS says.
async fn dead(namespace: &str) -> u64 {
    let nats = "linnet-nats-0:8222/proxy/jsz?accounts=true&streams=true";
    let path = format!("/api/v1/namespaces/{SYSTEM}/pods/{nats}");
    let state = Kubectl::anywhere().run(&["get", "--raw", &path]).await;
    let state: Value = serde_json::from_str(&state).unwrap();
    let name = format!("linnet_{namespace}_restaurant_dead");
    let accounts = state["account_details"].as_array().unwrap().iter();
    let mut streams = accounts.filter_map(|account| account["stream_detail"].as_array());
    let stream = streams.find_map(|streams| streams.iter().find(|stream| stream["name"] == name));
    stream.unwrap()["state"]["messages"].as_u64().unwrap()
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn each_order_is_taken_once_and_in_order_while_workers_are_killed_taken_away_and_added() {
    scenario(300, async {
        let namespace = Namespace::create("restaurant").await;
        let kubectl = namespace.kubectl();
        let channel = "realtimechannel/restaurant";
        let host = on_stage("microservices", channel, &[COUNTER], &namespace).await;
        let door = Cluster::current().http(&host);
        assert_eq!(kubectl.get(COUNTER).await["status"]["readyReplicas"], 3);
        let mut kitchen = Guest::enter(&door).await;
        kitchen.subscribe("kitchen").await;
        let mut tables = Vec::new();
        for number in 0..TABLES {
            tables.push(Table::sit(&door, number).await);
        }
        let mut gone = String::new();
        for quantity in 1..=ORDERS {
            for table in &mut tables {
                table.order("soup", quantity).await;
            }
            // Whoever does not read for long is taken for gone.
            kitchen.ping().await;
            match quantity {
                5 => {
                    tables[0].order("unicorn", 1).await;
                    let by = tables[0].told(quantity - 1).await;
                    crash(&kubectl.get(&format!("pod/{by}")).await);
                }
                10 => {
                    gone = tables[0].told(quantity - 1).await;
                    let delete = ["delete", "pod", &gone, "--wait=false"];
                    kubectl.run(&delete).await;
                }
                15 => {
                    tables[0].told(quantity - 1).await;
                    scale(&kubectl, "--replicas=1").await;
                }
                18 => scale(&kubectl, "--replicas=3").await,
                _ => {}
            }
        }
        let mut counters = BTreeSet::new();
        for table in &mut tables {
            let last = table.told(ORDERS).await;
            assert_ne!(last, gone, "another took over");
            for (told, quantity) in table.told.iter().zip(1u64..) {
                let by = &told["by"];
                let whole = json!({"dish": "soup", "quantity": quantity, "cents": 450 * quantity, "by": by});
                assert_eq!(told, &whole, "{}", table.name);
                counters.insert(by.to_string());
            }
        }
        println!(
            "{} counters took {} orders",
            counters.len(),
            TABLES as u64 * ORDERS
        );
        let mut cooked: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for _ in 0..TABLES as u64 * ORDERS {
            let order = kitchen.message().await;
            let table = order["table"].as_str().unwrap().to_owned();
            let quantity = order["quantity"].as_u64().unwrap();
            cooked.entry(table).or_default().push(quantity);
        }
        for table in &tables {
            let quantities: Vec<u64> = (1..=ORDERS).collect();
            assert_eq!(cooked[&table.name], quantities, "{}", table.name);
        }
        rolled_out(&kubectl, COUNTER).await;
        tables[0].order("tea", 1).await;
        assert_eq!(
            tables[0].guest.message().await["dish"],
            "tea",
            "nothing came twice"
        );
        assert_eq!(kitchen.message().await["dish"], "tea", "nor here");
        assert_eq!(
            dead(namespace.name()).await,
            1,
            "the unicorn, which no room has seen"
        );
    });
}
