//! Reads of a stream, beyond what a gateway has in memory.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::sync::Arc;

use futures_util::StreamExt;
use linnet_gateway::broker::{Event, Range, Request};
use linnet_gateway::message::{Message, Payload};
use linnet_gateway::names::Offset;
use linnet_tests::conformance::driver::{at, message, number, room};
use linnet_tests::conformance::{Driver, Started};
use linnet_tests::nats::broker;
use linnet_tests::prelude::*;

/// How many messages the room has, of how many bytes: more than the gateway takes in one batch, twice over.
const MESSAGES: usize = 40;
const SIZE: usize = 60_000;

async fn read(driver: &mut Driver, range: Range, limit: usize) -> Option<Vec<Arc<Message>>> {
    let wanted = driver.token();
    driver.submit(Request::Read {
        token: wanted,
        room: room("r"),
        range,
        limit,
    });
    let answer = |event: &Event| match event {
        Event::Read { token, complete } if *token == wanted => Some(complete.clone()),
        _ => None,
    };
    driver.take("the answer to a read", answer).await
}

/// The broker of the channel of `manifest`.
async fn driver(manifest: &Manifest) -> Driver {
    let started = Started {
        broker: Box::new(broker(manifest).await),
        keep: Box::new(()),
    };
    Driver::over(started).connected().await
}

#[test]
fn a_read_that_the_server_cuts_short_goes_on_until_it_has_all() {
    scenario(60, async {
        let server = NatsServer::jetstream().await;
        let observer = server.client().await;
        let mut asked = observer.subscribe("$JS.API.DIRECT.GET.>").await.unwrap();
        observer.flush().await.unwrap();
        let manifest = Manifest::unhurried().history(1000).nats(&[server.url()]);
        let mut driver = driver(&manifest).await;
        for _ in 0..MESSAGES {
            let text = Payload::Text("x".repeat(SIZE).into());
            driver.store(message("r", text), None).await;
        }
        for range in [Range::After(Offset(0)), Range::Before(Offset(u64::MAX))] {
            let read = read(&mut driver, range, MESSAGES).await;
            let offsets = read.unwrap_or_default();
            let offsets = offsets.iter().map(|message| message.offset.unwrap().0);
            assert!(offsets.eq(1..=MESSAGES as u64), "{range:?}");
            // It could have asked for all at once.
            let mut starts = Vec::new();
            while starts.len() < 3 {
                let question = within("a question", 60, asked.next()).await.unwrap();
                let question: Value = serde_json::from_slice(&question.payload).unwrap();
                if question["batch"].as_u64() > Some(MESSAGES as u64) {
                    starts.push(question["seq"].as_u64().unwrap());
                }
            }
            assert!(starts[0] == 1 && starts.is_sorted(), "{starts:?}");
        }
    });
}

/// Any of three copies answers a read, and one of them may not have yet what the other two have acknowledged.
#[test]
fn on_three_copies_a_read_right_after_an_ack_has_the_message() {
    scenario(120, async {
        let cluster = NatsCluster::start().await;
        let manifest = Manifest::unhurried().history(1000).replicas(3);
        // One broker on each server: each asks the copy that is nearest.
        let mut drivers = Vec::new();
        for node in 0..3 {
            let manifest = manifest.clone().nats(&[cluster.node(node).url()]);
            drivers.push(driver(&manifest).await);
        }
        let mut last = Offset(0);
        for n in 0..150 {
            let receipt = drivers[n % 3].store(number("r", n as u64), None).await;
            let (_, offset) = at(&receipt);
            for driver in &mut drivers {
                let read = read(driver, Range::After(last), 100).await;
                let read = read.expect("all that is stored");
                let offsets: Vec<_> = read.iter().map(|message| message.offset).collect();
                assert_eq!(offsets, [Some(offset)], "after {last:?}");
            }
            last = offset;
        }
    });
}
