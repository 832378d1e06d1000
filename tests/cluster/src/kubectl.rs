//! kubectl, as a person uses it.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// kubectl in one namespace.
#[derive(Clone, Debug)]
pub struct Kubectl {
    namespace: String,
}

impl Kubectl {
    /// For what lies in `namespace`.
    #[must_use]
    pub fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
        }
    }

    /// For manifests that name their namespaces themselves.
    #[must_use]
    pub fn anywhere() -> Self {
        Self::new("")
    }

    /// The namespace; empty where that is anywhere.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Runs `kubectl ARGUMENTS…` and gives what it printed.
    ///
    /// # Errors
    /// What it said of its failure.
    ///
    /// # Panics
    /// When there is no kubectl.
    pub async fn ask(&self, arguments: &[&str]) -> Result<String, String> {
        self.feed(arguments, "").await
    }

    /// [`Self::ask`], where a failure ends the test.
    ///
    /// # Panics
    /// When kubectl fails, with what it said.
    pub async fn run(&self, arguments: &[&str]) -> String {
        self.ask(arguments)
            .await
            .unwrap_or_else(|error| panic!("kubectl {}: {error}", arguments.join(" ")))
    }

    /// Applies manifests.
    ///
    /// # Panics
    /// When the API server refuses them.
    pub async fn apply(&self, manifests: &str) {
        let outcome = self
            .feed(&["apply", "--server-side", "--filename", "-"], manifests)
            .await;
        outcome.unwrap_or_else(|error| panic!("{error}\n{manifests}"));
    }

    /// Has the API server check manifests as if they were applied.
    ///
    /// # Errors
    /// What it refuses.
    pub async fn dry_run(&self, manifests: &str) -> Result<String, String> {
        let apply = [
            "apply",
            "--server-side",
            "--dry-run=server",
            "--force-conflicts",
            "--filename",
            "-",
        ];
        self.feed(&apply, manifests).await
    }

    /// Waits until `what` (`deployment/chat`) is so (`condition=Available`, `delete`), for at most `seconds`.
    ///
    /// # Panics
    /// When it has not; with the object as it is then.
    pub async fn wait(&self, state: &str, what: &str, seconds: u64) {
        let (state, timeout) = (format!("--for={state}"), format!("--timeout={seconds}s"));
        if let Err(error) = self.ask(&["wait", &state, &timeout, what]).await {
            let described = self.ask(&["describe", what]).await.unwrap_or_default();
            let pods = self.ask(&["get", "pods", "--output", "wide"]).await;
            panic!(
                "{error}\n{described}\n{}\n{}",
                pods.unwrap_or_default(),
                self.happened().await
            );
        }
    }

    /// An object.
    ///
    /// # Panics
    /// When it is not there.
    pub async fn get(&self, what: &str) -> Value {
        serde_json::from_str(&self.run(&["get", what, "--output", "json"]).await).unwrap()
    }

    /// What the gateway in the pod `pod` says of itself.
    ///
    /// # Errors
    /// What kubectl says: the pod is gone, or not there yet.
    pub async fn status_of(&self, pod: &str) -> Result<Value, String> {
        let (namespace, port) = (&self.namespace, "9090");
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/status");
        let status = self.ask(&["get", "--raw", &path]).await?;
        serde_json::from_str(&status).map_err(|error| error.to_string())
    }

    /// The namespace's events, oldest first, for people.
    pub async fn happened(&self) -> String {
        let events = ["get", "events", "--sort-by=.metadata.creationTimestamp"];
        self.ask(&events).await.unwrap_or_default()
    }

    /// [`Self::ask`] with `input` as its standard input.
    ///
    /// # Errors
    /// What it said of its failure.
    ///
    /// # Panics
    /// When there is no kubectl.
    pub async fn feed(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut command = Command::new("kubectl");
        if !self.namespace.is_empty() {
            command.args(["--namespace", &self.namespace]);
        }
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("kubectl is on the PATH: eval \"$(tests/cluster/cluster env)\"");
        let mut stdin = child.stdin.take().unwrap();
        // kubectl may end without having read all of it, and says why itself.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let done = child.wait_with_output().await.unwrap();
        if done.status.success() {
            Ok(String::from_utf8_lossy(&done.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&done.stderr).into_owned())
        }
    }
}
