//! Directing a storm that blows inside the cluster's network.

use std::process::Stdio;

use linnet_tests::within;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::inside::Size;
use super::report::Report;
use crate::cluster;

/// Seconds until all clients are there.
const ARRIVAL: u64 = 120;

/// Seconds until everything that was published has arrived and was looked through.
const END: u64 = 300;

/// A storm under way; it ends with this.
#[derive(Debug)]
pub struct Weather {
    process: Child,
    orders: ChildStdin,
    told: Lines<BufReader<ChildStdout>>,
}

impl Weather {
    /// Starts a storm over the channel that answers at every host of the ingress, by `program`, the executable
    /// `linnet-cluster-storm`. Returns once every client is in its room and messages are under way.
    ///
    /// # Panics
    /// When that does not come to be.
    pub async fn begin(program: &str, size: Size) -> Self {
        let door = std::env::var("LINNET_CLUSTER_INSIDE").expect(
            "LINNET_CLUSTER_INSIDE names the ingress inside the cluster: eval \"$(tests/cluster/cluster env)\"",
        );
        let numbers = [size.clients as u64, size.rooms as u64, size.rate].map(|n| n.to_string());
        let mut process = Command::new(cluster::file("tests/cluster/cluster"))
            .args(["exec", "--", program, &door])
            .args(numbers)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let orders = process.stdin.take().unwrap();
        let told = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut weather = Self {
            process,
            orders,
            told,
        };
        let there = within("all clients are there", ARRIVAL, weather.hear()).await;
        assert_eq!(there["there"], size.clients, "{there}");
        weather
    }

    /// Begins a part: who leaves from now on is counted there.
    pub async fn part(&mut self, name: &str) {
        self.say(name).await;
        let answer = within("the storm goes on", ARRIVAL, self.hear()).await;
        eprintln!("{name}: {} messages before it", answer["acked"]);
    }

    /// Ends publishing, and gives the report once everybody was found to have everything once and in order. Prints it.
    ///
    /// # Panics
    /// When somebody has not.
    pub async fn calm(mut self) -> Report {
        self.say("calm").await;
        let report = within("everything has arrived", END, self.hear()).await;
        let status = within("the storm ends", END, self.process.wait()).await;
        assert!(status.unwrap().success());
        let report = Report::from_json(&report);
        println!("{report}");
        report
    }

    async fn say(&mut self, word: &str) {
        let line = format!("{word}\n");
        let said = self.orders.write_all(line.as_bytes()).await;
        said.expect("the storm blows on; why it does not is told above");
    }

    async fn hear(&mut self) -> Value {
        loop {
            let line = self.told.next_line().await.unwrap();
            let line = line.expect("the storm blows on; why it does not is told above");
            match serde_json::from_str(&line) {
                Ok(told) => return told,
                Err(_) => eprintln!("{line}"), // for people, such as its seed
            }
        }
    }
}
