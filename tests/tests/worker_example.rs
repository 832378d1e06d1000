//! `examples/worker/run` starts everything and ends it, with the worker in each of its languages.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::example::Run;
use linnet_tests::prelude::*;

const SCRIPT: &str = "examples/worker/run";

/// Ann and Bob talk, and hear the worker's words; then somebody joins, says what is no text, and goes on.
async fn talks(language: &str) {
    let mut run = Run::start(SCRIPT, &[language]);
    let nats = run.says("NATS at ").await;
    let gateway = run.says("gateway at ").await;
    run.says("join in the room chat").await;
    for name in ["Ann", "Bob"] {
        let heard: Vec<&String> = run
            .said
            .iter()
            .filter(|line| line.starts_with(&format!("{name} hears ")))
            .collect();
        assert_eq!(heard.len(), 4, "{:#?}", run.said);
        for words in ["hello Ann", "hello Bob", "**** this weather", "****"] {
            let said = format!("\"text\":\"{words}\",\"worker\":\"{language}\"");
            let times = heard.iter().filter(|line| line.contains(&said)).count();
            assert_eq!(times, 1, "{name} and {words:?}: {:#?}", run.said);
        }
    }

    let mut client = Client::open(gateway.parse().unwrap(), "name=Eve")
        .await
        .unwrap();
    client.subscribe("chat").await;
    client.publish("chat", json!({"no": "text"})).await;
    client.publish("chat", json!("drat that")).await;
    client.patience = 60;
    let frame = client.skip_to("message").await;
    assert_eq!(frame["data"]["text"], "**** that", "{frame}");
    assert_eq!(frame["info"]["name"], "Eve", "in her name: {frame}");
    let streams = async_nats::jetstream::new(async_nats::connect(nats).await.unwrap());
    let dead = streams
        .get_stream("linnet_default_chat_dead")
        .await
        .unwrap();
    assert_eq!(dead.cached_info().state.messages, 1);
    let letter = dead.get_raw_message(1).await.unwrap();
    assert_eq!(letter.payload, r#"{"no":"text"}"#);
    assert_eq!(
        letter.headers.get("Linnet-Dead-By").unwrap().as_str(),
        json!(language).to_string()
    );
    assert!(letter.headers.get("Linnet-Dead-Reason").is_some());

    run.terminate();
    assert!(!run.ended().await.success());
    let again = tokio::net::TcpStream::connect(&gateway).await;
    assert!(again.is_err(), "the gateway went with it");
}

#[test]
fn the_chat_with_its_worker_in_rust_runs_on_one_machine() {
    scenario(400, talks("rust"));
}

#[test]
fn the_chat_with_its_worker_in_python_runs_on_one_machine() {
    scenario(400, talks("python"));
}

#[test]
fn with_once_it_ends_by_itself() {
    scenario(400, async {
        let mut run = Run::start(SCRIPT, &["--once"]);
        assert!(run.ended().await.success(), "{:#?}", run.said);
        let heard = run.said.iter().filter(|line| line.contains(" hears "));
        assert_eq!(heard.count(), 8, "{:#?}", run.said);
    });
}

#[test]
fn what_it_does_not_know_it_explains() {
    scenario(60, async {
        let mut run = Run::start(SCRIPT, &["cobol"]);
        assert_eq!(run.ended().await.code(), Some(2));
    });
}
