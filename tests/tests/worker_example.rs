//! `examples/worker/run` starts everything and ends it, with the worker in each of its languages.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::process::{ExitStatus, Stdio};

use linnet_tests::gateway::{binary, workspace};
use linnet_tests::prelude::*;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long the first run may take, which builds the worker and fetches what it needs.
const PATIENCE: u64 = 900;

/// A run of the example.
struct Run {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// All that it has printed.
    said: Vec<String>,
}

impl Run {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(workspace().join("examples/worker/run"));
        // What cargo tells a test is not for another cargo: it would build dependencies anew for it, each time.
        for (name, _) in std::env::vars() {
            if name.starts_with("CARGO_") && !["CARGO_HOME", "CARGO_TARGET_DIR"].contains(&&*name) {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(arguments)
            .env("LINNET_LISTEN", "127.0.0.1:0")
            .env("LINNET_GATEWAY_BIN", binary().canonicalize().unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            lines,
            said: Vec::new(),
        }
    }

    /// Reads until a line holds `word`; gives what follows it.
    async fn says(&mut self, word: &str) -> String {
        let found = async {
            loop {
                let line = self.lines.next_line().await.unwrap();
                let line = line.unwrap_or_else(|| panic!("{word:?} is not in {:#?}", self.said));
                self.said.push(line.clone());
                if let Some((_, rest)) = line.split_once(word) {
                    return rest.to_owned();
                }
            }
        };
        within(("the example says", word), PATIENCE, found).await
    }

    async fn ended(&mut self) -> ExitStatus {
        while let Some(line) = within("its end", PATIENCE, self.lines.next_line())
            .await
            .unwrap()
        {
            self.said.push(line);
        }
        within("its end", 60, self.child.wait()).await.unwrap()
    }
}

/// Ann and Bob talk, and hear the worker's words; then somebody joins, says what is no text, and goes on.
async fn talks(language: &str) {
    let mut run = Run::start(&[language]);
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

    let pid = run.child.id().unwrap().to_string();
    let sent = std::process::Command::new("sh")
        .args(["-c", &format!("kill -TERM {pid}")])
        .status();
    assert!(sent.unwrap().success());
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
        let mut run = Run::start(&["--once"]);
        assert!(run.ended().await.success(), "{:#?}", run.said);
        let heard = run.said.iter().filter(|line| line.contains(" hears "));
        assert_eq!(heard.count(), 8, "{:#?}", run.said);
    });
}

#[test]
fn what_it_does_not_know_it_explains() {
    scenario(60, async {
        let mut run = Run::start(&["cobol"]);
        assert_eq!(run.ended().await.code(), Some(2));
    });
}
