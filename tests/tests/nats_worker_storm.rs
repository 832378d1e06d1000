//! Workers that are killed, NATS that restarts and a message that kills, all at once.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::collections::HashMap;
use std::time::Duration;

use linnet_tests::prelude::*;
use linnet_tests::seed::seed;
use linnet_tests::work::{ROOMS, is_worked_off, room, scene};
use linnet_tests::{Worker, client::is_passing};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// How many messages the storm has; one of them kills its workers.
const STORM: u64 = 5_000;
const POISONED: u64 = 1_234;
/// What takes longer does not come.
const SILENCE: Duration = Duration::from_secs(60);
/// Between two messages of one publisher, so that the storm outlasts some kills.
const PACE: Duration = Duration::from_millis(8);

/// Publishes every fourth message from `first` on, each until it is acked, in order.
async fn publish(mut client: Client, first: u64) {
    for number in (first..STORM).step_by(4) {
        let data = match number {
            POISONED => json!("die"),
            _ => json!(number),
        };
        let id = format!("{number}");
        let request =
            json!({"type": "publish", "room": room(number), "data": data, "message_id": id});
        loop {
            match client.request(request.clone()).await {
                Ok(_) => break,
                Err(error) => assert!(is_passing(&error), "{error}"),
            }
            tokio::time::sleep(PACE * 10).await;
        }
        tokio::time::sleep(PACE).await;
    }
}

/// Hears all rooms until each message but the poisoned one has come, or nothing comes any more; gives them by room.
async fn hear(mut client: Client) -> HashMap<String, Vec<u64>> {
    client.patience = 2 * SILENCE.as_secs();
    let mut heard: HashMap<String, Vec<u64>> = HashMap::new();
    for _ in 0..STORM - 1 {
        let Ok(frame) = tokio::time::timeout(SILENCE, client.next_of("message")).await else {
            break;
        };
        let room = frame["room"].as_str().unwrap().to_owned();
        let number = frame["data"][0].as_u64().unwrap();
        heard.entry(room).or_default().push(number);
    }
    heard
}

/// All dead letters, as payload and headers.
async fn letters(server: &NatsServer) -> Vec<(String, String)> {
    let streams = server.streams().await;
    let dead = streams.get_stream("linnet_default_tests_dead").await;
    let mut dead = dead.unwrap();
    let state = dead.info().await.unwrap().state.clone();
    let mut letters = Vec::new();
    for sequence in state.first_sequence..=state.last_sequence {
        let letter = dead.get_raw_message(sequence).await.unwrap();
        let headers = letter.headers.iter();
        let headers = headers.map(|(name, values)| format!("{name}: {}", values[0]));
        let headers = headers.collect::<Vec<_>>().join(", ");
        letters.push((String::from_utf8_lossy(&letter.payload).into(), headers));
    }
    letters
}

#[test]
fn workers_are_killed_nats_restarts_and_a_message_is_poisoned_yet_all_is_worked_once_and_in_order()
{
    scenario(150, async {
        let (mut server, fleet) = scene().await;
        let mut hearing = Vec::new();
        for number in 0..2 {
            let mut client = fleet[number].client().await;
            for number in 0..ROOMS {
                client.subscribe(&room(number)).await;
            }
            hearing.push(tokio::spawn(hear(client)));
        }
        let mut workers = Vec::new();
        for number in 0..3 {
            workers.push(Worker::start(&server, &format!("w{number}")).await);
        }
        let mut publishing = Vec::new();
        for first in 0..4 {
            let client = fleet[first as usize % 2].client().await;
            publishing.push(tokio::spawn(publish(client, first)));
        }
        let mut random = StdRng::seed_from_u64(seed());
        let mut kills = 0;
        while hearing.iter().any(|task| !task.is_finished()) {
            // One is killed every two seconds, and all that have died are replaced.
            tokio::time::sleep(Duration::from_secs(2)).await;
            workers[random.random_range(0..3)].kill().await;
            kills += 1;
            if kills == 3 {
                server.restart().await;
            }
            for (number, one) in workers.iter_mut().enumerate() {
                if !one.is_running() {
                    *one = Worker::start(&server, &format!("w{number}")).await;
                }
            }
        }
        for task in publishing {
            task.await.unwrap();
        }
        let letters = letters(&server).await;
        assert_eq!(letters.len(), 1, "{letters:#?}");
        let (payload, headers) = &letters[0];
        assert_eq!(payload, "\"die\"");
        assert!(headers.contains("never acknowledged"), "{headers}");
        for task in hearing {
            let heard = task.await.unwrap();
            for number in 0..ROOMS {
                let all = (number..STORM).step_by(ROOMS as usize);
                let expected: Vec<u64> = all.filter(|number| *number != POISONED).collect();
                assert_eq!(heard[&room(number)], expected, "{}", room(number));
            }
        }
        assert!(kills >= 3, "the storm was over before NATS restarted");
        is_worked_off(&server).await;
    });
}
