//! Reads of a stream, beyond what a gateway has in memory.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::sync::Arc;

use futures_util::StreamExt;
use linnet_gateway::broker::{Event, Range, Request};
use linnet_gateway::message::{Message, Payload};
use linnet_gateway::names::Offset;
use linnet_tests::conformance::driver::{message, room};
use linnet_tests::conformance::{Driver, Started};
use linnet_tests::nats::broker;
use linnet_tests::prelude::*;

/// How many messages the room has, of how many bytes.
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

/// How many of the room's messages the server gives in one batch.
async fn in_one_batch(server: &NatsServer) -> usize {
    let stream = server.channel_stream().await;
    let client = server.client().await;
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.unwrap();
    let room = "linnet.default.tests.history.0.r_r";
    let ask = json!({"seq": 1, "next_by_subj": room, "batch": MESSAGES});
    let subject = format!("$JS.API.DIRECT.GET.{stream}");
    client
        .publish_with_reply(subject, inbox, ask.to_string().into())
        .await
        .unwrap();
    let mut count = 0;
    loop {
        let answer = within("a message or the end", 20, answers.next()).await;
        match answer.unwrap().status.map(|status| status.as_u16()) {
            None | Some(200) => count += 1,
            Some(204) => return count,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_read_that_the_server_cuts_short_goes_on_until_it_has_all() {
    scenario(60, async {
        // The server ends a batch at what may wait for a connection.
        let server = NatsServer::jetstream_with("", "max_pending: 1048576").await;
        let manifest = Manifest::unhurried().history(1000).nats(&[server.url()]);
        let started = Started {
            broker: Box::new(broker(&manifest).await),
            keep: Box::new(()),
        };
        let mut driver = Driver::over(started).connected().await;
        for _ in 0..MESSAGES {
            let text = Payload::Text("x".repeat(SIZE).into());
            driver.store(message("r", text), None).await;
        }
        let batch = in_one_batch(&server).await;
        assert!(batch < MESSAGES, "{batch}: nothing is cut short here");
        for range in [Range::After(Offset(0)), Range::Before(Offset(u64::MAX))] {
            let read = read(&mut driver, range, MESSAGES).await;
            let offsets = read.unwrap_or_default();
            let offsets = offsets.iter().map(|message| message.offset.unwrap().0);
            assert!(offsets.eq(1..=MESSAGES as u64), "{range:?}");
        }
    });
}
