//! The storm's own process.

use std::net::SocketAddr;

use linnet_tests::storm::{Outcome, Progress, Storm};
use linnet_tests::{Client, Doors};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::report::{Away, Report};

/// How large a storm is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Clients, which follow a room each.
    pub clients: usize,
    /// Rooms, among which clients and messages are shared evenly.
    pub rooms: usize,
    /// Messages a second, of ten publishers.
    pub rate: u64,
}

/// A storm with all that is behind `door`. Tells on standard output, a JSON object a line: that everybody is there, and in
/// the end a [`Report`]. Reads from standard input, a word a line: the name of the part that begins, or `calm`, upon
/// which publishers end and everything is looked through.
///
/// # Panics
/// When anything was lost, doubled or reordered, or anybody was treated badly.
pub async fn blow(door: SocketAddr, size: Size) {
    let storm = Storm {
        clients: size.clients,
        rooms: size.rooms,
        rate: size.rate,
        publishers: 10,
        messages: u64::from(u32::MAX),
        calms: true,
        ..Storm::new()
    };
    let orders = orders();
    let mut parts: Vec<(String, Instant)> = Vec::new();
    let outcome = storm
        .blow(&Doors::one(door), 1, async |mut progress: Progress| {
            progress.all_are_there().await;
            progress.goes_on(size.rate).await;
            println!("{}", json!({"there": size.clients}));
            parts = directed(orders, &progress).await;
        })
        .await;
    let mut reader = Client::open(door, "").await.expect("the channel is open");
    outcome.is_whole(&mut reader).await;
    println!("{}", report(&outcome, &parts).to_json());
}

/// The lines of standard input.
fn orders() -> mpsc::UnboundedReceiver<String> {
    let (orders, given) = mpsc::unbounded_channel();
    // A thread of its own: a read of standard input can't be given up, and is not to keep the runtime.
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if orders.send(line).is_err() {
                return;
            }
        }
    });
    given
}

/// The parts, and when each began, until it is to be calm.
async fn directed(
    mut orders: mpsc::UnboundedReceiver<String>,
    progress: &Progress,
) -> Vec<(String, Instant)> {
    let mut parts = Vec::new();
    while let Some(line) = orders.recv().await {
        if line == "calm" {
            return parts;
        }
        parts.push((line, Instant::now()));
        println!("{}", json!({"acked": progress.acked()}));
    }
    panic!("whoever directs the storm is gone");
}

fn report(outcome: &Outcome, parts: &[(String, Instant)]) -> Report {
    let absences: Vec<_> = outcome
        .followers
        .iter()
        .flat_map(|follower| follower.absences.iter().copied())
        .collect();
    let ends = parts.iter().skip(1).map(|(_, begin)| Some(*begin));
    let parts = parts.iter().zip(ends.chain([None]));
    Report {
        messages: outcome.acked.len() as u64,
        parts: parts
            .map(|((name, begin), end)| Away::of(name, &absences, *begin, end))
            .collect(),
    }
}
