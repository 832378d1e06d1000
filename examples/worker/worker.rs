//! The chat's worker in Rust: puts stars in the place of rude words, and stamps each message with the time and its name.
//! What is no text goes to the dead letters.
//!
//! `chat-worker [NATS-URL]`; `examples/worker/run` starts it with everything around it.

use std::time::{SystemTime, UNIX_EPOCH};

use linnet_worker::{Channel, Failure, Input, Output, Worker};
use serde_json::{Value, json};

const RUDE: [&str; 2] = ["darn", "drat"];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| "nats://127.0.0.1:4222".to_owned());
    let client = async_nats::connect(url).await?;
    let interrupted = async {
        let _ = tokio::signal::ctrl_c().await; // without signals it works until it is killed
    };
    Worker::new(client, Channel::new("default", "chat"))
        .named("rust")
        .run_until(interrupted, work)
        .await;
    Ok(())
}

async fn work(input: Input) -> Result<Vec<Output>, Failure> {
    let data: Value = input.json()?;
    let text = data.as_str().or(data["text"].as_str());
    let text = text.ok_or_else(|| Failure::Dead("the message has no text".to_owned()))?;
    let words = text.split(' ').map(|word| match RUDE.contains(&word) {
        true => "*".repeat(word.len()),
        false => word.to_owned(),
    });
    let text = words.collect::<Vec<_>>().join(" ");
    let at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(vec![input.reply(
        &json!({"text": text, "at": at, "worker": "rust"}),
    )?])
}
