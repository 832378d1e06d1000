//! A NATS server of a test's own: a real process on a port of its own, killed when dropped.

use std::path::PathBuf;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::wait::{STEP, within};

/// The server's binary: `LINNET_NATS_SERVER`, else `nats-server` of the search path.
#[must_use]
pub fn binary() -> PathBuf {
    std::env::var_os("LINNET_NATS_SERVER").map_or_else(|| "nats-server".into(), PathBuf::from)
}

/// A running server.
#[derive(Debug)]
pub struct NatsServer {
    child: Child,
    /// Where clients connect, on 127.0.0.1.
    pub port: u16,
    folder: TempDir,
}

impl NatsServer {
    /// Starts a server with the lines of `config` (its own format) and awaits that it is ready. Its folder goes with it.
    ///
    /// # Panics
    /// When it does not start, with its log.
    pub async fn start(config: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("nats.conf");
        // The server takes a free port itself and tells it in the log.
        write(&folder, -1, config);
        let mut child = Command::new(binary())
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("nats-server is missing: tests/run installs it");
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = Vec::new();
        let mut port = None;
        within("the NATS server", STEP, async {
            while let Ok(Some(line)) = log.next_line().await {
                if let Some((_, at)) = line.split_once("Listening for client connections on ") {
                    port = at
                        .rsplit(':')
                        .next()
                        .and_then(|port| port.trim().parse().ok());
                }
                let ready = line.ends_with("Server is ready");
                seen.push(line);
                if ready {
                    return;
                }
            }
        })
        .await;
        let Some(port) = port else {
            panic!("nats-server ended at once:\n{}", seen.join("\n"));
        };
        // The log is read on, or the server would wait for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Self {
            child,
            port,
            folder,
        }
    }

    /// Gives the running server another `config`.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn reload(&self, config: &str) {
        write(&self.folder, self.port.into(), config);
        let kill = format!("kill -HUP {}", self.child.id().unwrap());
        let sent = std::process::Command::new("sh")
            .args(["-c", &kill])
            .status();
        assert!(sent.unwrap().success(), "{kill}");
    }
}

fn write(folder: &TempDir, port: i32, config: &str) {
    let text = format!("host: 127.0.0.1\nport: {port}\n{config}\n");
    std::fs::write(folder.path().join("nats.conf"), text).unwrap();
}
