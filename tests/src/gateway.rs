//! A gateway process of a test's own: started from a manifest, on ports of its own, killed when dropped.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::client::{Client, Refusal};
use crate::http::{self, Answer};
use crate::manifest::Manifest;
use crate::metrics::{self, Sample};
use crate::plain::Plain;
use crate::process::{self, Lines};
use crate::wait::{STEP, until, within};

/// The gateway binary: `LINNET_GATEWAY_BIN`, else the workspace's release build.
///
/// # Panics
/// When there is none, saying how to build it.
#[must_use]
pub fn binary() -> PathBuf {
    process::binary(
        "LINNET_GATEWAY_BIN",
        "release/linnet-gateway",
        "cargo build --release -p linnet-gateway",
    )
}

/// The workspace's root.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    out: Arc<Lines>,
    log: Arc<Lines>,
    /// The public port.
    pub public: SocketAddr,
    /// The internal port.
    pub internal: SocketAddr,
    /// The manifest's file, which the gateway watches.
    pub file: PathBuf,
    /// Holds `file`, where the gateway was given its manifest by [`Self::start`].
    _folder: TempDir,
}

impl Gateway {
    /// Starts a gateway that serves `manifest` and awaits that it listens.
    pub async fn start(manifest: &Manifest) -> Self {
        Self::start_with(manifest, &[]).await
    }

    /// [`Self::start`] with more command line arguments.
    ///
    /// # Panics
    /// When the gateway does not start, with its log.
    pub async fn start_with(manifest: &Manifest, args: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("channel.yaml");
        std::fs::write(&file, manifest.yaml()).unwrap();
        Self::start_file(folder, file, args).await
    }

    /// [`Self::start_with`] and environment variables.
    ///
    /// # Panics
    /// When the gateway does not start, with its log.
    pub async fn start_in(manifest: &Manifest, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("channel.yaml");
        std::fs::write(&file, manifest.yaml()).unwrap();
        Self::launch(folder, file, args, variables).await
    }

    /// Starts a gateway on `file`, which lies in `folder`.
    ///
    /// # Panics
    /// When the gateway does not start, with its log.
    pub async fn start_file(folder: TempDir, file: PathBuf, args: &[&str]) -> Self {
        Self::launch(folder, file, args, &[]).await
    }

    async fn launch(
        folder: TempDir,
        file: PathBuf,
        args: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let inherited = std::env::vars().map(|(name, _)| name);
        let inherited = inherited.filter(|name| name.starts_with("OTEL_"));
        let mut command = Command::new(binary());
        inherited.for_each(|name| {
            command.env_remove(name);
        });
        let mut child = command
            .arg(&file)
            .args(["--listen", "127.0.0.1:0", "--internal", "127.0.0.1:0"])
            .args(["--log-format", "json"])
            .args(args)
            // What the caller debugs must not decide what a test sees.
            .env_remove("RUST_LOG")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let out = Lines::collect(child.stdout.take().unwrap());
        let log = Lines::collect(child.stderr.take().unwrap());
        let listening = tokio::select! {
            addresses = within("the listening line", STEP, out.find(listening)) => Some(addresses),
            _ = child.wait() => None,
        };
        let Some((public, internal)) = listening else {
            panic!("the gateway ended at once:\n{}", log.all().join("\n"));
        };
        Self {
            child,
            out,
            log,
            public,
            internal,
            file,
            _folder: folder,
        }
    }

    /// A JSON client.
    pub async fn client(&self) -> Client {
        self.client_with("").await
    }

    /// A JSON client with a handshake query.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn client_with(&self, query: &str) -> Client {
        match self.try_client(query).await {
            Ok(client) => client,
            Err(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    /// A JSON client, if the gateway takes it.
    ///
    /// # Errors
    /// The HTTP answer of a refusal.
    pub async fn try_client(&self, query: &str) -> Result<Client, Refusal> {
        Client::open(self.public, query).await
    }

    /// A plain client in `room`.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn plain(&self, room: &str) -> Plain {
        Plain::open(self.public, room, "").await.unwrap()
    }

    /// `GET path` on the internal port.
    pub async fn get(&self, path: &str) -> Answer {
        http::get(self.internal, path).await
    }

    /// `GET path` on the public port.
    pub async fn get_public(&self, path: &str) -> Answer {
        http::get(self.public, path).await
    }

    /// `/status`.
    pub async fn status(&self) -> Value {
        self.get("/status").await.json()
    }

    /// All samples of `/metrics`.
    ///
    /// # Panics
    /// When a line is malformed.
    pub async fn metrics(&self) -> Vec<Sample> {
        metrics::parse(&self.get("/metrics").await.body).unwrap()
    }

    /// The sum of all samples called `name`, over all labels; 0 where there is none.
    pub async fn metric(&self, name: &str) -> f64 {
        let samples = self.metrics().await;
        let named = samples.iter().filter(|sample| sample.name == name);
        named.map(|sample| sample.value).sum()
    }

    /// Awaits that the metric `name` reaches `least`.
    pub async fn metric_reaches(&self, name: &str, least: f64) {
        until((name, "at least", least), || async {
            (self.metric(name).await >= least).then_some(())
        })
        .await;
    }

    /// Awaits that it knows of `count` gateways of its channel, itself included: direct messages reach their connections.
    pub async fn knows(&self, count: usize) {
        self.metric_reaches("linnet_broker_gateways", count as f64)
            .await;
    }

    /// Puts another manifest in the place of the one that is served and awaits that the gateway applied it.
    ///
    /// # Panics
    /// When it is not applied in time.
    pub async fn reconfigure(&self, manifest: &Manifest) {
        let before = self.status().await["configHash"].clone();
        self.replace(&manifest.yaml());
        until("another configHash", || async {
            let status = self.status().await;
            (status["configHash"] != before && status["configError"].is_null()).then_some(())
        })
        .await;
    }

    /// Puts `text` in the manifest's place, as an editor does: a new file renamed over the old one.
    ///
    /// # Panics
    /// When the file can't be written.
    pub fn replace(&self, text: &str) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &self.file).unwrap();
    }

    /// Awaits the first log line (an object) that `test` gives something for, from the start of the process.
    pub async fn logged<T>(&self, what: &str, test: impl Fn(&Value) -> Option<T>) -> T {
        let test = |line: &str| serde_json::from_str(line).ok().as_ref().and_then(&test);
        within(("a log line:", what), STEP, self.log.find(test)).await
    }

    /// All log lines so far.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.all()
    }

    /// All lines on standard output so far.
    #[must_use]
    pub fn stdout(&self) -> Vec<String> {
        self.out.all()
    }

    /// Awaits that `/readyz` answers 200: over NATS a gateway listens before its broker is connected and warm.
    pub async fn ready(&self) {
        self.readyz("200", |answer| answer.status == 200).await;
    }

    /// Awaits that `/readyz` answers 200 and its body has one of `words`, in upper or lower case: the gateway keeps its
    /// clients and tells what is wrong.
    pub async fn stays_ready_but_says(&self, words: &[&str]) {
        self.readyz(words, |answer| {
            assert_eq!(answer.status, 200, "{answer:?}");
            let body = answer.body.to_lowercase();
            words.iter().any(|word| body.contains(word))
        })
        .await;
    }

    /// Awaits that the body of `/readyz` tells of nothing that is wrong.
    pub async fn is_well(&self) {
        self.readyz("ready and no more", |answer| answer.body == "ready\n")
            .await;
    }

    /// Awaits that `test` likes the answer of `/readyz`; says what it was where that takes too long.
    async fn readyz(&self, what: impl Debug, test: impl Fn(&Answer) -> bool) {
        let begun = Instant::now();
        loop {
            let answer = self.get("/readyz").await;
            if test(&answer) {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(STEP),
                "/readyz was to say {what:?}, and says {}: {:?}",
                answer.status,
                answer.body
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends a signal by its short name (`TERM`, `INT`).
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, name: &str) {
        process::signal(&self.child, name);
    }

    /// Kills the process with SIGKILL.
    pub async fn kill(&mut self) {
        process::end(&mut self.child, "KILL").await;
    }

    /// Stops the process where it stands (SIGSTOP).
    pub fn pause(&self) {
        process::pause(&self.child);
    }

    /// Lets a paused process go on.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// Awaits the process's end for at most `seconds`.
    ///
    /// # Panics
    /// When it is still running then.
    pub async fn exit(&mut self, seconds: u64) -> ExitStatus {
        within("the gateway's exit", seconds, self.child.wait())
            .await
            .unwrap()
    }

    /// The process's resident memory in bytes.
    ///
    /// # Panics
    /// When the process is gone.
    #[must_use]
    pub fn rss(&self) -> u64 {
        let path = format!("/proc/{}/statm", self.child.id().unwrap());
        let statm = std::fs::read_to_string(path).unwrap();
        let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4096
    }
}

/// Reads `listening public=ADDR internal=ADDR`.
fn listening(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let rest = line.strip_prefix("listening public=")?;
    let (public, internal) = rest.split_once(" internal=")?;
    Some((public.parse().ok()?, internal.trim().parse().ok()?))
}
