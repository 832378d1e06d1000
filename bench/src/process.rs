//! The processes of a measurement, started and asked from here, killed when dropped.

mod load;
mod nats;
mod operator;
mod outbox;
mod postgres;

use std::{
    env,
    fmt::Debug,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::{Serialize, de::DeserializeOwned};

use crate::{measure, reference};

pub use load::Load;
pub use nats::NatsServer;
pub use operator::Operator;
pub use outbox::{Outbox, Secrets};
pub use postgres::Postgres;

/// How long a server may take until it can be used.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A child that is talked to by lines.
#[derive(Debug)]
struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    name: String,
}

impl Process {
    fn start(mut command: Command) -> Result<Self> {
        let name = Path::new(command.get_program())
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("a child without stdout")?);
        Ok(Self {
            child,
            input,
            output,
            name,
        })
    }

    fn say<T: Serialize>(&mut self, request: &T) -> Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        let input = self.input.as_mut().context("a child without stdin")?;
        input
            .write_all(&line)
            .with_context(|| format!("{} has ended", self.name))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("{} ended: {}", self.name, self.child.wait()?);
        }
        Ok(line)
    }

    fn hear<T: DeserializeOwned>(&mut self) -> Result<T> {
        let line = self.line()?;
        serde_json::from_str(&line).with_context(|| format!("{} answered {line}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where the child has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A sibling of the running binary.
pub fn sibling(name: &str) -> Result<PathBuf> {
    let own = env::current_exe().context("cannot tell where the own binary is")?;
    let folder = own.parent().context("the own binary has no folder")?;
    // Tests run from a folder below the one that holds the binaries.
    let found = [Some(folder), folder.parent()]
        .into_iter()
        .flatten()
        .map(|dir| dir.join(name))
        .find(|p| p.exists());
    found.with_context(|| format!("{name} is not beside this binary: build it first"))
}

/// A server under measurement.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its process.
    pub pid: u32,
    /// Where clients connect.
    pub address: SocketAddr,
}

impl Target {
    /// CPU time so far.
    pub fn cpu(self) -> Result<Duration> {
        measure::cpu_time(self.pid)
    }

    /// Resident memory in bytes.
    pub fn resident(self) -> Result<u64> {
        measure::resident_bytes(self.pid)
    }
}

/// A running `linnet-gateway`.
#[derive(Debug)]
pub struct Gateway {
    /// What to measure.
    pub target: Target,
    /// Where it says how it is.
    internal: Option<SocketAddr>,
    _process: Process,
    /// Holds the manifest and the log.
    folder: tempfile::TempDir,
}

impl Gateway {
    /// Starts `binary` with a manifest and waits until it listens.
    pub fn start(binary: &Path, manifest: &str, arguments: &[String]) -> Result<Self> {
        Self::start_in(binary, manifest, arguments, &[])
    }

    /// [`start`](Self::start) with variables in its environment.
    pub fn start_in(
        binary: &Path,
        manifest: &str,
        arguments: &[String],
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let folder = tempfile::tempdir().context("no place for a manifest")?;
        let path = folder.path().join("bench.yaml");
        std::fs::write(&path, manifest)?;
        let mut command = Command::new(binary);
        command
            .arg(&path)
            .args(["--listen", "127.0.0.1:0", "--internal", "127.0.0.1:0"])
            .args(arguments)
            .envs(variables.iter().copied());
        // Its log goes to a file, so that a terminal's speed is no part of the result.
        let log_path = folder.path().join("log");
        command.stderr(std::fs::File::create(&log_path)?);
        let mut process = Process::start(command)?;
        let (address, internal) = loop {
            let line = process
                .line()
                .with_context(|| std::fs::read_to_string(&log_path).unwrap_or_default())?;
            if let Some(address) = listening(&line, "public=") {
                break (address, listening(&line, "internal="));
            }
        };
        let target = Target {
            pid: process.child.id(),
            address,
        };
        Ok(Self {
            target,
            internal,
            _process: process,
            folder,
        })
    }

    /// Its internal port.
    pub fn internal(&self) -> Result<SocketAddr> {
        self.internal
            .context("the gateway named no internal address")
    }

    /// What it has counted under that name so far, over all labels.
    pub fn counted(&self, name: &str) -> Result<f64> {
        let answer = get(self.internal()?, "/metrics")?;
        let values = answer.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let is_it = rest.starts_with(['{', ' ']);
            let value = rest.rsplit_once(' ').filter(|_| is_it)?.1;
            value.parse::<f64>().ok()
        });
        Ok(values.sum())
    }

    /// Waits until it may take clients; with a broker that is later than when it listens.
    pub fn ready(&self) -> Result<()> {
        let internal = self.internal()?;
        let begun = Instant::now();
        loop {
            let answer = get(internal, "/readyz").unwrap_or_default();
            if answer.starts_with("HTTP/1.1 200") {
                return Ok(());
            }
            if begun.elapsed() > START_TIMEOUT {
                let log = std::fs::read_to_string(self.folder.path().join("log"));
                bail!(
                    "the gateway is not ready: {answer}\n{}",
                    log.unwrap_or_default()
                );
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What is answered to a `GET` of `path`, head and body.
fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(START_TIMEOUT))?;
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The address under `key` in the line `listening public=… internal=…`.
fn listening(line: &str, key: &str) -> Option<SocketAddr> {
    let words = line.strip_prefix("listening ")?;
    words
        .split_whitespace()
        .find_map(|word| word.strip_prefix(key)?.parse().ok())
}

/// A running `linnet-bench-reference`.
#[derive(Debug)]
pub struct Reference {
    /// What to measure.
    pub target: Target,
    process: Process,
}

impl Reference {
    /// Starts a mode with its arguments and waits until it listens.
    pub fn start(arguments: &[String]) -> Result<Self> {
        let mut command = Command::new(sibling("linnet-bench-reference")?);
        command.args(arguments);
        Self::run(command)
    }

    /// Starts Node's Socket.IO server and waits until it listens.
    pub fn node() -> Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
        if !folder.join("node_modules/socket.io").exists() {
            bail!("the packages of bench/node are missing: npm ci --prefix bench/node");
        }
        let mut command = Command::new("node");
        command.arg(folder.join("socketio.mjs"));
        Self::run(command)
    }

    fn run(command: Command) -> Result<Self> {
        let mut process = Process::start(command)?;
        let line = process.line()?;
        let address =
            listening(&line, "public=").with_context(|| format!("the reference said {line}"))?;
        Ok(Self {
            target: Target {
                pid: process.child.id(),
                address,
            },
            process,
        })
    }

    /// Has the fan-out reference send by a schedule; returns when the last write is done.
    pub fn send(&mut self, send: &reference::Send) -> Result<reference::Sent> {
        self.process.say(send)?;
        self.process.hear()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_addresses_are_read_from_the_gateway_s_line() {
        let line = "listening public=127.0.0.1:4711 internal=127.0.0.1:4712\n";
        let port = |key| listening(line, key).map(|address| address.port());
        assert_eq!(
            (port("public="), port("internal=")),
            (Some(4711), Some(4712))
        );
        assert_eq!(listening("starting", "public="), None);
    }
}
