//! One server.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use async_nats::jetstream;
use futures_util::StreamExt;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::ports;
use crate::process::{self, Lines};
use crate::wait::{STEP, until, within};

/// The server's binary: `LINNET_NATS_SERVER`, else `nats-server` of the search path.
fn binary() -> PathBuf {
    std::env::var_os("LINNET_NATS_SERVER").map_or_else(|| "nats-server".into(), PathBuf::from)
}

/// A server. It keeps its port and its folder over all its lives; the folder goes with it.
#[derive(Debug)]
pub struct NatsServer {
    /// `None` while it is down.
    child: Option<Child>,
    log: Arc<Lines>,
    /// Where clients connect, on 127.0.0.1.
    pub port: u16,
    config: String,
    folder: TempDir,
}

impl NatsServer {
    /// Starts a server with the lines of `config` (its own format) and awaits that it is ready.
    pub async fn start(config: &str) -> Self {
        let mut server = Self::prepare(ports::lasting(), config);
        server.launch().await;
        server
    }

    /// [`Self::start`] with JetStream, which keeps its streams in the server's folder.
    pub async fn jetstream() -> Self {
        Self::jetstream_with("", "").await
    }

    /// [`Self::jetstream`] with more lines in its block (`max_file: 1M`) and in the `config` around it.
    pub async fn jetstream_with(limits: &str, config: &str) -> Self {
        let mut server = Self::prepare(ports::lasting(), "");
        server.config = server.with_store(limits, config);
        server.launch().await;
        server
    }

    /// A server on `port` that is not started yet.
    pub(super) fn prepare(port: u16, config: &str) -> Self {
        Self {
            child: None,
            log: Arc::default(),
            port,
            config: config.to_owned(),
            folder: TempDir::new().unwrap(),
        }
    }

    /// `config` and a JetStream block with `limits`, for [`Self::restart_with`].
    #[must_use]
    pub fn with_store(&self, limits: &str, config: &str) -> String {
        let store = self.store();
        format!("jetstream {{\nstore_dir: {store:?}\n{limits}\n}}\n{config}")
    }

    /// Gives the server that is down another configuration, for its next start.
    pub(super) fn configure(&mut self, config: String) {
        self.config = config;
    }

    /// Starts the server that is down and awaits that it takes clients.
    ///
    /// # Panics
    /// When it does not start, with its log.
    pub async fn launch(&mut self) {
        self.spawn();
        self.ready().await;
    }

    /// Starts the process.
    pub(super) fn spawn(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        self.write();
        let mut child = Command::new(binary())
            .arg("-c")
            .arg(self.file())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("nats-server is missing: tests/run installs it");
        self.log = Lines::collect(child.stderr.take().unwrap());
        self.child = Some(child);
    }

    /// Awaits that the process says that it is ready.
    pub(super) async fn ready(&mut self) {
        let ready = self
            .log
            .find(|line| line.ends_with("Server is ready").then_some(()));
        let child = self.child.as_mut().expect("a running server");
        let up = tokio::select! {
            () = within("the NATS server", STEP, ready) => true,
            _ = child.wait() => false,
        };
        assert!(
            up,
            "nats-server ended at once:\n{}",
            self.log.all().join("\n")
        );
    }

    /// Kills the process with SIGKILL: what it had not written is lost.
    ///
    /// # Panics
    /// When it is down.
    pub async fn kill(&mut self) {
        self.end("KILL").await;
    }

    /// Stops the process in order.
    ///
    /// # Panics
    /// When it is down.
    pub async fn stop(&mut self) {
        self.end("TERM").await;
    }

    async fn end(&mut self, signal: &str) {
        let mut child = self.child.take().expect("a running server");
        process::end(&mut child, signal).await;
    }

    /// Stops the server and starts it again on the same port, with the same streams.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.launch().await;
    }

    /// [`Self::restart`] with another `config` instead of all that it had; [`Self::with_store`] makes one.
    pub async fn restart_with(&mut self, config: &str) {
        self.stop().await;
        self.configure(config.to_owned());
        self.launch().await;
    }

    /// Stops the process where it stands (SIGSTOP): its connections stay open, and nobody answers.
    ///
    /// # Panics
    /// When it is down.
    pub fn pause(&self) {
        process::pause(self.child.as_ref().expect("a running server"));
    }

    /// Lets a paused process go on.
    ///
    /// # Panics
    /// When it is down.
    pub fn resume(&self) {
        process::signal(self.child.as_ref().expect("a running server"), "CONT");
    }

    /// Gives the running server another `config` in place of all that it had.
    ///
    /// # Panics
    /// When it is down.
    pub fn reload(&mut self, config: &str) {
        self.configure(config.to_owned());
        self.write();
        process::signal(self.child.as_ref().expect("a running server"), "HUP");
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// A client of the test's own, which reconnects without delay.
    pub async fn client(&self) -> async_nats::Client {
        client(&[self.url()], async_nats::ConnectOptions::new()).await
    }

    /// Streams as a client of the test's own sees them.
    pub async fn streams(&self) -> jetstream::Context {
        jetstream::new(self.client().await)
    }

    /// The name of the one stream that a channel keeps its messages in, once it is there.
    pub async fn channel_stream(&self) -> String {
        let streams = &self.streams().await;
        until("a channel's stream", || async move {
            let names = streams
                .stream_names()
                .filter_map(|name| async { name.ok() });
            let names: Vec<String> = names.collect().await;
            names.into_iter().find(|name| name.starts_with("linnet_"))
        })
        .await
    }

    /// Where JetStream keeps its streams.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Copies the streams of the server, which must be down, as a backup does.
    ///
    /// # Panics
    /// When it runs.
    #[must_use]
    pub fn snapshot(&self) -> TempDir {
        assert!(self.child.is_none(), "a running server's files change");
        let copy = TempDir::new().unwrap();
        copy_folder(&self.store(), &copy.path().join("store"));
        copy
    }

    /// Puts a snapshot in the place of the streams of the server, which must be down.
    ///
    /// # Panics
    /// When it runs.
    pub fn restore(&self, snapshot: &TempDir) {
        assert!(self.child.is_none(), "a running server keeps its files");
        std::fs::remove_dir_all(self.store()).unwrap();
        copy_folder(&snapshot.path().join("store"), &self.store());
    }

    /// What the process wrote since its last start.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.all()
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("nats.conf")
    }

    fn write(&self) {
        let (port, config) = (self.port, &self.config);
        let text = format!("host: 127.0.0.1\nport: {port}\n{config}\n");
        std::fs::write(self.file(), text).unwrap();
    }
}

/// A client that is connected to one of `urls`, and reconnects without delay.
pub(super) async fn client(
    urls: &[String],
    options: async_nats::ConnectOptions,
) -> async_nats::Client {
    let options = options.reconnect_delay_callback(|_| std::time::Duration::from_millis(50));
    within(("a connection to", urls), STEP, options.connect(urls))
        .await
        .unwrap()
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&from, &to);
        } else {
            std::fs::copy(from, to).unwrap();
        }
    }
}
