//! A `nats-server` with JetStream, whose streams go with it.

use std::{
    env,
    fs::{self, File},
    io::Read,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
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
    _folder: tempfile::TempDir,
}

impl NatsServer {
    /// Starts the server that `LINNET_NATS_SERVER` names, else the one of the search path, and waits until it takes
    /// clients.
    pub fn start() -> Result<Self> {
        let binary = env::var_os("LINNET_NATS_SERVER")
            .map_or_else(|| PathBuf::from("nats-server"), PathBuf::from);
        let folder = tempfile::tempdir().context("no place for streams")?;
        let log = folder.path().join("log");
        let (port, monitor) = (free_port()?, free_port()?);
        let child = Command::new(&binary)
            .args(["-js", "-a", "127.0.0.1", "-p", &port.to_string()])
            .args(["-m", &monitor.to_string(), "-sd"])
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
            port,
            monitor,
            child,
            _folder: folder,
        };
        let begun = Instant::now();
        while !server.greets() {
            let ended = server.child.try_wait()?;
            if ended.is_some() || begun.elapsed() > START_TIMEOUT {
                bail!(
                    "nats-server does not serve:\n{}",
                    fs::read_to_string(&log).unwrap_or_default()
                );
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
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

/// A port that was free a moment ago; nats-server has no way to tell which one it took.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        // Both fail only where the child has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
