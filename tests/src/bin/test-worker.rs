//! A worker that does what the message says: `test-worker URL,URL… NAME`.
//!
//! It passes a message on as `[<data>, <name>]`, except `"die"`, on which the process ends at once, `"refuse"`, which it
//! refuses, `"panic"`, and `"hang"`, which it never ends. It writes `working` once it works, and before each message
//! `got <data>`.
#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests ends where it can't go on"
)]

use std::io::Write;

use linnet_worker::{Channel, Data, Failure, Input, Output, Worker};

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let (urls, name) = (args.next().unwrap(), args.next().unwrap());
    let urls: Vec<&str> = urls.split(',').collect();
    let options = async_nats::ConnectOptions::new()
        .retry_on_initial_connect()
        .reconnect_delay_callback(|_| std::time::Duration::from_millis(50));
    let client = options.connect(urls).await.unwrap();
    say("working");
    let worker = Worker::new(client, Channel::new("default", "tests")).named(&name);
    let mut terminate =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
    let stop = async move {
        terminate.recv().await;
    };
    worker
        .run_until(stop, move |input| handle(input, name.clone()))
        .await;
}

fn say(line: &str) {
    // Nobody may be reading any more.
    let _ = writeln!(std::io::stdout(), "{line}");
}

async fn handle(input: Input, name: String) -> Result<Vec<Output>, Failure> {
    let Data::Json(text) = &input.data else {
        return Ok(vec![input.pass()]);
    };
    say(&format!("got {text}"));
    let data: serde_json::Value = input.json()?;
    match data.as_str() {
        Some("die") => std::process::abort(),
        Some("refuse") => Err(Failure::Again("it asked to be refused".to_owned())),
        Some("dead") => Err(Failure::Dead("it asked to be dead".to_owned())),
        Some("panic") => panic!("it asked for a panic"),
        Some("hang") => std::future::pending().await,
        Some("nothing") => Ok(Vec::new()),
        Some("elsewhere") => Ok(vec![
            input.reply(&"one")?,
            input.reply(&"two")?.to_room("elsewhere").anonymous(),
        ]),
        _ => Ok(vec![input.reply(&serde_json::json!([data, name]))?]),
    }
}
