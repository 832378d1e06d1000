//! A `nats-server` with JetStream, whose streams go with it.

use std::{
    env,
    fs::{self, File},
    io::Read,
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::START_TIMEOUT;
use crate::measure;

/// A running `nats-server`.
#[derive(Debug)]
pub struct NatsServer {
    /// Where clients connect, on 127.0.0.1.
    pub port: u16,
    /// Where it says how it is, on 127.0.0.1.
    monitor: u16,
    child: Child,
    /// Holds the streams and the log.
    folder: tempfile::TempDir,
}

impl NatsServer {
    /// Starts the server that `LINNET_NATS_SERVER` names, else the one of the search path, and waits until it takes
    /// clients.
    pub fn start() -> Result<Self> {
        let binary = env::var_os("LINNET_NATS_SERVER")
            .map_or_else(|| PathBuf::from("nats-server"), PathBuf::from);
        let folder = tempfile::tempdir().context("no place for streams")?;
        let log = folder.path().join("log");
        // It takes ports that are free, and writes a file that tells which once it listens.
        let child = Command::new(&binary)
            .args(["-js", "-a", "127.0.0.1", "-p", "-1", "-m", "-1"])
            .arg("--ports_file_dir")
            .arg(folder.path())
            .arg("-sd")
            .arg(folder.path().join("streams"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| {
                format!(
                    "cannot start {}: tests/run installs nats-server into .cache/bin, or name one (2.11 or newer) in \
                     LINNET_NATS_SERVER",
                    binary.display()
                )
            })?;
        let mut server = Self {
            port: 0,
            monitor: 0,
            child,
            folder,
        };
        let ports = (server.folder.path()).join(format!("nats-server_{}.ports", server.child.id()));
        let begun = Instant::now();
        loop {
            if let Some((port, monitor)) = read_ports(&ports) {
                (server.port, server.monitor) = (port, monitor);
                if server.greets() {
                    return Ok(server);
                }
            }
            let ended = server.child.try_wait()?;
            if ended.is_some() || begun.elapsed() > START_TIMEOUT {
                bail!(
                    "nats-server does not serve:\n{}",
                    fs::read_to_string(&log).unwrap_or_default()
                );
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// CPU time so far.
    pub fn cpu(&self) -> Result<Duration> {
        measure::cpu_time(self.child.id())
    }

    /// Subscriptions of all clients.
    pub fn subscriptions(&self) -> Result<u64> {
        let address = (Ipv4Addr::LOCALHOST, self.monitor).into();
        let answer = super::get(address, "/subsz").context("nats-server does not tell")?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        let body: serde_json::Value = serde_json::from_str(body)?;
        body["num_subscriptions"]
            .as_u64()
            .context("nats-server does not count its subscriptions")
    }

    /// Whether a client is told what the server is: it listens only once its streams are there.
    fn greets(&self) -> bool {
        let greeting = || -> std::io::Result<[u8; 4]> {
            let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
            socket.set_read_timeout(Some(START_TIMEOUT))?;
            let mut start = [0; 4];
            socket.read_exact(&mut start)?;
            Ok(start)
        };
        greeting().is_ok_and(|start| &start == b"INFO")
    }
}

/// Where clients connect, and where it says how it is; `None` before the file is whole.
fn read_ports(file: &Path) -> Option<(u16, u16)> {
    let told: serde_json::Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    let port = |of: &str| told[of][0].as_str()?.rsplit(':').next()?.parse().ok();
    Some((port("nats")?, port("monitoring")?))
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        // Both fail only where the child has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
