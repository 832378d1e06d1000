//! A worker process of a test's own, killed when dropped.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use tokio::process::{Child, Command};

use crate::nats::NatsServer;
use crate::process::{self, Lines};
use crate::wait::{STEP, within};

/// Cargo builds it with the tests, and puts it beside the folder that they are in.
fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().nth(2);
    folder.unwrap().join("test-worker")
}

/// A running `test-worker`.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    out: Arc<Lines>,
}

impl Worker {
    /// Starts a worker of the channel `tests` and awaits that it works.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(server: &NatsServer, name: &str) -> Self {
        Self::start_at(&server.url(), name).await
    }

    /// [`Self::start`] at `urls`, separated by commas.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_at(urls: &str, name: &str) -> Self {
        let mut child = Command::new(binary())
            .args([urls, name])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let out = Lines::collect(child.stdout.take().unwrap());
        let working = out.find(|line| (line == "working").then_some(()));
        within(("the worker", name), STEP, working).await;
        Self { child, out }
    }

    /// Awaits that it got a message with `data`.
    pub async fn got(&self, data: &serde_json::Value) {
        let line = format!("got {data}");
        let got = self.out.find(|said| (said == line).then_some(()));
        within(("the worker gets", data), STEP, got).await;
    }

    /// How many messages it got.
    #[must_use]
    pub fn count(&self) -> usize {
        let lines = self.out.all();
        lines.iter().filter(|line| line.starts_with("got ")).count()
    }

    /// Kills it with SIGKILL.
    pub async fn kill(&mut self) {
        if self.is_running() {
            process::end(&mut self.child, "KILL").await;
        }
    }

    /// Stops it in order.
    pub async fn stop(&mut self) {
        process::end(&mut self.child, "TERM").await;
    }

    /// Awaits that it ends by itself.
    ///
    /// # Panics
    /// When it does not, in time.
    pub async fn ended(&mut self) {
        within("the worker's end", STEP, self.child.wait())
            .await
            .unwrap();
    }

    /// Whether it has not ended yet.
    ///
    /// # Panics
    /// When the system can't say.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Stops the process where it stands (SIGSTOP).
    pub fn pause(&self) {
        process::pause(&self.child);
    }

    /// Lets a paused process go on.
    pub fn resume(&self) {
        process::signal(&self.child, "CONT");
    }
}
