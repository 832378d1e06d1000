//! A relay process of a test's own, killed when dropped.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;

use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::process::{Child, Command};

use crate::http;
use crate::metrics;
use crate::postgres::Postgres;
use crate::process::{self, Lines};
use crate::wait::{STEP, until, within};

/// The API key of relays: the stand-in's, and that of channels of tests.
pub const KEY: &str = "key-of-the-outbox-in-tests";

/// How many partitions an outbox has.
pub const PARTITIONS: f64 = 64.0;

/// A running `linnet-outbox`.
#[derive(Debug)]
pub struct Outbox {
    child: Child,
    log: Arc<Lines>,
    /// Where it tells how it is.
    pub address: SocketAddr,
    _key: NamedTempFile,
}

impl Outbox {
    /// Starts one between `postgres` and the internal port of a gateway, and awaits that it is ready.
    pub async fn start(postgres: &Postgres, gateway: SocketAddr) -> Self {
        Self::start_with(postgres, gateway, &[]).await
    }

    /// [`Self::start`] with more arguments.
    pub async fn start_with(postgres: &Postgres, gateway: SocketAddr, args: &[&str]) -> Self {
        let outbox = Self::spawn(postgres, gateway, args).await;
        outbox.ready(true).await;
        outbox
    }

    /// Starts one and awaits only that it listens.
    ///
    /// # Panics
    /// When it ends at once, with its log.
    pub async fn spawn(postgres: &Postgres, gateway: SocketAddr, args: &[&str]) -> Self {
        let key = NamedTempFile::new().unwrap();
        std::fs::write(key.path(), KEY).unwrap();
        let binary = process::binary(
            "LINNET_OUTBOX_BIN",
            "debug/linnet-outbox",
            "cargo build -p linnet-outbox",
        );
        let mut child = Command::new(binary)
            .args(["run", "--listen", "127.0.0.1:0", "--log-format", "json"])
            .args(["--database-url", &postgres.url()])
            .args(["--gateway", &format!("http://{gateway}")])
            .arg("--api-key-file")
            .arg(key.path())
            .args(args)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let out = Lines::collect(child.stdout.take().unwrap());
        let log = Lines::collect(child.stderr.take().unwrap());
        let listening = |line: &str| line.strip_prefix("listening ")?.parse().ok();
        let address = tokio::select! {
            address = within("the relay listens", STEP, out.find(listening)) => address,
            _ = child.wait() => panic!("the relay ended at once:\n{}", log.all().join("\n")),
        };
        Self {
            child,
            log,
            address,
            _key: key,
        }
    }

    /// Awaits that `/readyz` says that it is ready, or is not.
    pub async fn ready(&self, ready: bool) {
        until(("the relay is ready", ready), || async {
            let answer = http::get(self.address, "/readyz").await;
            ((answer.status == 200) == ready).then_some(())
        })
        .await;
    }

    /// The sum of the samples called `name`; 0 where there is none.
    ///
    /// # Panics
    /// When a line is malformed.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = http::get(self.address, "/metrics").await.body;
        let samples = metrics::parse(&text).unwrap();
        let named = samples.iter().filter(|sample| sample.name == name);
        named.map(|sample| sample.value).sum()
    }

    /// Awaits that `test` likes the metric `name`.
    pub async fn metric_is(&self, name: &str, test: impl Fn(f64) -> bool) {
        until(name, || async {
            test(self.metric(name).await).then_some(())
        })
        .await;
    }

    /// Awaits that it has all partitions.
    pub async fn has_all(&self) {
        self.metric_is("linnet_outbox_partitions", |count| count == PARTITIONS)
            .await;
    }

    /// Awaits the first log line (an object) that `test` gives something for.
    pub async fn logged<T>(&self, what: &str, test: impl Fn(&Value) -> Option<T>) -> T {
        let test = |line: &str| serde_json::from_str(line).ok().as_ref().and_then(&test);
        within(("a log line:", what), STEP, self.log.find(test)).await
    }

    /// All log lines so far.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.all()
    }

    /// Kills it with SIGKILL.
    pub async fn kill(&mut self) {
        process::end(&mut self.child, "KILL").await;
    }

    /// Stops it in order.
    ///
    /// # Panics
    /// When it ends with another exit code than 0.
    pub async fn stop(&mut self) {
        process::signal(&self.child, "TERM");
        let status = within("the relay's end", STEP, self.child.wait()).await;
        assert!(status.unwrap().success(), "{:#?}", self.log());
    }

    /// Stops it where it stands (SIGSTOP).
    pub fn pause(&self) {
        process::pause(&self.child);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        process::signal(&self.child, "CONT");
    }
}
