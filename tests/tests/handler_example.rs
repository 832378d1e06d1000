//! `examples/handler/run` starts everything and ends it, with the back end in each of its languages, over HTTP and NATS.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::net::SocketAddr;

use linnet_tests::example::Run;
use linnet_tests::prelude::*;

const SCRIPT: &str = "examples/handler/run";

fn request(event: &str, data: Value) -> Value {
    json!({"type": "request", "event": event, "data": data})
}

/// Ann comes in and asks; Mallory does not come in; Bob comes and leaves.
async fn serves(language: &str, way: &str) {
    let mut run = Run::start(SCRIPT, &[language, way]);
    let public: SocketAddr = run.says("gateway at ").await.parse().unwrap();
    let mut ann = Client::open(public, "name=Ann").await.unwrap();
    assert_eq!(
        ann.connected["data"],
        json!({"hello": "Ann", "from": language})
    );
    assert_eq!(ann.next_of("subscribed").await["room"], "news");
    let price = ann.ack(request("price", json!({"sku": "A-17"}))).await;
    assert_eq!(price["data"], json!({"amount": 4.2, "currency": "EUR"}));
    for (event, data, reason) in [
        ("price", json!({"sku": "C-3"}), "unknown_sku"),
        ("price", json!(7), "unknown_sku"),
        ("sing", json!(null), "unknown_event"),
    ] {
        let error = ann.refused(request(event, data), "rejected").await;
        assert_eq!(error["reason"], reason, "{error}");
    }

    let mut raw = Raw::upgraded(public, "name=Mallory").await;
    let closed = (4013, "the shop is closed for you".to_owned());
    assert_eq!(raw.closed().await, closed);

    let bob = Client::open(public, "name=Bob").await.unwrap();
    let who = ann.ack(request("who", json!(null))).await;
    assert_eq!(who["data"], json!(["Ann", "Bob"]));
    bob.close().await;
    let mut alone = false;
    while !alone {
        let who = ann.ack(request("who", json!(null))).await;
        alone = who["data"] == json!(["Ann"]);
    }

    run.terminate();
    let ended = run.ended().await;
    assert!(!ended.success());
    let again = tokio::net::TcpStream::connect(&public).await;
    assert!(again.is_err(), "the gateway went with it");
}

#[test]
fn the_shop_has_a_back_end_in_node_over_http() {
    scenario(200, serves("node", "http"));
}

#[test]
fn the_shop_has_a_back_end_in_python_over_http() {
    scenario(200, serves("python", "http"));
}

#[test]
fn the_shop_has_a_back_end_in_node_over_nats() {
    scenario(200, serves("node", "nats"));
}

#[test]
fn the_shop_has_a_back_end_in_python_over_nats() {
    scenario(200, serves("python", "nats"));
}

#[test]
fn what_it_does_not_know_it_explains() {
    scenario(60, async {
        let mut run = Run::start(SCRIPT, &["cobol"]);
        let ended = run.ended().await;
        assert_eq!(ended.code(), Some(2));
    });
}
